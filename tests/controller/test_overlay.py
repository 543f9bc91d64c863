"""What was set while the appliance ran lasts until it is set again, or its owner edits config.yaml."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config import Camera, CameraSentry, Model, Sentry, Settings
from appliance.controller.overlay import (
    LARGEST,
    RANGES,
    CameraChoices,
    NewerOverlayError,
    Overlay,
    OverlayError,
    Setting,
    Value,
    from_json,
    written_in,
)

USUAL = CameraChoices(threshold=0.5, clear_seconds=3.0)
WRITTEN = {"front_door": USUAL, "garden": CameraChoices(threshold=0.7, clear_seconds=10.0)}
THRESHOLD, CLEAR, DETECTION, LIVE_VIEW = (
    Setting.THRESHOLD,
    Setting.CLEAR_SECONDS,
    Setting.DETECTION,
    Setting.LIVE_VIEW,
)


def kept(overlay: Overlay, written: dict[str, CameraChoices] | None = None) -> Overlay:
    """Return the overlay after a restart."""
    return from_json(overlay.to_json(), WRITTEN if written is None else written)


def test_without_choices_config_yaml_holds_and_everything_is_on() -> None:
    overlay = Overlay(WRITTEN)
    assert {camera: overlay.of(camera) for camera in WRITTEN} == WRITTEN
    assert overlay.of("garden") == CameraChoices(threshold=0.7, clear_seconds=10.0, detection=True, live_view=True)


def test_a_choice_holds_for_its_camera_and_after_a_restart() -> None:
    overlay = Overlay(WRITTEN).choose("garden", THRESHOLD, 0.6).choose("garden", DETECTION, False)
    for one in (overlay, kept(overlay)):
        assert one.of("garden") == replace(WRITTEN["garden"], threshold=0.6, detection=False)
        assert one.of("front_door") == USUAL
    assert kept(overlay) == overlay


def test_an_overlay_is_a_value_and_the_old_one_stays_as_it_was() -> None:
    before = Overlay(WRITTEN).choose("garden", THRESHOLD, 0.6)
    before.choose("garden", THRESHOLD, 0.8)
    assert before.of("garden").threshold == 0.6


@pytest.mark.parametrize(("setting", "value"), [(THRESHOLD, 0.7), (CLEAR, 10.0), (DETECTION, True), (LIVE_VIEW, True)])
def test_choosing_what_config_yaml_says_is_no_choice(setting: Setting, value: Value) -> None:
    other: Value = 0.9 if setting in RANGES else False
    assert Overlay(WRITTEN).choose("garden", setting, other).choose("garden", setting, value) == Overlay(WRITTEN)


def test_an_edit_of_config_yaml_is_the_newer_word_about_that_setting_alone() -> None:
    overlay = Overlay(WRITTEN).choose("garden", THRESHOLD, 0.6).choose("garden", CLEAR, 20.0)
    edited = {**WRITTEN, "garden": replace(WRITTEN["garden"], threshold=0.8)}
    for one in (overlay.over(edited), kept(overlay, edited)):
        assert one.of("garden") == replace(WRITTEN["garden"], threshold=0.8, clear_seconds=20.0)
    # What was set before the edit does not come back with the old value.
    assert overlay.over(edited).over(WRITTEN).of("garden").threshold == 0.7


def test_an_edit_to_what_was_chosen_is_the_owners_word_too() -> None:
    overlay = Overlay(WRITTEN).choose("garden", THRESHOLD, 0.6)
    same = {**WRITTEN, "garden": replace(WRITTEN["garden"], threshold=0.6)}
    assert overlay.over(same).chosen == {}


def test_a_camera_that_was_out_of_config_yaml_for_a_while_is_as_it_was() -> None:
    overlay = Overlay(WRITTEN).choose("garden", DETECTION, False)
    without = {"front_door": USUAL}
    assert kept(overlay.over(without), without).over(WRITTEN) == overlay


def test_it_is_forgotten_at_the_next_choice() -> None:
    without = {"front_door": USUAL}
    overlay = Overlay(WRITTEN).choose("garden", DETECTION, False).over(without)
    assert overlay.choose("front_door", THRESHOLD, 0.6).over(WRITTEN).of("garden").detection


def test_a_camera_that_nobody_has_and_a_value_that_cannot_be_are_refused() -> None:
    with pytest.raises(KeyError):
        Overlay(WRITTEN).choose("cellar", DETECTION, False)
    bad: list[tuple[Setting, Value]] = [
        (THRESHOLD, 0.04), (THRESHOLD, 1.0), (THRESHOLD, float("nan")), (THRESHOLD, True), (CLEAR, -0.1),
        (CLEAR, 3600.1), (CLEAR, float("inf")), (CLEAR, True), (DETECTION, 1), (LIVE_VIEW, 0.0),
    ]  # fmt: skip
    for setting, value in bad:
        with pytest.raises(ValueError, match=f"{setting} cannot be"):
            Overlay(WRITTEN).choose("garden", setting, value)


def test_the_ranges_are_those_of_config_yaml() -> None:
    for model, setting in ((Model, THRESHOLD), (Sentry, CLEAR)):
        written = model.model_json_schema()["properties"][setting]
        assert (written["minimum"], written["maximum"]) == RANGES[setting]


def test_what_config_yaml_says_of_a_camera_is_its_own_or_that_of_all() -> None:
    own = CameraSentry(threshold=0.8, clear_seconds=60.0)
    settings = Settings(
        cameras=(Camera(id="a", source="file:///a.mp4"), Camera(id="b", source="file:///b.mp4", sentry=own)),
        model=Model(threshold=0.4),
        sentry=Sentry(clear_seconds=7.0),
    )
    assert written_in(settings) == {
        "a": CameraChoices(threshold=0.4, clear_seconds=7.0),
        "b": CameraChoices(threshold=0.8, clear_seconds=60.0),
    }


def of_garden(**choices: Any) -> str:
    return json.dumps({"version": 1, "cameras": {"garden": choices}})


def test_the_text_is_what_this_version_says() -> None:
    text = of_garden(threshold={"value": 0.6, "over": 0.7}, detection={"value": False, "over": True})
    assert from_json(text, WRITTEN).of("garden") == replace(WRITTEN["garden"], threshold=0.6, detection=False)
    assert json.loads(from_json(text, WRITTEN).to_json()) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("[" * 5000, "no JSON"),
        ("[]", "no version"),
        ('{"cameras": {}}', "no version"),
        ('{"version": true, "cameras": {}}', "no version"),
        ('{"version": 0, "cameras": {}}', "no version"),
        ('{"version": 1}', "cameras"),
        ('{"version": 1, "cameras": {}, "more": 1}', "more"),
        ('{"version": 1, "cameras": []}', "cameras"),
        (of_garden(volume={"value": 1, "over": 2}), "cameras.garden.volume"),
        (of_garden(threshold=0.6), "cameras.garden.threshold"),
        (of_garden(threshold={"value": 0.6}), "cameras.garden.threshold"),
        (of_garden(threshold={"value": 0.6, "over": 0.7, "by": "me"}), "cameras.garden.threshold"),
        (of_garden(threshold={"value": "0.6", "over": 0.7}), "cameras.garden.threshold"),
        (of_garden(threshold={"value": 1.5, "over": 0.7}), "garden.threshold cannot be 1.5"),
        (of_garden(threshold={"value": float("nan"), "over": 0.7}), "cameras.garden.threshold"),
        (of_garden(threshold={"value": True, "over": 0.7}), "garden.threshold cannot be True"),
        (of_garden(threshold={"value": 0.6, "over": True}), "garden.threshold"),
        (of_garden(detection={"value": 1.0, "over": True}), "garden.detection"),
        (" " * (LARGEST + 1), "100,001 characters"),
    ],
)
def test_a_broken_text_is_refused_with_what_is_wrong(text: str, why: str) -> None:
    with pytest.raises(OverlayError) as refused:
        from_json(text, WRITTEN)
    assert why in str(refused.value)
    assert not isinstance(refused.value, NewerOverlayError)


def test_a_newer_versions_text_is_told_from_a_broken_one() -> None:
    with pytest.raises(NewerOverlayError, match="version 2, this one reads 1"):
        from_json('{"version": 2, "rooms": {}}', WRITTEN)


_written = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.builds(CameraChoices, threshold=st.sampled_from([0.5, 0.6]), clear_seconds=st.sampled_from([3.0, 5.0])),
)
_choices = st.one_of(
    st.tuples(st.just(THRESHOLD), st.floats(*RANGES[THRESHOLD])),
    st.tuples(st.just(CLEAR), st.floats(*RANGES[CLEAR])),
    st.tuples(st.sampled_from([DETECTION, LIVE_VIEW]), st.booleans()),
)


@given(st.lists(st.one_of(_written, st.tuples(st.sampled_from(["a", "b", "c"]), _choices)), max_size=20))
def test_whatever_is_set_and_edited_the_last_word_about_each_setting_holds(
    steps: list[dict[str, CameraChoices] | tuple[str, tuple[Setting, Value]]],
) -> None:
    overlay = Overlay({})
    for step in steps:
        before = overlay
        if isinstance(step, dict):
            overlay = overlay.over(step)
            for camera, written in step.items():
                edited = {s for s in Setting if camera in before.written
                          and before.written[camera].value(s) != written.value(s)}  # fmt: skip
                for setting in edited:
                    assert overlay.of(camera).value(setting) == written.value(setting)
                if camera in before.written:
                    for setting in set(Setting) - edited:
                        assert overlay.of(camera).value(setting) == before.of(camera).value(setting)
        elif step[0] in overlay.written:
            camera, (setting, value) = step
            overlay = overlay.choose(camera, setting, value)
            assert overlay.of(camera).value(setting) == value
            others = [(c, s) for c in overlay.written for s in Setting if (c, s) != (camera, setting)]
            assert all(overlay.of(c).value(s) == before.of(c).value(s) for c, s in others)
        assert from_json(overlay.to_json(), overlay.written) == overlay


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(OverlayError):
        from_json(text, WRITTEN)
