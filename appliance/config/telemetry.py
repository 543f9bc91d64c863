"""The settings of what Porchlight says of itself."""

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from appliance.config.kinds import LocalPath, LongSecret, Section, Url
from appliance.config.problem import BadSettingError

TRACE_ID = "{trace_id}"
_HEADER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$%&'*+.^_`|~-]*")


class Telemetry(Section):
    """Logs, traces and metrics."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least important kind of message that is still logged."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="text: for people; json: one object a line, for log collectors."
    )
    otlp_endpoint: Url | None = Field(
        default=None,
        description="OpenTelemetry collector for traces and metrics, such as http://collector:4317. null: "
        "OTEL_EXPORTER_OTLP_ENDPOINT, and none where that is not set.",
    )
    otlp_protocol: Literal["auto", "grpc", "http/protobuf"] = Field(
        default="auto",
        description="How it is spoken to. auto: OTEL_EXPORTER_OTLP_PROTOCOL, else grpc at port 4317 and "
        "http/protobuf at any other.",
    )
    otlp_headers: LongSecret | None = Field(
        default=None, description="Headers for the collector, such as api-key=abc,tenant=home. null: none."
    )
    otlp_ca_file: LocalPath | None = Field(
        default=None,
        description="PEM file with the authorities to trust for an https:// collector. null: the system's.",
    )
    trace_share: float = Field(
        default=0.0,
        strict=True,
        ge=0,
        le=1,
        description="Share of all frames whose traces are delivered, 0 to 1. Those behind a change of sentry or "
        "alarm are always.",
    )
    trace_url: Url | None = Field(
        default=None,
        description="Where a trace can be seen, such as http://jaeger:16686/trace/{trace_id}: the page links "
        "there. null: it shows the id alone.",
    )

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        right = "write http:// or https://, a host, and a port, such as http://collector:4317"
        try:
            parts = urlsplit(value)
            is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_whole = False
        if not is_whole:
            raise BadSettingError("is no address of a collector", right)
        if parts.username is not None or parts.password is not None:
            raise BadSettingError("holds a user name or password", "write them into telemetry.otlp_headers")
        if parts.query or parts.fragment:
            raise BadSettingError("has a query or a fragment", right)
        return value

    @field_validator("otlp_headers")
    @classmethod
    def _are_headers(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            for header in value.get_secret_value().split(","):
                name, equals, text = header.partition("=")
                if not equals or not _HEADER_NAME.fullmatch(name.strip()) or not text.isascii():
                    right = "write name=value in plain ASCII letters, with commas between several"
                    raise BadSettingError("is no list of headers", right)
        return value

    @field_validator("trace_url")
    @classmethod
    def _names_the_trace(cls, value: str | None) -> str | None:
        if value is not None and (TRACE_ID not in value or not value.startswith(("http://", "https://"))):
            raise BadSettingError(
                "is no address of a trace", f"write http:// or https://, with {TRACE_ID} where its id belongs"
            )
        return value
