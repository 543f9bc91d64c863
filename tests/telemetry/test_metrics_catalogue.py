"""The catalogue of metrics: it follows the conventions, and what the stages count and what it names are the same."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import appliance
from appliance.messages import Health, Heartbeat, Histogram
from appliance.telemetry import metrics
from appliance.telemetry.metrics import METRICS, Kind, Metric, points

NAMES = [metric.name for metric in METRICS]
COUNTED = Histogram((0.1, 1.0), (1, 2, 0), 1.5)
PROCESSES = {
    "capture": "capture.porch",
    "inference": "inference",
    "controller": "controller",
    "gateway": "gateway",
    "supervisor.py": "supervisor",
    "stage.py": "controller",
    "running.py": "capture.porch",
}
"""Where in the package, and whose heartbeat has what is counted there."""
OF_THE_PAGE = {
    "fps", "frames_lost", "inference_ms", "inferences_per_second", "latency_ms", "queue_ms",
}  # fmt: skip
"""Figures of the newest moment, for people: a metric says the same by a histogram or a rate."""
ORDINARY_UNITS = {"s", "By", "1"}

by_name = {metric.name: metric for metric in METRICS}
every_metric = pytest.mark.parametrize("metric", METRICS, ids=NAMES)


def a_beat(**more: Any) -> Heartbeat:
    return Heartbeat(**{"stage": "any", "health": Health.RUNNING, "beat_ns": 5, "started_wall_ns": 17, **more})


def said(name: str, process: str, key: str, value: float | Histogram = 3.0) -> list[tuple[dict[str, str], Any]]:
    """Return the points of this metric where one process says this."""
    where = "histograms" if isinstance(value, Histogram) else "counters"
    found = points(by_name[name], {process: a_beat(**{where: {key: value}})})
    return [(point.attributes, point.value) for point in found]


# Names and units


@every_metric
def test_a_metric_is_called_as_opentelemetry_wants_it(metric: Metric) -> None:
    assert re.fullmatch(r"porchlight(\.[a-z][a-z0-9]*(_[a-z0-9]+)*)+", metric.name)
    assert len(metric.name) <= 255
    last = metric.name.rpartition(".")[2]
    assert last not in {"total", "count", "seconds", "bytes", "milliseconds"}, "the unit is told as such"
    assert not metric.name.endswith("_total")
    for name in metric.by:
        assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*", name)


def test_no_name_is_used_twice_or_is_the_folder_of_another() -> None:
    assert len(set(NAMES)) == len(NAMES)
    folders = {name[:at] for name in NAMES for at in range(len(name)) if name[at] == "."}
    assert not folders & set(NAMES)


@every_metric
def test_a_unit_is_ucums_or_a_word_in_braces(metric: Metric) -> None:
    assert metric.unit in ORDINARY_UNITS or re.fullmatch(r"\{[a-z]+\}", metric.unit)
    assert metric.kind is not Kind.HISTOGRAM or metric.unit == "s"
    assert metric.kind is not Kind.COUNTER or metric.unit != "1"


@every_metric
def test_a_metric_is_explained_in_one_line(metric: Metric) -> None:
    assert re.fullmatch(r"[A-Z0-9][^\n\\\"]+\.", metric.text)


def test_no_two_metrics_read_the_same_key() -> None:
    keys = [(metric.key, bool(metric.by), metric.kind is Kind.HISTOGRAM) for metric in METRICS if metric.key]
    assert len(set(keys)) == len(keys)


# What the stages write


def written() -> Iterator[tuple[str, str, str]]:
    """Yield whose heartbeat has which key, and where that is: "counters" or "histograms".

    Read off the stages' code, so that a figure that is new there is looked for here. What is put in is V.
    """
    root = Path(appliance.__file__).parent
    for file in sorted(root.rglob("*.py")):
        process = PROCESSES.get(file.relative_to(root).parts[0])
        if process is not None:
            for node in ast.walk(ast.parse(file.read_text())):
                yield from ((process, where, key) for where, key in _keys(node))


def _keys(node: ast.AST) -> Iterator[tuple[str, str]]:
    match node:
        case ast.Subscript(value=base, slice=key, ctx=ast.Store()) if _is_of(base, "counters"):
            yield from _text("counters", key)
        case ast.Call(func=ast.Attribute(attr="count", value=base), args=[key, *_]) if _is_of(base, "pulse"):
            yield from _text("counters", key)
        case ast.Call(func=ast.Attribute(attr="tally", value=base), args=[key, *_]) if _is_of(base, "pulse"):
            yield from _text("histograms", key)
        case ast.Call(func=ast.Attribute(attr="partial"), args=[ast.Attribute(attr="count", value=base), key]) if (
            _is_of(base, "pulse")
        ):
            yield from _text("counters", key)
        case ast.Call(func=ast.Attribute(attr="update", value=base), args=[ast.DictComp(key=key)]) if _is_of(
            base, "counters"
        ):
            yield from _text("counters", key)


def _is_of(base: ast.expr, what: str) -> bool:
    return ast.unparse(base).rpartition(".")[2].lstrip("_") == what


def _text(where: str, key: ast.expr) -> Iterator[tuple[str, str]]:
    match key:
        case ast.Constant(value=str(text)):
            yield where, text
        case ast.JoinedStr(values=parts):
            yield where, "".join(str(part.value) if isinstance(part, ast.Constant) else "V" for part in parts)
        case ast.Name():
            pass  # the loop that counts (Pulse.count itself): its callers are looked at
        case _:
            raise AssertionError(f"what is counted as {ast.unparse(key)}?")


WRITTEN = sorted(set(written()))


def found_by(process: str, where: str, key: str) -> list[str]:
    value = {key: COUNTED if where == "histograms" else 1.0}
    return [
        metric.name for metric in METRICS if metric.key and list(points(metric, {process: a_beat(**{where: value})}))
    ]


@pytest.mark.parametrize(("process", "where", "key"), WRITTEN)
def test_each_figure_that_a_stage_counts_is_one_metric_or_the_pages_alone(process: str, where: str, key: str) -> None:
    expected = 0 if key.partition(".")[0] in OF_THE_PAGE else 1
    assert len(found_by(process, where, key)) == expected


@every_metric
def test_each_metric_is_counted_somewhere(metric: Metric) -> None:
    from appliance.stage import _own_figures

    everywhere = [(*one,) for one in WRITTEN] + [("controller", "counters", key) for key in _own_figures()]
    is_counted = any(metric.name in found_by(*one) for one in everywhere)
    assert is_counted or metric.name == "porchlight.heartbeat.age"  # that is read off the heartbeat itself


def test_the_figures_of_the_page_are_still_counted() -> None:
    assert {key.partition(".")[0] for _, _, key in WRITTEN} >= OF_THE_PAGE


# Attributes


@pytest.mark.parametrize(
    ("name", "process", "key", "attributes"),
    [
        ("porchlight.frames.captured", "capture.porch", "frames_captured", {"camera": "porch"}),
        ("porchlight.frames.unusable", "capture.porch", "unusable.stale", {"camera": "porch", "reason": "stale"}),
        ("porchlight.frames.lost", "capture.porch", "lost.gateway", {"camera": "porch", "consumer": "gateway"}),
        ("porchlight.frames.inferred", "inference", "frames_inferred.porch", {"camera": "porch"}),
        (
            "porchlight.sentry.transitions",
            "controller",
            "transitions.porch.tracking",
            {"camera": "porch", "state": "tracking"},
        ),
        ("porchlight.alarm.transitions", "controller", "alarm_transitions.armed_away", {"state": "armed_away"}),
        ("porchlight.mqtt.connected", "controller", "mqtt_connected", {"stage": "controller"}),
        ("porchlight.mqtt.connected", "gateway", "mqtt_connected", {"stage": "gateway"}),
        ("porchlight.outbox.events", "controller", "outbox", {"stage": "controller"}),
        ("porchlight.viewers", "gateway", "viewers.porch", {"camera": "porch"}),
        ("porchlight.stage.restarts", "supervisor", "restarts.inference", {"stage": "inference"}),
        ("porchlight.stage.restarts", "capture", "restarts.capture.porch", {"stage": "capture", "camera": "porch"}),
        ("porchlight.telemetry.lost", "capture.porch", "spans_lost", {"stage": "capture", "camera": "porch"}),
        ("porchlight.process.memory.usage", "inference", "memory_bytes", {"stage": "inference"}),
        (
            "porchlight.process.cpu.time",
            "capture.porch",
            "cpu_seconds.user",
            {"stage": "capture", "camera": "porch", "cpu.mode": "user"},
        ),
    ],
)
def test_a_value_says_what_it_is_of(name: str, process: str, key: str, attributes: dict[str, str]) -> None:
    assert said(name, process, key) == [(attributes, 3.0)]


@given(st.from_regex(r"[a-z0-9_]{1,32}", fullmatch=True))
def test_whatever_a_camera_is_called_it_is_found_by_its_name(camera: str) -> None:
    name = "porchlight.sentry.transitions"
    expected = [({"camera": camera, "state": "standby"}, 3.0)]
    assert said(name, "controller", f"transitions.{camera}.standby") == expected
    assert said("porchlight.frames.captured", f"capture.{camera}", "frames_captured") == [({"camera": camera}, 3.0)]


def test_a_histogram_is_found_among_histograms_and_a_counter_among_counters() -> None:
    duration = "porchlight.inference.duration"
    assert said(duration, "inference", "inference_seconds.porch", COUNTED) == [({"camera": "porch"}, COUNTED)]
    assert said(duration, "inference", "inference_seconds.porch", 1.0) == []
    assert said("porchlight.detections", "inference", "detections.porch", COUNTED) == []


@pytest.mark.parametrize(
    ("name", "process", "key"),
    [
        ("porchlight.frames.captured", "inference", "frames_captured"),
        ("porchlight.frames.captured", "capture.porch", "frames_captured.porch"),
        ("porchlight.frames.captured", "capture.porch", "frames_captured_today"),
        ("porchlight.viewers", "gateway", "viewers"),
        ("porchlight.frames.lost", "capture.porch", "frames_lost.gateway"),
        ("porchlight.outbox.events", "controller", "outbox_lost"),
    ],
)
def test_what_is_another_stages_or_another_key_is_no_value(name: str, process: str, key: str) -> None:
    assert said(name, process, key) == []


def test_each_process_and_each_value_is_a_point_that_says_since_when() -> None:
    beats = {
        "controller": a_beat(counters={"transitions.porch.tracking": 1, "transitions.yard.standby": 2, "outbox": 9}),
        "inference": a_beat(counters={"frames_inferred.porch": 4}),
    }
    beats["controller"] = replace(beats["controller"], started_wall_ns=1234)
    found = list(points(by_name["porchlight.sentry.transitions"], beats))
    assert [(point.attributes["camera"], point.value, point.since_ns) for point in found] == [
        ("porch", 1, 1234),
        ("yard", 2, 1234),
    ]


def test_a_heartbeat_has_an_age_and_no_clock_makes_it_negative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "time", SimpleNamespace(monotonic_ns=lambda: 7_500_000_000))
    beats = {"capture.porch": a_beat(beat_ns=5_000_000_000), "gateway": a_beat(beat_ns=8_000_000_000)}
    ages = [(point.attributes, point.value) for point in points(by_name["porchlight.heartbeat.age"], beats)]
    assert ages == [({"stage": "capture", "camera": "porch"}, 2.5), ({"stage": "gateway"}, 0.0)]
