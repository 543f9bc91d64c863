"""What is told of a camera of which nobody can say anything, and of what a dead controller did not live to tell."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from appliance.config import Camera
from appliance.controller.eye import Eye
from appliance.controller.notices import UNSERVED, UNTOLD_NS, Notices
from appliance.controller.statements import Silence
from appliance.controller.topics import Topics
from appliance.controller.visits import iso
from appliance.messages import SentryState, Transition

CAMERA = Camera(id="porch", source="synthetic://porch")
SECOND = 1_000_000_000


class Said(Silence):
    """Notes what is said; `told` is the newest event of before."""

    def __init__(self, told: Mapping[str, Any] | None = None) -> None:
        self.facts: dict[str, str] = {}
        self.events: list[str] = []
        self._told = told

    def fact(self, topic: str, payload: str) -> None:
        self.facts[topic] = payload

    def event(self, topic: str, payload: Mapping[str, Any], _acknowledged: object = None) -> None:
        assert topic == "porchlight/home/porch/event"
        self.events.append(payload["event_type"])

    def newest_event(self, _topic: str) -> Any:
        return self._told


def notices(said: Said) -> Notices:
    return Notices(CAMERA, Topics("home"), said, lambda _milliseconds: None)


def entered(seconds_ago: float) -> Transition:
    wall_ns = time.time_ns() - round(seconds_ago * SECOND)
    return Transition(SentryState.VALIDATION, SentryState.TRACKING, 7, 7 * SECOND, wall_ns, 0.9)


def left(seconds_ago: float) -> Transition:
    return replace(entered(seconds_ago), previous=SentryState.TRACKING, state=SentryState.STANDBY)


def test_a_camera_that_cannot_be_served_is_blind_and_not_clear() -> None:
    said = Said()
    notices(said).unserved()
    assert said.facts["porchlight/home/porch/status"] == "offline"
    watching = json.loads(said.facts["porchlight/home/porch/watching"])
    assert watching == {"state": "blind", "reason": UNSERVED}


@pytest.mark.parametrize("decided", [entered, left])
def test_what_was_decided_and_not_told_is_told(decided: Callable[[float], Transition]) -> None:
    transition = decided(1)
    for told in (None, {"timestamp": iso(transition.wall_ns - SECOND)}):
        said = Said(told)
        notices(said).untold(Eye(transitions=(transition,)))
        assert len(said.events) == 1


def test_what_was_told_is_not_told_again() -> None:
    transition = entered(1)
    said = Said({"timestamp": iso(transition.wall_ns)})
    notices(said).untold(Eye(transitions=(transition,)))
    assert said.events == []


def test_who_left_before_the_alarm_went_off_was_told_before_it() -> None:
    said = Said({"event_type": "alarm_triggered", "timestamp": iso(time.time_ns()), "seen": iso(entered(30).wall_ns)})
    notices(said).untold(Eye(transitions=(left(13),)))
    assert said.events == []


def test_what_is_old_is_no_news() -> None:
    said = Said()
    notices(said).untold(Eye(transitions=(entered(1 + UNTOLD_NS / SECOND),)))
    assert said.events == []
