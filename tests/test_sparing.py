"""Warnings that anybody may cause from outside fill no log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from appliance.telemetry import Sparing, logs

MORE = "more of these come in than are told here; the others are counted for a minute"


@dataclass
class Clock:
    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    one = Clock()
    with monkeypatch.context() as patched:
        patched.setattr(logs, "time", one)
        yield one


@pytest.fixture
def sparing() -> Sparing:
    return Sparing(logging.getLogger("tests.sparing"))


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return lines


def warn(sparing: Sparing, times: int) -> None:
    for number in range(times):
        sparing.warning("number %d", number)


def test_a_few_are_told_as_they_are(sparing: Sparing, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    warn(sparing, Sparing.MOST)
    assert said(caplog) == [f"number {number}" for number in range(Sparing.MOST)]


def test_of_many_the_rest_is_counted_and_told_with_the_next_one_of_another_minute(
    sparing: Sparing, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    warn(sparing, Sparing.MOST + 25)
    assert said(caplog)[Sparing.MOST :] == [MORE]
    clock.now += Sparing.WINDOW_S
    sparing.warning("the next")
    assert said(caplog) == ["and 25 more such lines in that minute", "the next"]


def test_each_minute_has_its_own_count(sparing: Sparing, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        warn(sparing, Sparing.MOST + 1)
        clock.now += Sparing.WINDOW_S
    lines = said(caplog)
    assert lines.count(MORE) == 3
    assert lines.count("and 1 more such lines in that minute") == 2


def test_a_minute_that_was_quiet_says_nothing_of_the_one_before(
    sparing: Sparing, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    warn(sparing, 3)
    clock.now += 10 * Sparing.WINDOW_S
    sparing.warning("the next")
    assert said(caplog) == ["number 0", "number 1", "number 2", "the next"]


@pytest.mark.parametrize("a_second", [1, 100])
def test_however_fast_they_come_a_minute_has_a_dozen_lines_at_most(
    sparing: Sparing, clock: Clock, caplog: pytest.LogCaptureFixture, a_second: int
) -> None:
    for _ in range(5 * 60 * a_second):
        clock.now += 1 / a_second
        sparing.warning("one more")
    assert len(said(caplog)) <= 6 * (Sparing.MOST + 2)


def test_two_sources_do_not_silence_one_another(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    one, other = (Sparing(logging.getLogger(f"tests.sparing.{name}")) for name in ("one", "other"))
    warn(one, 1000)
    caplog.clear()
    other.warning("heard")
    assert said(caplog) == ["heard"]
