"""Where the OpenTelemetry collector is, by our settings and the standard variables, and how it is spoken to.

The SDK loads only where an exporter is made, in the thread that uses it.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from appliance import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.config import Settings

SECRET_LEAST = 6
"""Letters; a shorter part of a header ("Basic") is no secret."""
_GRPC_PORT = 4317


@dataclass(frozen=True, slots=True)
class Collector:
    """Where the collector is, and how it is spoken to. What is None here the SDK takes from the OTEL_* variables."""

    endpoint: str | None
    protocol: str
    headers: Mapping[str, str] | None
    ca_file: str | None
    told: str
    """The address, for people."""
    secrets: tuple[str, ...] = ()
    """What the SDK may know and nobody else should read."""

    def exporter(self, signal: str) -> Any:
        """Return the SDK's exporter of this signal, "traces" or "metrics". OSError: no certificate."""
        of_traces = signal == "traces"
        settings: dict[str, Any] = {}
        if self.headers is not None:
            settings["headers"] = self.headers
        if self.protocol == "grpc":
            os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its core writes past our log
            from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as grpc_metrics
            from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc_traces

            if self.endpoint is not None:
                settings["endpoint"] = self.endpoint
            if self.ca_file is not None:
                import grpc

                settings["credentials"] = grpc.ssl_channel_credentials(Path(self.ca_file).read_bytes())
            return (
                grpc_traces.OTLPSpanExporter(**settings) if of_traces else grpc_metrics.OTLPMetricExporter(**settings)
            )
        from opentelemetry.exporter.otlp.proto.http import metric_exporter as http_metrics
        from opentelemetry.exporter.otlp.proto.http import trace_exporter as http_traces

        if self.endpoint is not None:
            settings["endpoint"] = f"{self.endpoint.rstrip('/')}/v1/{signal}"
        if self.ca_file is not None:
            settings["certificate_file"] = self.ca_file
        return http_traces.OTLPSpanExporter(**settings) if of_traces else http_metrics.OTLPMetricExporter(**settings)


def collector(settings: Settings, environ: Mapping[str, str], signal: str = "traces") -> Collector | None:
    """Return the collector for this signal, None where none is set. Settings go before variables."""
    telemetry, name = settings.telemetry, signal.upper()
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    exporters = [word.strip().lower() for word in environ.get(f"OTEL_{name}_EXPORTER", "").split(",")]
    if exporters != [""] and "otlp" not in exporters:
        return None  # we have no other exporter
    own = environ.get(f"OTEL_EXPORTER_OTLP_{name}_ENDPOINT", "")
    endpoint = telemetry.otlp_endpoint or own or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    if not endpoint:
        return None
    protocol: str = telemetry.otlp_protocol
    if protocol == "auto":
        said = environ.get(f"OTEL_EXPORTER_OTLP_{name}_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "")
        protocol = said if said in ("grpc", "http/protobuf") else _usual_protocol(endpoint)
    headers = None
    if telemetry.otlp_headers is not None:
        pairs = (header.partition("=") for header in telemetry.otlp_headers.get_secret_value().split(","))
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    ca_file = str(telemetry.otlp_ca_file) if telemetry.otlp_ca_file is not None else None
    told = f"{_without_login(endpoint)} ({protocol})"
    return Collector(telemetry.otlp_endpoint, protocol, headers, ca_file, told, _secrets(headers, environ))


def _usual_protocol(endpoint: str) -> str:
    """Return what is spoken at such an address: gRPC's are host:port, or have its port."""
    try:
        is_grpc = "://" not in endpoint or urlsplit(endpoint).port == _GRPC_PORT
    except ValueError:
        is_grpc = False
    return "grpc" if is_grpc else "http/protobuf"


def _secrets(headers: Mapping[str, str] | None, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return what must be told nowhere: the headers' values, and logins in addresses; the longest first."""
    found = set((headers or {}).values())
    for name in ("", "TRACES_", "METRICS_"):
        given = environ.get(f"OTEL_EXPORTER_OTLP_{name}HEADERS", "")
        found |= {given, *(header.partition("=")[2].strip() for header in given.split(","))}
        found |= {word for value in tuple(found) for word in value.split() if len(word) >= SECRET_LEAST}
        with contextlib.suppress(ValueError):
            parts = urlsplit(environ.get(f"OTEL_EXPORTER_OTLP_{name}ENDPOINT", ""))
            found |= {parts.password or "", parts.netloc.rpartition("@")[0]}
    return tuple(sorted(found - {""}, key=len, reverse=True))


def share(settings: Settings, environ: Mapping[str, str]) -> float:
    """Return the share of all traces that is delivered: the settings', or what OTEL_TRACES_SAMPLER says."""
    if settings.telemetry.trace_share:
        return settings.telemetry.trace_share
    sampler = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower().removeprefix("parentbased_")
    if sampler == "traceidratio":
        with contextlib.suppress(ValueError):
            return min(1.0, max(0.0, float(environ.get("OTEL_TRACES_SAMPLER_ARG", "1"))))
    return 1.0 if sampler in ("always_on", "traceidratio") else 0.0


def resource(settings: Settings, stage: str) -> Any:
    """Return what the SDK says of who is speaking; OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME go before it."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    ours = Resource.create(
        {
            "service.name": f"porchlight-{stage.partition('.')[0]}" if stage else "porchlight",
            "service.namespace": "porchlight",
            "service.instance.id": settings.instance,
            "service.version": __version__,
        }
    )
    return ours.merge(OTELResourceDetector().detect())


def _without_login(address: str) -> str:
    scheme, separator, rest = address.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2].partition('/')[0].partition('?')[0]}"
