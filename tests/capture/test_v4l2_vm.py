"""v4l2:// on the kernel's own drivers, in an emulated machine: vivid as a USB camera, v4l2loopback as an MJPG one.

One machine is started for all tests here (about a minute and a half); v4l2_guest.py is what runs in it.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.capture.guest import in_guest

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

ROUNDS = 20
NOTICED_S = 3
VIVID_FORMATS = "vivid: YUYV, NV12, UYVY, YVYU, VYUY, 422P, YU12, YV12 and 75 more"

Facts = dict[str, Any]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """What the guest saw, scene by scene."""
    return in_guest("tests.capture.v4l2_guest", out=tmp_path_factory.mktemp("guest"))


def scene(told: Facts, name: str) -> Facts:
    """Return what was seen in a scene that went to its end and left nothing open."""
    facts: Facts = told[name]
    assert "raised" not in facts, facts["raised"]
    assert facts["left_open"] == [0, 0], "descriptors, mapped pages"
    return facts


@pytest.mark.parametrize(
    ("name", "kind", "frames"),
    [("yuyv", "YUYV 640x360", 12), ("nv12", "NV12 1280x720", 5), ("loopback", "JPEG 320x240", 15)],
)
def test_frames_arrive_one_after_the_other(told: Facts, name: str, kind: str, frames: int) -> None:
    facts = scene(told, name)
    assert facts["frames"] == frames
    assert facts["kinds"] == [kind]
    assert facts["sizes_right"]
    assert min(facts["steps_ms"]) > 0
    assert facts["wall_off_s"] < 60


@pytest.mark.parametrize("name", ["yuyv", "nv12"])
def test_a_raw_picture_is_read_as_it_is_painted(told: Facts, name: str) -> None:
    facts = scene(told, name)
    assert abs(facts["white_y"] - 180) <= 2  # 75 % colour bars, BT.601
    assert abs(facts["black_y"] - 16) <= 2


def test_jpegs_pass_byte_for_byte(told: Facts) -> None:
    """But the first: v4l2loopback has no length for what was in its buffer before."""
    facts = scene(told, "loopback")
    assert facts["same"] >= facts["frames"] - 1


def test_a_loopback_that_nothing_is_fed_into_any_more_is_silent(told: Facts) -> None:
    assert scene(told, "loopback")["after_the_feeder_died"] == 0


def test_a_size_and_a_rate_that_the_camera_lacks_become_its_own(told: Facts) -> None:
    assert scene(told, "other_size")["kinds"] == ["YUYV 640x360"]


def test_what_cannot_be_opened_says_why_and_what_there_is(told: Facts) -> None:
    here = f"the cameras here: /dev/video0 ({VIVID_FORMATS})"
    facts = scene(told, "refusals")
    assert facts["missing"] == f"there is no /dev/video5; {here}"
    assert facts["no device"] == f"/dev/null is no video device; {here}"
    assert facts["no such format"].startswith("/dev/video0 does not give MJPG or JPEG; it offers YUYV, NV12")
    assert facts["unfed"] == f"/dev/video10 (loop-10) is a loopback device that nothing is fed into; {here}"
    assert facts["busy"] == "/dev/video0 is in use by another program; end that one (fuser -v /dev/video0 names it)"
    assert facts["not allowed"] == "/dev/video0 may not be opened by this user; it must be in the group video"


def test_what_waited_in_full_buffers_for_a_second_is_not_shown(told: Facts) -> None:
    facts = scene(told, "flushes")
    assert facts["stale"] == 1
    assert facts["age_ms"] < 1000


def test_an_unplugged_camera_is_noticed_and_comes_back(told: Facts) -> None:
    facts = scene(told, "disconnect")
    assert facts["said"] == "/dev/video0 was unplugged"
    assert facts["noticed_s"] < NOTICED_S
    assert facts["gone"] == "there is nothing behind /dev/video0; there is no camera here"
    assert facts["after"] == 3


def test_twenty_times_unplugged_leaks_neither_descriptors_nor_memory(told: Facts) -> None:
    facts = scene(told, "rounds")
    assert facts["errors"] == ROUNDS
    seen = facts["seen"]
    assert len(seen) == ROUNDS
    assert {one["fds"] for one in seen} == {seen[0]["fds"]}
    assert {one["maps"] for one in seen} == {0}
    assert seen[-1]["rss_kb"] <= seen[2]["rss_kb"] * 1.02


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("qbuf", "takes no buffer: Invalid argument"),
        ("streamon", "cannot start: Invalid argument"),
        ("reqbufs", "makes no buffers: Invalid argument"),
        ("fatal", "input/output error, as when it was unplugged, or its cable or hub is bad"),
    ],
)
def test_a_call_that_fails_is_told_and_the_camera_opens_anew(told: Facts, name: str, said: str) -> None:
    facts = scene(told, "injections")[name]
    assert facts["said"].startswith("/dev/video0 ")
    assert facts["said"].endswith(said)
    assert facts["after"] == 3


def test_a_picture_that_the_driver_calls_damaged_is_skipped_and_counted(told: Facts) -> None:
    assert scene(told, "injections")["flag"] == {"frames": 5, "broken": 1}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cut", "a JPEG that is cut off"),
        ("garbage", "what is no JPEG"),
        ("huge", "a JPEG of 20000x20000"),
        ("other", "a JPEG of 64x64, not 320x240"),
        ("tiny", "what is no JPEG"),
    ],
)
def test_a_damaged_jpeg_is_skipped_and_counted_and_the_next_one_comes(told: Facts, name: str, said: str) -> None:
    assert scene(told, "damage")[name] == {"came": 0, "counted": 1, "said": said, "then": [True]}
