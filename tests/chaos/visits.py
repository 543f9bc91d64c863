"""Somebody who visits every few seconds: who came and left, as no kill can hide it, and what was told of it."""

from __future__ import annotations

import datetime as dt
import itertools
import statistics
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from appliance.ipc.mailbox import last_state
from appliance.ipc.run_folder import RunFolder
from appliance.messages import SentryState, Transition
from tests.capture.clips import FPS, video
from tests.rig import CLIP, MODEL, Ear, Heard, clip_settings, need, wait_for

CAMERA = "front_door"
VISIT_S = 4.0
"""One round of the short clip: 1.3 s of an empty room, then one visit."""
LOOK_S = 0.05
TOLD_S = 30.0
"""For the last event to come: the longest wait before a connection is tried again, and some patience."""

Key = tuple[str, str]
"""What happened, and when: `person_entered`, and the event's `timestamp`."""


def visiting_clip(path: Path) -> Path:
    """Cut one visit out of the shared clip; skips the test where that is missing."""
    need(CLIP, MODEL)
    with av.open(str(CLIP)) as container:
        frames = itertools.islice(container.decode(video=0), 50, 50 + round(VISIT_S * FPS))
        return video(path, [frame.to_ndarray(format="rgb24") for frame in frames], "libx264")


def visiting_settings(broker_port: int, clip: Path, **more: Any) -> dict[str, Any]:
    """Return settings with which each round of the clip is a visit."""
    return clip_settings(broker_port, f"file://{clip}?loop=true", sentry={"clear_seconds": 0.3}, **more)


class KeenEar(Ear):
    """Comes back at once when the broker does. Its session is a clean one: what is said until it is back (0.1 s) is
    not heard. No event is, which waits two seconds for Home Assistant.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._client.reconnect_delay_set(0.05, 0.1)  # type: ignore[arg-type] # paho adds them to times

    def live(self, topic: str, since: float) -> list[str]:
        """Return the words that were said since then, not those that the broker had kept."""
        return [one.payload.decode() for one in self.all(topic, since) if not one.retain]


class Witness:
    """Notes the sentry's transitions where they are before anything is told, and where the next controller goes on from
    them: in the state channel's file. Takes no seat, and looks twice, since a slot that it reads may be written.
    """

    def __init__(self, instance: str) -> None:
        self._folder = RunFolder(instance)
        self._stop = threading.Event()
        self.seen: dict[tuple[SentryState, int], Transition] = {}
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def visits(self) -> list[tuple[Key, Transition]]:
        """Return who came and left, in the order in which it happened."""
        found = ((key_of(one), one) for one in list(self.seen.values()))
        return [(key, one) for key, one in found if key is not None]

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_S):
            state = last_state(self._folder, CAMERA)
            if state is not None and state == last_state(self._folder, CAMERA):
                for one in state.transitions:
                    self.seen.setdefault((one.state, one.wall_ns), one)


def key_of(transition: Transition) -> Key | None:
    """Return what must be told of a transition; None: nothing."""
    moment = dt.datetime.fromtimestamp(transition.wall_ns / 1e9, dt.UTC).isoformat(timespec="milliseconds")
    if transition.state is SentryState.TRACKING:
        return "person_entered", moment
    return ("person_left", moment) if transition.previous is SentryState.TRACKING else None


@dataclass(frozen=True, slots=True)
class Account:
    """What was heard of all that happened. Nothing was lost, or `account` had not returned it."""

    events: int
    again: int
    """Heard more than once, with the same id."""
    ages: list[float]
    """Seconds, of those that were told late."""

    def __str__(self) -> str:
        late = f", {len(self.ages)} late by {statistics.median(self.ages):.1f} s (median)" if self.ages else ""
        return f"{self.events} events, 0 lost, {self.again} came again{late}"


def account(witness: Witness, ear: Ear) -> Account:
    """Hold what was heard against what happened: nothing lost, nothing invented, each visit once by its `event_id`, in
    order, and everything the same when it came again. AssertionError names what is not so.
    """
    happened = [key for key, _ in witness.visits]
    assert happened, "nobody came"
    _wait_for_all(ear, happened)
    heard = ear.all(f"/{CAMERA}/event")
    keys = {_key(one) for one in heard}
    wait_for("what was told had happened", TOLD_S, lambda: keys <= {key for key, _ in witness.visits})
    firsts: dict[int, dict[str, Any]] = {}
    for one in heard:
        words = one.json()
        first = firsts.setdefault(words["event_id"], words)
        assert _lasting(words) == _lasting(first)
        assert words is first or words.get("replayed") is True, f"told twice as news: {words}"
    assert len(firsts) == len(keys), f"told under two ids: {sorted(_key(one) for one in heard)}"
    told = [_key_in(words) for words in firsts.values()]
    assert told[: len(happened)] == happened, "in another order than it happened"
    assert list(firsts) == sorted(firsts)
    _entered_and_left(list(firsts.values()))
    # A fact that was told wrongly, and then rightly again, would be one coming more.
    assert _comings(ear) <= sum(what == "person_entered" for what, _ in told)
    ages = [words["age_s"] for words in firsts.values() if "replayed" in words]
    return Account(len(firsts), len(heard) - len(firsts), ages)


def _wait_for_all(ear: Ear, happened: list[Key]) -> None:
    def lost() -> set[Key]:
        return set(happened) - {_key(one) for one in ear.all(f"/{CAMERA}/event")}

    try:
        wait_for("every visit", TOLD_S, lambda: not lost())
    except AssertionError:
        raise AssertionError(f"lost: {sorted(lost(), key=lambda key: key[1])}") from None


def _entered_and_left(events: list[dict[str, Any]]) -> None:
    """Whoever left had entered, under the same name."""
    for place, words in enumerate(events):
        assert words["event_type"] == ("person_entered", "person_left")[place % 2]
        if place % 2:
            assert words["incident"] == events[place - 1]["incident"]


def _comings(ear: Ear) -> int:
    """Return how often the occupancy was said to be on after it had been said to be off."""
    words = [one.payload for one in ear.all(f"/{CAMERA}/person") if not one.retain]
    return sum(before != b"ON" and after == b"ON" for before, after in itertools.pairwise([b"OFF", *words]))


def _lasting(words: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in words.items() if name not in {"replayed", "age_s"}}


def _key(heard: Heard) -> Key:
    return _key_in(heard.json())


def _key_in(words: dict[str, Any]) -> Key:
    return words["event_type"], words["timestamp"]
