"""A collector on OpenTelemetry's own classes, by gRPC and by HTTP: what a real one is told, and how it fails."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)


@dataclass(frozen=True)
class Seen:
    """A span as it came. Times are UTC, nanoseconds; ids in hex, `parent` empty for a root."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]

    @property
    def stage(self) -> str:
        return self.service.removeprefix("porchlight-")


@dataclass
class Receiver:
    """What came in. `before` is called with each request, and may wait or raise."""

    url: str = ""
    spans: list[Seen] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    before: Callable[[], None] = lambda: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take_spans(self, request: ExportTraceServiceRequest, headers: dict[str, str]) -> None:
        self.before()
        seen = [
            Seen(
                _attributes(group.resource.attributes)["service.name"],
                span.name,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                span.start_time_unix_nano,
                span.end_time_unix_nano,
                _attributes(span.attributes),
            )
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]
        with self._lock:
            self.spans += seen
            self.headers.append(headers)

    def take_metrics(self, request: ExportMetricsServiceRequest, headers: dict[str, str]) -> None:
        self.before()
        with self._lock:
            self.metrics.append(request)
            self.headers.append(headers)

    def trace(self, trace_id: str) -> list[Seen]:
        with self._lock:
            return sorted((s for s in self.spans if s.trace_id == trace_id), key=lambda s: (s.start_ns, s.end_ns))


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@contextmanager
def grpc_receiver(port: int = 0) -> Iterator[Receiver]:
    """On a port of its own, or a given one."""
    receiver = Receiver()

    def told(context: Any) -> dict[str, str]:
        return {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}

    class Traces(TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
            try:
                receiver.take_spans(request, told(context))
            except RuntimeError as error:
                context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
            return ExportTraceServiceResponse()

    class Metrics(MetricsServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
            try:
                receiver.take_metrics(request, told(context))
            except RuntimeError as error:
                context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
            return ExportMetricsServiceResponse()

    server = grpc.server(ThreadPoolExecutor(8))
    add_TraceServiceServicer_to_server(Traces(), server)  # type: ignore[no-untyped-call]
    add_MetricsServiceServicer_to_server(Metrics(), server)  # type: ignore[no-untyped-call]
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    receiver.url = f"http://127.0.0.1:{bound}"
    server.start()
    try:
        yield receiver
    finally:
        server.stop(0).wait(5)


@contextmanager
def http_receiver(port: int = 0) -> Iterator[Receiver]:
    """On a port of its own, or a given one."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            headers = {key.lower(): value for key, value in self.headers.items()}
            try:
                if self.path == "/v1/traces":
                    receiver.take_spans(ExportTraceServiceRequest.FromString(body), headers)
                elif self.path == "/v1/metrics":
                    receiver.take_metrics(ExportMetricsServiceRequest.FromString(body), headers)
                else:
                    self.send_error(404)
                    return
            except RuntimeError as error:
                self.send_error(503, str(error))
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()


PROTOCOLS = {"grpc": grpc_receiver, "http/protobuf": http_receiver}
