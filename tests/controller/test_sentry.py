"""The sentry, as a sequence of looks at a scene."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from appliance.controller.sentry import Look, Sentry
from appliance.messages import Mode, SentryState

SECOND = 1_000_000_000
STANDBY, VALIDATION, TRACKING = SentryState.STANDBY, SentryState.VALIDATION, SentryState.TRACKING


@dataclass(frozen=True)
class Settings:
    confirm_observations: int = 3
    confirm_seconds: float = 2.0
    clear_seconds: float = 3.0
    clear_observations: int = 5


def watch(scene: str, fps: float = 10, settings: Settings | None = None, sentry: Sentry | None = None) -> Sentry:
    """Look at a scene, one letter a frame: x somebody, . nobody."""
    for sentry_state in states(scene, fps, settings, sentry):
        sentry = sentry_state
    assert sentry is not None
    return sentry


def states(scene: str, fps: float = 10, settings: Settings | None = None, sentry: Sentry | None = None) -> list[Sentry]:
    sentry = sentry or Sentry(at_ns=SECOND)
    began = sentry.at_ns
    found = []
    for number, letter in enumerate(scene, 1):
        look = Look(began + round(number * SECOND / fps), letter == "x")
        sentry = sentry.observe(look, settings or Settings())
        found.append(sentry)
    return found


def test_the_first_sighting_validates_and_asks_for_full_pace_at_once() -> None:
    sentry = watch("x")
    assert sentry.state is VALIDATION
    assert sentry.mode is Mode.ALARMED


def test_three_sightings_within_the_window_track() -> None:
    assert watch("xx").state is VALIDATION
    assert watch("xxx").state is TRACKING


def test_a_missed_look_does_not_reset_the_validation() -> None:
    assert watch("x.x.x").state is TRACKING


def test_a_flicker_goes_back_to_standby_when_the_window_has_passed() -> None:
    assert watch("x" + "." * 20).state is VALIDATION
    assert watch("x" + "." * 21).state is STANDBY


def test_sightings_further_apart_than_the_window_never_track() -> None:
    flicker = ("x" + "." * 10) * 50
    assert TRACKING not in {sentry.state for sentry in states(flicker)}


def test_somebody_leaves_after_three_seconds_and_five_looks() -> None:
    assert watch("xxx" + "." * 29).state is TRACKING
    assert watch("xxx" + "." * 30).state is STANDBY


def test_seconds_alone_do_not_clear_a_slow_camera() -> None:
    slow = Settings(confirm_seconds=60)
    assert watch("xxx" + "." * 4, fps=1, settings=slow).state is TRACKING
    assert watch("xxx" + "." * 5, fps=1, settings=slow).state is STANDBY


def test_three_and_thirty_frames_a_second_clear_alike() -> None:
    for fps in (3, 30):
        looks = states("xxx" + "." * 4 * fps, fps=fps)
        tracked_until = max(sentry.at_ns for sentry in looks if sentry.state is TRACKING)
        last_seen = looks[-1].last_sighting_ns
        assert 3 - 1 / fps - 1e-6 <= (tracked_until - last_seen) / SECOND < 3


def test_a_sighting_while_tracking_starts_the_clearing_anew() -> None:
    assert watch("xxx" + "." * 29 + "x" + "." * 29).state is TRACKING


def test_one_observation_is_enough_where_the_settings_say_so() -> None:
    assert watch("x", settings=Settings(confirm_observations=1)).state is TRACKING


def test_a_scene_that_ends_is_left() -> None:
    assert watch("xxx").ended().state is STANDBY


def test_a_frame_out_of_order_does_not_turn_time_back() -> None:
    sentry = watch("xxx")
    later = sentry.observe(Look(sentry.at_ns - SECOND // 2, sighting=False), Settings())
    assert later.at_ns == sentry.at_ns
    assert later.state is TRACKING


def test_a_replay_that_begins_again_clears_as_it_would_have() -> None:
    sentry = watch("xxx")
    again = Sentry(sentry.state, 1000 * SECOND, (), 999 * SECOND, sentry.misses)
    seen = [again.observe(Look(500 * SECOND, sighting=False), Settings())]
    for number in range(1, 25):
        look = Look(500 * SECOND + round(0.1 * number * SECOND), sighting=False)
        seen.append(seen[-1].observe(look, Settings()))
    assert seen[0].state is TRACKING
    assert seen[-1].state is STANDBY


looks = st.lists(st.tuples(st.floats(0, 2), st.booleans()), max_size=60)
all_settings = st.builds(
    Settings,
    st.integers(1, 6),
    st.floats(0.1, 10),
    st.floats(0, 10),
    st.integers(1, 10),
)


def run(scene: list[tuple[float, bool]], settings: Settings) -> list[tuple[Look, Sentry]]:
    sentry, now, seen = Sentry(), SECOND, []
    for gap, sighting in scene:
        now += round(gap * SECOND)
        look = Look(now, sighting)
        sentry = sentry.observe(look, settings)
        seen.append((look, sentry))
    return seen


@given(looks, all_settings)
def test_it_never_tracks_without_enough_sightings_in_the_window(
    scene: list[tuple[float, bool]], settings: Settings
) -> None:
    before = STANDBY
    history: list[int] = []
    for look, sentry in run(scene, settings):
        if look.sighting:
            history.append(look.at_ns)
        if sentry.state is TRACKING and before is not TRACKING:
            window = look.at_ns - round(settings.confirm_seconds * SECOND)
            assert sum(at >= window for at in history) >= settings.confirm_observations
            assert look.sighting
        before = sentry.state


@given(looks, all_settings)
def test_it_tracks_as_soon_as_there_are_enough_sightings_since_it_last_stood_by(
    scene: list[tuple[float, bool]], settings: Settings
) -> None:
    recent: list[int] = []
    before = STANDBY
    for look, sentry in run(scene, settings):
        if before is TRACKING and sentry.state is STANDBY:
            recent = []
        elif look.sighting:
            recent.append(look.at_ns)
        window = look.at_ns - round(settings.confirm_seconds * SECOND)
        if sum(at >= window for at in recent) >= settings.confirm_observations:
            assert sentry.state is TRACKING
        before = sentry.state


@given(looks, all_settings)
def test_it_never_leaves_while_somebody_was_just_seen(scene: list[tuple[float, bool]], settings: Settings) -> None:
    before = Sentry()
    for look, sentry in run(scene, settings):
        if before.state is TRACKING and sentry.state is not TRACKING:
            assert sentry.state is STANDBY
            assert not look.sighting
            assert look.at_ns - before.last_sighting_ns >= round(settings.clear_seconds * SECOND)
            assert before.misses + 1 >= settings.clear_observations
        before = sentry


@given(looks, all_settings)
def test_it_always_clears_when_nobody_comes_any_more(scene: list[tuple[float, bool]], settings: Settings) -> None:
    empty = [(settings.clear_seconds + settings.confirm_seconds + 0.01, False)] * (settings.clear_observations + 1)
    sentry = run(scene + empty, settings)[-1][1]
    assert sentry.state is STANDBY
    assert sentry.mode is Mode.STANDBY


@given(looks, all_settings)
def test_standby_pace_exactly_in_standby(scene: list[tuple[float, bool]], settings: Settings) -> None:
    for _, sentry in run(scene, settings):
        assert (sentry.mode is Mode.STANDBY) == (sentry.state is STANDBY)
