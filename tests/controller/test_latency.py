"""How long alarms took: figures that were measured, of the newest alarms."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from appliance.controller.latency import KEPT, Latencies

measured = st.lists(st.integers(0, 600_000).map(lambda tenths: tenths / 10), min_size=1, max_size=KEPT + 20)


def of(values: list[float]) -> Latencies:
    latencies = Latencies()
    for value in values:
        latencies.add(value)
    return latencies


def test_before_the_first_alarm_there_is_no_figure() -> None:
    assert Latencies().figures == {"p50": None, "p95": None, "last": None}
    assert json.loads(Latencies().text) == Latencies().figures


def test_one_alarm_is_all_figures() -> None:
    assert of([81.26]).figures == {"p50": 81.3, "p95": 81.3, "last": 81.3}


def test_the_nearest_rank_is_a_latency_that_was_measured() -> None:
    assert of([float(value) for value in range(100, 0, -1)]).figures == {"p50": 50.0, "p95": 95.0, "last": 1.0}
    assert of([10.0, 20.0]).figures == {"p50": 10.0, "p95": 20.0, "last": 20.0}


def test_only_the_newest_count() -> None:
    assert of([9000.0] * 50 + [5.0] * KEPT).figures == {"p50": 5.0, "p95": 5.0, "last": 5.0}


@given(measured)
def test_so_many_alarms_were_no_slower_and_no_figure_is_larger_than_needed(values: list[float]) -> None:
    figures, newest = of(values).figures, values[-KEPT:]
    assert figures["last"] == values[-1]
    for name, share in (("p50", 0.5), ("p95", 0.95)):
        figure = figures[name]
        assert figure in newest
        assert figure is not None
        assert sum(value <= figure for value in newest) >= share * len(newest)
        assert sum(value < figure for value in newest) < share * len(newest)


@given(measured)
def test_the_text_is_the_figures(values: list[float]) -> None:
    latencies = of(values)
    assert json.loads(latencies.text) == latencies.figures
