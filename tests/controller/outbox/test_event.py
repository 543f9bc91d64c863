"""One event: what the broker hears of it, and the line that brings it back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.controller.outbox.event import Event, from_line

WALL_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000

words = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def event(*, late: bool = False) -> Event:
    return Event(7, "porch/event", {"event_type": "person_entered", "timestamp": "then"}, WALL_NS, late=late)


def test_an_event_that_is_sent_at_once_has_its_number_and_no_age() -> None:
    assert json.loads(event().text(WALL_NS + 5 * SECOND_NS)) == {
        "event_type": "person_entered",
        "timestamp": "then",
        "event_id": 7,
    }


def test_a_late_event_says_so_with_its_age_and_keeps_its_own_time() -> None:
    assert json.loads(event(late=True).text(WALL_NS + 61_234_000_000)) == {
        "event_type": "person_entered",
        "timestamp": "then",
        "event_id": 7,
        "replayed": True,
        "age_s": 61.2,
    }


def test_a_clock_that_was_set_back_makes_nothing_younger_than_new() -> None:
    assert json.loads(event(late=True).text(WALL_NS - 3600 * SECOND_NS))["age_s"] == 0


@given(
    number=st.integers(0, 2**62),
    topic=st.text(min_size=1),
    wall_ns=st.integers(0, 2**62),
    payload=st.dictionaries(st.text(), words, max_size=4),
)
def test_a_line_brings_the_event_back_as_a_late_one(
    number: int, topic: str, wall_ns: int, payload: dict[str, object]
) -> None:
    line = Event(number, topic, payload, wall_ns, lambda _at_ns, _is_prompt: None, in_flight=True).line()
    assert "\n" not in line
    assert from_line(line) == Event(number, topic, payload, wall_ns, late=True)


@given(cut=st.integers(0, len(event().line()) - 1))
def test_no_part_of_a_line_is_an_event(cut: int) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- json's own or ours
        from_line(event().line()[:cut])


@pytest.mark.parametrize(
    "line", ["7", "null", "[]", '[7, "", 1, {}]', '["7", "t", 1, {}]', '[7, "t", 1, []]', '[7, "t", 1, {}, 0]']
)
def test_what_is_json_and_no_event_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="no event"):
        from_line(line)
