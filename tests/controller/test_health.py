"""Whether anything is wrong, as Home Assistant is told it: who is down, who complains, which cameras cannot see."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from appliance.config import Camera
from appliance.controller.discovery.household import STAGES
from appliance.controller.health import health, of_the_cameras
from appliance.controller.notices import UNSERVED
from appliance.messages import Health, Heartbeat

STARTED = "2026-11-24T00:00:00+00:00"
PORCH, GARDEN = (Camera(id=name, source="synthetic://porch", name=name.title()) for name in ("porch", "garden"))


def beats(*missing: str, **reasons: str) -> dict[str, Heartbeat]:
    """Return the heartbeats of all stages but those; some have a reason to complain."""
    return {
        stage: Heartbeat(stage, Health.RUNNING, 0, 0, reasons.get(stage, ""))
        for stage in (*STAGES, "supervisor")
        if stage not in missing
    }


def desk(camera: Camera, trouble: str = "", blind_because: str = "") -> Any:
    return SimpleNamespace(camera=camera, trouble=trouble, eye=SimpleNamespace(blind_because=blind_because))


def told(*reasons: str, of: dict[str, Heartbeat]) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(health(STARTED, reasons, of))
    return content


def test_where_all_is_well_nothing_is_wrong() -> None:
    assert told("", "", of=beats()) == {
        "problem": False,
        "reasons": [],
        "started": STARTED,
        "backend": None,
        "model": None,
        "shortage": "",
    }


def test_the_controllers_own_reasons_come_first_then_who_is_down_then_who_complains() -> None:
    said = told("the disk is full", of=beats("gateway", capture="no camera answers"))
    assert said["problem"] is True
    assert said["reasons"] == ["the disk is full", "gateway is not running", "capture: no camera answers"]


def test_why_a_stage_is_down_is_told_where_its_supervisor_knows() -> None:
    there = beats("inference")
    there["supervisor"].facts["down.inference"] = "the model is broken"
    assert told(of=there)["reasons"] == ["inference is not running: the model is broken"]


def test_that_we_are_not_heard_ourselves_is_no_reason() -> None:
    assert told(of=beats("controller"))["problem"] is False


def test_what_looks_for_people_is_told_and_a_shortage_is_a_problem() -> None:
    there = beats()
    there["inference"].facts.update(backend="openvino", model="nano", shortage="it is too slow for three cameras")
    said = told(of=there)
    assert (said["backend"], said["model"]) == ("openvino", "nano")
    assert said["reasons"] == [said["shortage"]] == ["it is too slow for three cameras"]


def test_a_camera_in_trouble_is_told_and_one_that_is_not_served() -> None:
    reasons = of_the_cameras([GARDEN], [desk(PORCH, trouble="no frames")], ())
    assert reasons == [f"Garden: {UNSERVED}", "Porch: no frames"]


def test_a_camera_that_sees_is_no_reason() -> None:
    assert of_the_cameras([], [desk(PORCH)], ()) == []


def test_a_camera_that_the_armed_alarm_relies_on_is_told_as_that_and_once() -> None:
    reasons = of_the_cameras([], [desk(PORCH, trouble="it is dark", blind_because="it is dark")], ("porch",))
    assert reasons == ["Porch, which the armed alarm relies on: it is dark"]
