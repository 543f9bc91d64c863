"""Which version is tried when: the other one where ours may not be known, and none that was not asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config import Mqtt
from appliance.mqtt.versions import ANSWER_S, TRIED_IN_VAIN, V5, V311, Versions

HAPPENS: list[Callable[[Versions], bool]] = [Versions.refused, Versions.unanswered, Versions.in_vain, Versions.lost]


def versions(protocol: str = "auto") -> Versions:
    return Versions(Mqtt.model_validate({"protocol": protocol}))


def in_3_1_1() -> Versions:
    one = versions()
    assert one.refused()
    assert one.current == V311
    one.taken()
    return one


def test_5_comes_first() -> None:
    assert versions().current == V5


@pytest.mark.parametrize("happens", [Versions.refused, Versions.unanswered])
def test_a_broker_that_refuses_or_does_not_answer_is_spoken_to_in_the_other(
    happens: Callable[[Versions], bool],
) -> None:
    one = versions()
    assert happens(one)
    assert one.current == V311
    assert happens(one)
    assert one.current == V5


def test_a_broker_that_hangs_up_is_given_another_chance_first() -> None:
    one = versions()
    assert [one.in_vain() for _ in range(2 * TRIED_IN_VAIN)] == 2 * [*[False] * (TRIED_IN_VAIN - 1), True]
    assert one.current == V5


def test_an_answer_between_two_that_hang_up_makes_the_next_the_first_again() -> None:
    one = versions()
    for _ in range(3 * TRIED_IN_VAIN):
        assert [one.in_vain() for _ in range(TRIED_IN_VAIN - 1)] == [False] * (TRIED_IN_VAIN - 1)
        one.taken()


def test_after_a_connection_in_3_1_1_the_newer_one_is_tried_again() -> None:
    one = in_3_1_1()
    assert one.lost()
    assert one.current == V5


def test_after_a_connection_in_5_it_stays() -> None:
    one = versions()
    one.taken()
    assert not one.lost()
    assert one.current == V5


def test_a_silent_broker_is_given_more_time_each_time_up_to_eight_times_as_much_until_it_answers() -> None:
    one, given = versions(), []
    for _ in range(6):
        given.append(one.patience_s / ANSWER_S)
        one.unanswered()
    assert given == [1, 2, 4, 8, 8, 8]
    one.taken()
    assert one.patience_s == ANSWER_S


@given(st.sampled_from([("5", V5), ("3.1.1", V311)]), st.lists(st.sampled_from(HAPPENS)))
def test_a_version_that_was_asked_for_is_never_left_whatever_happens(
    asked: tuple[str, int], story: list[Callable[[Versions], bool]]
) -> None:
    protocol, version = asked
    one = versions(protocol)
    assert not any(happens(one) for happens in story)
    assert (one.current, one.patience_s) == (version, ANSWER_S)


@given(st.lists(st.sampled_from(HAPPENS)))
def test_whoever_is_told_that_it_changed_speaks_another_and_else_the_same(
    story: list[Callable[[Versions], bool]],
) -> None:
    one = versions()
    for happens in story:
        before = one.current
        assert happens(one) is (one.current != before)
