"""Spans on their way to an OpenTelemetry collector, from a thread of their own.

Whatever the collector does (away, slow, refusing), nobody here waits for it: what does not fit is dropped, oldest
first, and counted.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from appliance import __version__
from appliance.telemetry.collector import resource
from appliance.telemetry.logs import RepeatedFault
from appliance.telemetry.tracing import NO_PARENT, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from appliance.config import Settings
    from appliance.telemetry.collector import Collector

log = logging.getLogger(__name__)

GOODBYE_S = 0.5
"""For what is still on its way when the process ends."""
REASON_MOST = 300
TRACES_THREAD, FIGURES_THREAD = "traces to a collector", "figures to a collector"
_RETRY = re.compile(r",? retrying in [\d.]+ ?s\.?")


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
                if not sdk_log.sent(partial(_export, exporter, spans, batch)):
                    self._lose(len(batch))
        exporter.shutdown()


def _export(exporter: Any, spans: _Spans, batch: list[Span]) -> Any:
    return exporter.export([spans.sdk(span) for span in batch])


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

    def sent(self, export: Callable[[], Any]) -> bool:
        """Have something sent, and return whether the collector has taken it. What that raises is a failure too."""
        try:
            is_well = bool(export().name == "SUCCESS")  # of SpanExportResult, or MetricExportResult
        except Exception as error:  # noqa: BLE001 -- this batch only: the thread must outlive it
            self._first, is_well = f"{type(error).__name__}: {error}"[:REASON_MOST], False
        self.note(is_well=is_well)
        return is_well

    def note(self, *, is_well: bool) -> None:
        """Note whether the collector has taken something."""
        if is_well:
            self._fault.heal()
        else:
            self._fault.report(self._first or "takes nothing")
        self._first = ""
