"""To an OpenTelemetry collector: where it is, and spans and figures on their way there, from threads of their own.

The SDK loads in those threads, and only where a collector is set. Whatever the collector does (away, slow, refusing),
nobody here waits for it: what does not fit is dropped, oldest first, and counted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from appliance import __version__
from appliance.telemetry.logs import RepeatedFault
from appliance.telemetry.tracing import NO_PARENT, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from appliance.config import Settings

log = logging.getLogger(__name__)

GOODBYE_S = 0.5
"""For what is still on its way when the process ends."""
REASON_MOST = 300
TRACES_THREAD, FIGURES_THREAD = "traces to a collector", "figures to a collector"
SECRET_LEAST = 6
"""Letters; a shorter part of a header ("Basic") is no secret."""
_GRPC_PORT = 4317
_RETRY = re.compile(r",? retrying in [\d.]+ ?s\.?")


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


class Delivery:
    """Takes one process's spans to the collector, a batch at a time. Calling it never waits."""

    def __init__(self, to: Collector, settings: Settings, stage: str, environ: Mapping[str, str]) -> None:
        self._to = to
        self._settings = settings
        self._stage = stage
        self._waiting: deque[Span] = deque(maxlen=int(_number(environ, "OTEL_BSP_MAX_QUEUE_SIZE", 2048)))
        self._batch = int(_number(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512))
        self._delay_s = _number(environ, "OTEL_BSP_SCHEDULE_DELAY", 5000) / 1000
        self._come, self._hurry = threading.Event(), threading.Event()
        self._is_closed = False
        self._lost, self._lock = 0, threading.Lock()
        self.on_lost: Callable[[int], object] = lambda _many: None
        """Hears how many spans never got there, since the process began."""
        self._thread = threading.Thread(target=self._work, name=TRACES_THREAD, daemon=True)
        self._thread.start()

    def __call__(self, span: Span) -> None:
        """Send it, when there is time; where too many wait, the oldest gives way."""
        if len(self._waiting) == self._waiting.maxlen:
            self._lose(1)
        self._waiting.append(span)
        self._come.set()
        if len(self._waiting) >= self._batch:
            self._hurry.set()

    def close(self, seconds: float = GOODBYE_S) -> None:
        """Give what is on its way so long."""
        self._is_closed = True
        self._come.set()
        self._hurry.set()
        self._thread.join(seconds)

    def _lose(self, many: int) -> None:
        with self._lock:
            self._lost += many
        self.on_lost(self._lost)

    def _work(self) -> None:
        try:
            sdk_log = SdkLog(self._to)  # before anything of the SDK's can say something
            exporter = self._to.exporter("traces")
            spans = _Spans(resource(self._settings, self._stage))
            from opentelemetry.sdk.trace.export import SpanExportResult
        except Exception as error:  # noqa: BLE001 -- whatever is wrong there, nobody else suffers
            log.error("no traces: %s cannot be spoken to: %s", self._to.told, error)  # noqa: TRY400
            return
        while not self._is_closed or self._waiting:
            self._come.wait()  # a daemon's wait: it ends with the process
            self._hurry.wait(self._delay_s)  # more may come, and go together
            self._come.clear()
            self._hurry.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
                is_well = exporter.export([spans.sdk(span) for span in batch]) is SpanExportResult.SUCCESS
                sdk_log.note(is_well=is_well)
                if not is_well:
                    self._lose(len(batch))
        exporter.shutdown()


class _Spans:
    """Makes the SDK's spans of ours, by its own tracer, under the ids that they have."""

    def __init__(self, about: Any) -> None:
        from opentelemetry import trace
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
        from opentelemetry.sdk.trace.id_generator import IdGenerator
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON

        class Ids(IdGenerator):
            trace = span = 0

            def generate_trace_id(self) -> int:
                return self.trace

            def generate_span_id(self) -> int:
                return self.span

        class Ended(SpanProcessor):
            newest: Any = None

            def on_end(self, span: Any) -> None:
                self.newest = span

        self._api, self._ids, self._ended = trace, Ids(), Ended()
        provider = TracerProvider(
            sampler=ALWAYS_ON,  # what is not to be delivered never comes here
            resource=about,
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        provider.add_span_processor(self._ended)
        self._tracer = provider.get_tracer("porchlight", __version__)

    def sdk(self, span: Span) -> Any:
        """Return the SDK's own, as its exporters want it."""
        api = self._api
        self._ids.trace = int.from_bytes(span.context.trace_id)
        self._ids.span = int.from_bytes(span.context.span_id)
        above = api.INVALID_SPAN
        if span.parent != NO_PARENT:
            parent, flags = int.from_bytes(span.parent), api.TraceFlags(api.TraceFlags.SAMPLED)
            above = api.NonRecordingSpan(api.SpanContext(self._ids.trace, parent, is_remote=True, trace_flags=flags))
        made = self._tracer.start_span(
            span.name,
            context=api.set_span_in_context(above),
            kind=api.SpanKind.PRODUCER if "messaging.system" in span.attributes else api.SpanKind.INTERNAL,
            attributes={
                name if "." in name else f"porchlight.{name}": value
                for name, value in span.attributes.items()
                if value != ""
            },
            start_time=span.start_ns,
        )
        made.end(max(span.start_ns, span.end_ns))
        return self._ended.newest


def is_detained() -> bool:
    """Return whether a collector still keeps a thread: the SDK waits for it longer than a process that ends should."""
    return any(thread.name in (TRACES_THREAD, FIGURES_THREAD) for thread in threading.enumerate())


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    """Return what a standard variable says, its default where it says nothing that can be used."""
    with contextlib.suppress(ValueError):
        value = float(environ.get(name, ""))
        if 0 < value < float("inf"):
            return value
    return default


class SdkLog(logging.Handler):
    """What the SDK says of an exporter's failures is told once, and not with every batch; never a header's value.

    Belongs to the exporter of the thread that makes it: traces and figures have one each.
    """

    def __init__(self, to: Collector, what: str = "") -> None:
        """`what` is sent there, where it is not the traces."""
        super().__init__(logging.WARNING)
        self._own_thread = threading.get_ident()
        self._fault = RepeatedFault(log, f"{what}OpenTelemetry collector {to.told}")
        self._secrets = to.secrets
        self._first = ""
        """What was said first of what is being sent: the reason. What follows only says that it was given up."""
        sdk = logging.getLogger("opentelemetry")
        sdk.propagate = False
        sdk.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread != self._own_thread:
            return
        text = _RETRY.sub("", record.getMessage())
        for secret in self._secrets:
            text = text.replace(secret, "***")
        self._first = self._first or text[:REASON_MOST]
        log.debug("OpenTelemetry: %s", text[:REASON_MOST])

    def note(self, *, is_well: bool) -> None:
        """Note whether the collector has taken something."""
        if is_well:
            self._fault.heal()
        else:
            self._fault.report(self._first or "takes nothing")
        self._first = ""


def _without_login(address: str) -> str:
    scheme, separator, rest = address.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2].partition('/')[0].partition('?')[0]}"
