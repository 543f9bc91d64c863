"""On the way to the collector: nobody waits, what is lost is counted, ids and times stay, no secret is told."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanKind

from appliance.config import Settings
from appliance.messages import TraceContext
from appliance.telemetry.collector import Collector, collector
from appliance.telemetry.delivery import REASON_MOST, Delivery, SdkLog
from appliance.telemetry.tracing import NO_PARENT, Span, publishing

PATIENCE_S = 20.0
CANARY = "canary-5f1c"
SECRETS = (CANARY,)
HERE = "http://127.0.0.1:9 (http/protobuf)"
TO = Collector("http://127.0.0.1:9", "http/protobuf", {"api-key": CANARY}, None, HERE, SECRETS)
SDK = logging.getLogger("opentelemetry")
QUEUE = 64
AT_ONCE = {"OTEL_BSP_SCHEDULE_DELAY": "1", "OTEL_BSP_MAX_QUEUE_SIZE": str(QUEUE), "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8"}


def a_span(number: int = 1, parent: bytes = NO_PARENT, **attributes: Any) -> Span:
    context = TraceContext.of(b"\1" * 16, number.to_bytes(8), 2)
    return Span(f"span {number}", context, parent, 1_000 * number, 1_000 * number + 5, attributes)


@dataclass
class Slow:
    """A collector in this process, and its exporter; takes nothing until it is let, or refuses."""

    told: str = "here"
    secrets: tuple[str, ...] = ()
    refuses: bool = False
    batches: list[list[Any]] = field(default_factory=list)
    is_busy: threading.Event = field(default_factory=threading.Event)
    may_load: threading.Event = field(default_factory=threading.Event)
    may_go_on: threading.Event = field(default_factory=threading.Event)

    def exporter(self, _signal: str) -> Slow:
        assert self.may_load.wait(PATIENCE_S)
        return self

    def export(self, batch: list[Any]) -> SpanExportResult:
        self.is_busy.set()
        assert self.may_go_on.wait(PATIENCE_S)
        if self.refuses:
            return SpanExportResult.FAILURE
        self.batches.append(batch)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None: ...

    @property
    def names(self) -> list[str]:
        return [span.name for batch in self.batches for span in batch]


def delivery_to(slow: Slow, environ: dict[str, str] = AT_ONCE) -> Delivery:
    return Delivery(cast("Collector", slow), Settings(instance="home"), "controller", environ)


def lost_on_the_way(slow: Slow, *spans: Span) -> int:
    """Deliver them to somebody who is let from the start; return how many did not arrive."""
    lost = [0]
    slow.may_load.set()
    slow.may_go_on.set()
    delivery = delivery_to(slow)
    delivery.on_lost = lost.append
    for span in spans:
        delivery(span)
    delivery.close(PATIENCE_S)
    return lost[-1]


def delivered(*spans: Span) -> list[Any]:
    slow = Slow()
    assert lost_on_the_way(slow, *spans) == 0
    return [span for batch in slow.batches for span in batch]


# The queue


def test_whoever_delivers_waits_for_nobody_and_the_oldest_give_way_and_are_counted() -> None:
    slow, lost = Slow(), [0]
    slow.may_load.set()
    delivery = delivery_to(slow)
    delivery.on_lost = lost.append
    delivery(a_span(1))
    assert slow.is_busy.wait(PATIENCE_S)
    for number in range(2, QUEUE + 7):
        delivery(a_span(number))
    assert (len(delivery._waiting), lost[-1]) == (QUEUE, 5)
    delivery.close(0)  # and neither does a process that ends
    slow.may_go_on.set()
    delivery.close(PATIENCE_S)
    assert slow.names == ["span 1", *(f"span {number}" for number in range(7, QUEUE + 7))]
    assert max(map(len, slow.batches)) == 8


def test_what_the_collector_refuses_is_counted_as_lost() -> None:
    assert lost_on_the_way(Slow(refuses=True), *map(a_span, range(1, 21))) == 20


def test_a_batch_that_cannot_be_made_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Fragile(Slow):
        def export(self, batch: list[Any]) -> SpanExportResult:
            if batch[0].name == "span 1":
                raise TypeError("what nobody thought of")
            return super().export(batch)

    slow = Fragile()
    lost = lost_on_the_way(slow, *map(a_span, range(1, 17)))
    assert slow.names[-1] == "span 16"
    assert lost == 16 - len(slow.names)
    assert "TypeError: what nobody thought of" in caplog.text


def test_what_came_while_the_sdk_was_loading_is_still_sent_at_the_end() -> None:
    slow = Slow()
    slow.may_go_on.set()
    delivery = delivery_to(slow)
    delivery(a_span())
    delivery.close(0)
    slow.may_load.set()
    delivery.close(PATIENCE_S)
    assert slow.names == ["span 1"]


def test_few_spans_wait_for_others_and_a_full_batch_does_not() -> None:
    slow = Slow()
    slow.may_load.set()
    slow.may_go_on.set()
    delivery = delivery_to(slow, {"OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"})
    for number in range(1, 4):
        delivery(a_span(number))
    assert not slow.is_busy.wait(0.2)
    delivery(a_span(4))
    assert slow.is_busy.wait(PATIENCE_S)
    delivery.close(PATIENCE_S)
    assert len(slow.names) == 4


@pytest.mark.parametrize("nonsense", ["", "no number", "-5", "nan", "inf", "0"])
def test_a_variable_that_is_no_number_leaves_the_default(nonsense: str) -> None:
    slow = Slow()
    slow.may_load.set()
    delivery = delivery_to(slow, dict.fromkeys(AT_ONCE, nonsense))
    delivery.close(PATIENCE_S)
    assert (delivery._waiting.maxlen, delivery._batch, delivery._delay_s) == (2048, 512, 5.0)


def test_an_sdk_that_cannot_be_had_is_told_once_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Slow):
        def exporter(self, _signal: str) -> Slow:
            raise FileNotFoundError(2, "No such file", "ca.pem")

    delivery = delivery_to(Broken())
    for number in range(1, QUEUE + 10):
        delivery(a_span(number))
    delivery.close(PATIENCE_S)
    assert len(delivery._waiting) == QUEUE
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("no traces: here cannot be spoken to: ")


# What the collector gets


def test_a_span_arrives_under_the_ids_and_with_the_times_that_it_had() -> None:
    above = a_span(1, camera="porch", persons=2, incident="", confidence=0.5)
    below = a_span(2, above.context.span_id, **publishing("porchlight/home/porch/event", is_prompt=True))
    first, second = delivered(above, below)
    assert (first.name, second.name) == ("span 1", "span 2")
    assert first.context.trace_id == second.context.trace_id == int.from_bytes(b"\1" * 16)
    assert (first.context.span_id, second.context.span_id) == (1, 2)
    assert first.parent is None
    assert second.parent is not None
    assert second.parent.span_id == 1
    assert (first.start_time, first.end_time) == (1_000, 1_005)
    assert first.attributes == {"porchlight.camera": "porch", "porchlight.persons": 2, "porchlight.confidence": 0.5}
    assert dict(second.attributes or {}) == {
        "messaging.system": "mqtt",
        "messaging.operation.type": "send",
        "messaging.destination.name": "porchlight/home/porch/event",
        "porchlight.prompt": True,
    }
    assert (first.kind, second.kind) == (SpanKind.INTERNAL, SpanKind.PRODUCER)
    assert first.resource.attributes["service.name"] == "porchlight-controller"


def test_a_span_that_ended_before_it_began_takes_no_time() -> None:
    (span,) = delivered(a_span()._replace(end_ns=7))
    assert (span.start_time, span.end_time) == (1_000, 1_000)


# What is said of it


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    caplog.clear()
    return lines


def failed(sdk_log: SdkLog, text: str) -> None:
    """Have an exporter say this, and fail."""
    logging.getLogger("opentelemetry.exporter.test").error("%s", text)
    sdk_log.note(is_well=False)


def test_a_collector_that_fails_is_told_once_then_at_debug_then_once_when_it_is_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sdk_log = SdkLog(TO)
    for seconds in (1, 2.5, 64):
        failed(sdk_log, f"Connection refused, retrying in {seconds}s.")
    sdk_log.note(is_well=True)
    sdk_log.note(is_well=True)
    lines = [line for level, line in said(caplog) if level in {"WARNING", "INFO", "ERROR"}]
    assert lines[0] == f"OpenTelemetry collector {TO.told}: Connection refused"
    assert all("well again" in line for line in lines[1:])


def test_what_the_sdk_says_goes_to_nobody_else_and_is_not_long(caplog: pytest.LogCaptureFixture) -> None:
    failed(SdkLog(TO), "x" * 10_000)
    assert {record.name for record in caplog.records} == {"appliance.telemetry.delivery"}
    assert all(len(record.getMessage()) < REASON_MOST + 100 for record in caplog.records)


def test_a_failure_without_a_word_is_told_too(caplog: pytest.LogCaptureFixture) -> None:
    SdkLog(TO).note(is_well=False)
    assert said(caplog) == [("WARNING", f"OpenTelemetry collector {TO.told}: takes nothing")]


letters = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=","), min_size=6, max_size=40)


@given(letters.filter(lambda text: not text.startswith("***")), st.text(max_size=400), st.text(max_size=20))
def test_no_headers_value_is_told_wherever_it_stands(secret: str, before: str, after: str) -> None:
    records: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record.getMessage())

    own, ear = logging.getLogger("appliance.telemetry.delivery"), Ear()
    level = own.level
    handlers, propagate = SDK.handlers[:], SDK.propagate
    own.addHandler(ear)
    own.setLevel(logging.DEBUG)
    try:
        headers = {"api-key": secret, "empty": ""}
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://there:4317"}
        given = ",".join(f"{name}={value}" for name, value in headers.items())
        written = Settings.model_validate({"telemetry": {"otlp_headers": given}})
        to = collector(written, environ)
        assert to is not None
        sdk_log = SdkLog(to)
        failed(sdk_log, before + secret + after)
    finally:
        own.removeHandler(ear)
        own.setLevel(level)
        SDK.handlers[:], SDK.propagate = handlers, propagate
    assert records
    assert not [line for line in records if secret in line]


def test_no_header_of_the_environment_is_told_either(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", CANARY)  # its owner forgot the name
    to = collector(Settings(), os.environ)
    assert to is not None
    Delivery(to, Settings(), "controller", AT_ONCE).close(PATIENCE_S)
    assert CANARY not in caplog.text


def test_no_login_in_the_environments_address_is_told_either(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    to = collector(Settings(), {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://me:{CANARY}@127.0.0.1:4317"})
    assert to is not None
    failed(SdkLog(to), f"Failed to export traces to me:{CANARY}@127.0.0.1:4317, error code: StatusCode.UNAVAILABLE")
    assert CANARY not in caplog.text
