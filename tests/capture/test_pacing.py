"""Which frames are published: at most so many a second, on time, and at once when it matters."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import example, given
from hypothesis import strategies as st

from appliance.capture.pacing import Pace
from appliance.messages import Mode

SECOND = 1_000_000_000
RATES = st.integers(min_value=1, max_value=30)
GAPS = st.lists(
    st.one_of(st.integers(0, SECOND // 5), st.integers(0, 5 * SECOND)), min_size=1, max_size=200
)  # jitter, bursts, and cameras that stall
STARTS = st.integers(min_value=0, max_value=1 << 50)


def paced(pace: Pace, times: list[int]) -> list[int]:
    """Return those of a camera's frames that are published."""
    published = []
    for captured_ns in times:
        if pace.wants(captured_ns):
            pace = pace.published(captured_ns)
            published.append(captured_ns)
    return published


def steady(fps: float, seconds: int, start: int = 0) -> list[int]:
    return [start + round(i * SECOND / fps) for i in range(round(fps * seconds))]


@given(RATES, STARTS, GAPS)
def test_no_second_of_scene_time_holds_more_than_fps_frames_and_one(fps: int, start: int, gaps: list[int]) -> None:
    published = paced(Pace(fps, None), list(accumulate(gaps, initial=start)))
    second = SECOND - fps  # a period is rounded to whole nanoseconds
    for first in published:
        assert sum(first <= other < first + second for other in published) <= fps + 1


@given(st.floats(0.2, 30), STARTS, GAPS)
def test_over_any_stretch_n_frames_take_the_time_of_n_minus_two(fps: float, start: int, gaps: list[int]) -> None:
    published = paced(Pace(1, fps, Mode.ALARMED), list(accumulate(gaps, initial=start)))
    period = round(SECOND / fps)
    for i, first in enumerate(published):
        for j in range(i + 2, len(published)):
            assert published[j] - first >= (j - i - 1) * period


def test_three_fps_of_a_ten_fps_camera_are_three_a_second_and_not_two_and_a_half() -> None:
    published = paced(Pace(3, None), steady(10, seconds=60))
    assert len(published) == 180
    assert [ns // 1_000_000 for ns in published[:7]] == [0, 400, 700, 1000, 1400, 1700, 2000]


@given(fps=st.floats(0.2, 30), camera=st.floats(0.2, 60), start=STARTS)
@example(fps=3, camera=10, start=0)
@example(fps=30, camera=30, start=1)
def test_the_average_is_the_rate_that_was_asked_for_or_the_cameras_own(fps: float, camera: float, start: int) -> None:
    published = paced(Pace(fps, None), steady(camera, 60, start))
    assert abs(len(published) - min(fps, camera) * 60) <= 2


@given(st.lists(st.integers(-40_000_000, 40_000_000), min_size=50, max_size=50))
def test_jitter_costs_no_frames(jitter: list[int]) -> None:
    times = [SECOND + ns + late for ns, late in zip(steady(10, 60), jitter * 12, strict=True)]
    assert 178 <= len(paced(Pace(3, None), times)) <= 181


@given(RATES, STARTS, GAPS, RATES, st.integers(0, SECOND))
def test_the_very_next_frame_is_published_when_the_alarm_comes(
    standby: int, start: int, gaps: list[int], alarmed: int, later: int
) -> None:
    pace = Pace(standby, alarmed)
    times = list(accumulate(gaps, initial=start))
    for captured_ns in times:
        if pace.wants(captured_ns):
            pace = pace.published(captured_ns)
    assert pace.in_mode(Mode.ALARMED).wants(times[-1] + later)


def test_alarmed_without_a_limit_is_every_frame_even_of_a_clock_that_goes_back() -> None:
    pace = Pace(3, None).in_mode(Mode.ALARMED)
    times = [5 * SECOND, 5 * SECOND, 4 * SECOND, 0, 6 * SECOND]
    assert paced(pace, times) == times


def test_back_in_standby_the_pace_goes_on_from_the_last_frame() -> None:
    pace = Pace(1, None).in_mode(Mode.ALARMED)
    pace = pace.published(10 * SECOND).in_mode(Mode.STANDBY)
    assert paced(pace, [10 * SECOND + tenths * SECOND // 10 for tenths in range(1, 31)]) == [
        10 * SECOND + SECOND // 10,
        11 * SECOND,
        12 * SECOND,
        13 * SECOND,
    ]


def test_the_same_mode_again_changes_nothing() -> None:
    pace = Pace(3, 10, Mode.ALARMED).published(SECOND)
    assert pace.in_mode(Mode.ALARMED) is pace


def test_time_that_was_missed_is_not_caught_up_with() -> None:
    after_an_hour = 3600 * SECOND
    published = paced(Pace(3, None), [0, *(after_an_hour + ns for ns in steady(30, seconds=2))])
    assert published[1] == after_an_hour
    assert sum(ns < after_an_hour + SECOND for ns in published[1:]) == 3


@given(RATES, st.integers(1, 1 << 50))
def test_a_clock_that_jumps_back_does_not_blind_the_camera(fps: int, back: int) -> None:
    before = steady(30, seconds=2, start=1 << 51)
    after = steady(30, seconds=10, start=before[-1] - 5 * SECOND - back)
    published = paced(Pace(fps, None), before + after)[len(paced(Pace(fps, None), before)) :]
    assert published[0] == after[0]
    assert abs(len(published) - fps * 10) <= 2
