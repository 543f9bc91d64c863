"""Figures while they are counted: histograms, counters, and what a process takes of the machine."""

from __future__ import annotations

import itertools
import math
import os
import secrets
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.ipc.heartbeat import HeartbeatFile, read_heartbeats
from appliance.ipc.run_folder import RunFolder
from appliance.messages import Heartbeat, Histogram
from appliance.stage import Pulse
from appliance.telemetry import Tally
from appliance.telemetry.tally import SECONDS

on_bounds = st.sampled_from(SECONDS)
values = st.lists(st.one_of(st.floats(-1, 1000), on_bounds), max_size=100)


def tallied(counted: list[float], bounds: tuple[float, ...] = SECONDS) -> Histogram:
    tally = Tally(bounds)
    for value in counted:
        tally.add(value)
    return tally.histogram


@pytest.fixture
def folder() -> Iterator[RunFolder]:
    one = RunFolder(f"test_{os.getpid()}_{secrets.token_hex(4)}")
    one.create()
    yield one
    one.remove()


@pytest.fixture
def pulse(folder: RunFolder) -> Pulse:
    return Pulse(HeartbeatFile(folder, "controller"), "controller")


def beaten(pulse: Pulse, folder: RunFolder) -> Heartbeat:
    """Have it beat, and return what others read of that."""
    pulse.beat(now=True)
    return read_heartbeats(folder)[pulse.name]


# Histograms


def test_nothing_counted_is_a_histogram_too() -> None:
    assert Tally().histogram == Histogram(SECONDS, (0,) * (len(SECONDS) + 1), 0.0)


@given(values)
def test_each_value_is_in_the_one_bucket_that_it_belongs_to(counted: list[float]) -> None:
    histogram = tallied(counted)
    edges = (-math.inf, *SECONDS, math.inf)
    expected = [sum(low < value <= high for value in counted) for low, high in itertools.pairwise(edges)]
    assert list(histogram.counts) == expected
    assert sum(histogram.counts) == len(counted)
    assert histogram.sum == pytest.approx(math.fsum(counted))


@given(on_bounds)
def test_a_value_on_a_bound_is_in_the_bucket_below_it(bound: float) -> None:
    place = SECONDS.index(bound)
    assert tallied([bound]).counts[place] == 1
    assert tallied([math.nextafter(bound, math.inf)]).counts[place + 1] == 1


def test_what_was_read_does_not_change_with_what_is_counted_later() -> None:
    tally = Tally((1.0,))
    tally.add(0.5)
    before = tally.histogram
    tally.add(0.5)
    assert (before.counts, tally.histogram.counts) == ((1, 0), (2, 0))


def test_the_bounds_ascend() -> None:
    assert all(low < high for low, high in itertools.pairwise(SECONDS))


# The heartbeat


def test_what_was_tallied_and_counted_is_in_the_heartbeat(pulse: Pulse, folder: RunFolder) -> None:
    for seconds in (0.001, 0.3, 20.0):
        pulse.tally("alarm_seconds.porch", seconds)
    pulse.tally("alarm_seconds.yard", 0.002)
    pulse.count("transitions.porch.tracking")
    pulse.count("transitions.porch.tracking")
    pulse.count("detections.porch", 5)
    beat = beaten(pulse, folder)
    assert beat.histograms == {
        "alarm_seconds.porch": tallied([0.001, 0.3, 20.0]),
        "alarm_seconds.yard": tallied([0.002]),
    }
    assert beat.counters["transitions.porch.tracking"] == 2
    assert beat.counters["detections.porch"] == 5


def test_a_camera_that_is_forgotten_is_in_no_figure_and_the_others_are(pulse: Pulse, folder: RunFolder) -> None:
    for camera in ("porch", "porch2", "yard"):
        pulse.count(f"transitions.{camera}.tracking")
        pulse.count(f"persons.{camera}")
        pulse.tally(f"alarm_seconds.{camera}", 1)
    pulse.count("outbox")
    pulse.forget("porch")
    beat = beaten(pulse, folder)
    assert [name for name in (*beat.counters, *beat.histograms) if "porch" in name.split(".")] == []
    assert {"transitions.porch2.tracking", "persons.porch2", "persons.yard", "outbox"} <= beat.counters.keys()
    assert beat.histograms.keys() == {"alarm_seconds.porch2", "alarm_seconds.yard"}


def test_a_camera_called_like_a_metric_takes_nothing_with_it(pulse: Pulse) -> None:
    pulse.count("outbox")
    pulse.count("persons.outbox")
    pulse.forget("outbox")
    assert pulse.counters == {"outbox": 1}


def test_a_camera_called_like_a_state_takes_no_other_cameras_figures_with_it(pulse: Pulse) -> None:
    pulse.count("transitions.porch.tracking")
    pulse.count("alarm_transitions.triggered")
    pulse.forget("tracking")
    pulse.forget("triggered")
    assert pulse.counters == {"transitions.porch.tracking": 1, "alarm_transitions.triggered": 1}


def test_a_forgotten_camera_that_returns_begins_anew(pulse: Pulse) -> None:
    pulse.count("detections.porch", 9)
    pulse.forget("porch")
    pulse.count("detections.porch")
    assert pulse.counters["detections.porch"] == 1


# What the process takes


def test_each_heartbeat_says_what_its_process_takes(pulse: Pulse, folder: RunFolder) -> None:
    first = beaten(pulse, folder).counters
    used = os.times()
    while os.times().user < used.user + 0.05:  # work, so that there is something to see
        sum(range(10_000))
    second = beaten(pulse, folder).counters
    assert second["cpu_seconds.user"] > first["cpu_seconds.user"] > 0
    assert second["cpu_seconds.system"] >= first["cpu_seconds.system"] >= 0
    page = os.sysconf("SC_PAGE_SIZE")
    assert first["memory_bytes"] % page == 0
    assert 1_000_000 < first["memory_bytes"] < page * os.sysconf("SC_PHYS_PAGES")


def test_a_machine_without_proc_has_no_figure_of_memory_and_still_beats(
    pulse: Pulse, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from appliance import stage

    monkeypatch.setattr(stage, "Path", lambda _name: folder.path / "nothing")
    assert "memory_bytes" not in beaten(pulse, folder).counters
    assert "cpu_seconds.user" in pulse.counters
