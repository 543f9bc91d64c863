"""Whose turn it is: the most overdue by its own measure, and nobody waits for ever."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from appliance.inference.schedule import Turn, most_overdue

PERIODS = st.sampled_from([1 / 30, 1 / 10, 1 / 3, 1.0, 5.0])


def test_where_nobody_waits_nobody_is_next() -> None:
    assert most_overdue([], 10) is None


def test_the_only_one_who_waits_is_next_even_before_its_time() -> None:
    alone = Turn("porch", last_s=10, period_s=5)
    assert most_overdue([alone], 10) is alone


def test_of_equal_periods_the_one_that_waited_longest_is_next() -> None:
    turns = [Turn("a", 9, 1), Turn("b", 7, 1), Turn("c", 8, 1)]
    assert most_overdue(turns, 10) is turns[1]


def test_an_alarmed_camera_comes_before_an_idle_one_that_has_waited_longer() -> None:
    idle, alarmed = Turn("idle", 9.0, 1 / 3), Turn("alarmed", 9.8, 1 / 30)
    assert most_overdue([idle, alarmed], 10) is alarmed


def test_an_idle_camera_comes_before_an_alarmed_one_that_was_just_looked_at() -> None:
    idle, alarmed = Turn("idle", 9.0, 1 / 3), Turn("alarmed", 9.99, 1 / 30)
    assert most_overdue([idle, alarmed], 10) is idle


@given(st.lists(st.tuples(st.floats(0, 100), PERIODS), min_size=1, max_size=20), st.floats(100, 200))
def test_nobody_waits_longer_for_its_period_than_who_is_next(waits: list[tuple[float, float]], now_s: float) -> None:
    turns = [Turn(str(i), last_s, period_s) for i, (last_s, period_s) in enumerate(waits)]
    chosen = most_overdue(turns, now_s)
    assert chosen is not None
    assert all((now_s - t.last_s) / t.period_s <= (now_s - chosen.last_s) / chosen.period_s for t in turns)


@given(st.lists(PERIODS, min_size=1, max_size=12), st.floats(0.001, 2))
def test_nobody_starves_however_slow_the_model_is(periods: list[float], look_s: float) -> None:
    """All of them always wait. Then each gets its share of the looks: by its rate, of all the rates together."""
    turns = {str(i): Turn(str(i), 0.0, period) for i, period in enumerate(periods)}
    looks: dict[str, list[int]] = {name: [0] for name in turns}
    share = {name: sum(turn.period_s / other.period_s for other in turns.values()) for name, turn in turns.items()}
    total = round(4 * max(share.values())) + len(turns)
    for number in range(1, total + 1):
        chosen = most_overdue(turns.values(), number * look_s)
        assert chosen is not None
        turns[chosen.camera] = replace(chosen, last_s=number * look_s)
        looks[chosen.camera].append(number)
    for name, times in looks.items():
        assert max(later - earlier for earlier, later in pairwise([*times, total])) <= 2 * share[name] + len(turns)
