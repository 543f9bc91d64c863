"""What the controller believes of a camera, and when it stops believing."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from appliance.config import Sentry as SentrySettings
from appliance.controller.eye import KEPT_TRANSITIONS, Eye, resumed
from appliance.controller.sightings import Counting, Sieve
from appliance.messages import CameraState, Detections, FrameInfo, Mode, PixelFormat, Rows, SentryState

SETTINGS = SentrySettings()
SIEVE = Sieve(Counting(classes=frozenset({1})))
SECOND = 1_000_000_000
STANDBY, VALIDATION, TRACKING = SentryState.STANDBY, SentryState.VALIDATION, SentryState.TRACKING


def detections(number: int, *people: float, others: tuple[int, ...] = ()) -> Detections:
    """A frame a tenth of a second, with people of these scores and one thing for each class of `others`."""
    count = len(people) + len(others)
    frame = FrameInfo(number, number * SECOND // 10, SECOND + number, 640, 480, PixelFormat.JPEG)
    rows = Rows.of(
        np.zeros((count, 4), np.float32),
        np.array([*people, *[0.99] * len(others)], np.float32),
        np.array([*[1] * len(people), *others], np.int32),
    )
    return Detections(frame, rows)


def see(eye: Eye, *frames: Detections, now_s: float = 1.0) -> Eye:
    for frame in frames:
        eye = eye.see(frame, SIEVE, SETTINGS, now_s)
    return eye


def tracking() -> Eye:
    return see(Eye(), *(detections(n, 0.9) for n in (1, 2, 3)))


def test_before_the_first_frame_nothing_is_known() -> None:
    assert not Eye().known
    assert see(Eye(), detections(1)).known


def test_a_person_counts_and_a_cat_does_not() -> None:
    assert see(Eye(), detections(1, 0.9)).sentry.state is VALIDATION
    assert see(Eye(), detections(1, others=(17, 18, 3))).sentry.state is STANDBY


def test_a_score_at_the_threshold_counts_and_one_below_does_not() -> None:
    assert see(Eye(), detections(1, 0.5)).person_count == 1
    assert see(Eye(), detections(1, 0.4999)).person_count == 0


def test_each_change_is_noted_with_the_frame_that_decided() -> None:
    first, second = tracking().transitions
    assert (first.previous, first.state, first.frame_number) == (STANDBY, VALIDATION, 1)
    assert (second.previous, second.state, second.frame_number) == (VALIDATION, TRACKING, 3)
    assert second.wall_ns == SECOND + 3
    assert abs(second.confidence - 0.9) < 1e-6


def test_silence_of_three_seconds_makes_it_blind_and_the_sentry_holds() -> None:
    eye = tracking()
    assert eye.check(3.9, 3, "").known
    blind = eye.check(4.1, 3, "")
    assert not blind.known
    assert blind.sentry == eye.sentry
    assert blind.state.state is TRACKING
    assert not blind.state.known


def test_a_slow_camera_may_be_silent_for_three_of_its_periods() -> None:
    assert tracking().check(15, 0.2, "").known
    assert not tracking().check(17, 0.2, "").known


def test_a_broken_link_makes_it_blind_at_once_and_only_a_frame_heals() -> None:
    eye = tracking().check(1.1, 3, "inference is not running")
    assert eye.blind_because == "inference is not running"
    assert not eye.check(1.2, 3, "").known
    assert see(eye, detections(4, 0.9)).known


def test_being_blind_never_changes_the_sentry() -> None:
    eye = tracking()
    for now in range(2, 100):
        eye = eye.check(now, 3, "capture is not running")
    assert eye.sentry == tracking().sentry


def test_a_clip_that_ends_is_left_with_a_transition() -> None:
    eye = tracking().end(wall_ns=7)
    assert eye.sentry.state is STANDBY
    assert (eye.transitions[-1].previous, eye.transitions[-1].state, eye.transitions[-1].wall_ns) == (
        TRACKING,
        STANDBY,
        7,
    )
    assert Eye().end(wall_ns=7).transitions == ()


def test_a_restarted_controller_goes_on_tracking_but_is_blind_until_a_frame_comes() -> None:
    eye = resumed(tracking().state)
    assert not eye.known
    assert eye.sentry.state is TRACKING
    assert eye.transitions == tracking().transitions
    later = see(eye, detections(4, 0.9))
    assert later.known
    assert later.transitions == eye.transitions, "no second entry"


def test_a_restarted_controller_validates_anew() -> None:
    assert resumed(see(Eye(), detections(1, 0.9)).state).sentry.state is STANDBY
    assert resumed(None) == Eye()
    assert resumed(CameraState()).sentry.mode is Mode.STANDBY


@given(st.lists(st.booleans(), max_size=200))
def test_transitions_are_a_chain_of_bounded_length(scene: list[bool]) -> None:
    eye = Eye()
    for number, somebody in enumerate(scene, 1):
        eye = see(eye, detections(number * 5, *([0.9] if somebody else [])))
    chain = eye.transitions
    assert len(chain) <= KEPT_TRANSITIONS
    assert all(a.state is b.previous for a, b in itertools.pairwise(chain))
    assert not chain or chain[-1].state is eye.sentry.state
