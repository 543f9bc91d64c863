"""v4l2:// as it opens: what is agreed on with the driver, and what is said where that fails."""

from __future__ import annotations

import errno
import fcntl
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.capture.v4l2 import V4l2Source, abi
from appliance.capture.v4l2.kernel import Kernel
from tests.capture.fake_kernel import CAMERA, H264, JPEG, MJPG, NV12, VIDEO0, YUYV, FakeCamera, FakeKernel
from tests.capture.v4l2_bench import SETTINGS, SIZE, Bench, raw_camera, refusal, usb_camera


@pytest.mark.parametrize(
    ("formats", "asked", "chosen"),
    [
        ((YUYV, NV12, MJPG), "auto", MJPG),
        ((YUYV, NV12), "auto", NV12),
        ((H264, YUYV), "auto", YUYV),
        ((YUYV, JPEG), "mjpg", JPEG),
        ((MJPG, YUYV), "yuyv", YUYV),
        ((MJPG, NV12, YUYV), "nv12", NV12),
    ],
)
def test_the_best_format_that_the_camera_has_is_chosen(formats: tuple[int, ...], asked: Any, chosen: int) -> None:
    bench = Bench(FakeCamera({one: [SIZE] for one in formats}), replace(SETTINGS, format=asked))
    assert bench.camera.pixelformat == chosen
    assert bench.camera.size == SIZE


def test_automatic_takes_what_the_camera_has_at_the_size_that_is_asked_for() -> None:
    camera = FakeCamera({MJPG: [SIZE], YUYV: [SIZE, (32, 32)]})
    bench = Bench(camera, replace(SETTINGS, size=(32, 32)))
    assert (bench.camera.pixelformat, bench.camera.size) == (YUYV, (32, 32))


def test_a_driver_that_cannot_try_is_asked_outright() -> None:
    bench = Bench(usb_camera(knows_try=False), replace(SETTINGS, size=(128, 96)))
    assert (bench.camera.pixelformat, bench.camera.size) == (MJPG, (128, 96))


def test_a_size_that_the_camera_lacks_becomes_its_own_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(usb_camera(), replace(SETTINGS, size=(640, 480)))
    assert caplog.messages == ["/dev/video0 gives 64x48 instead of 640x480; in MJPG it offers 64x48, 128x96"]
    bench.feed()
    grabbed, _ = bench.grab() or pytest.fail("no frame")
    assert (grabbed.width, grabbed.height) == SIZE


def test_formats_that_nobody_here_can_read_are_refused_with_what_there_is() -> None:
    assert refusal(FakeCamera({H264: [SIZE]})) == (
        "/dev/video0 does not give MJPG or JPEG or NV12 or YUYV; it offers H264"
    )
    assert refusal(usb_camera(), replace(SETTINGS, format="nv12")) == (
        "/dev/video0 does not give NV12; it offers MJPG, YUYV"
    )
    assert refusal(FakeCamera({})).endswith("it offers nothing")


@pytest.mark.parametrize(
    ("camera", "said"),
    [
        (usb_camera(answers={"pixelformat": H264}), "gives H264 64x48, though MJPG was asked for"),
        (raw_camera(answers={"width": 63}), "gives YUYV 63x48: its sides must be even; choose a size="),
        (raw_camera(NV12, answers={"height": 0}), "gives NV12 64x0: its sides must be even; choose a size="),
        (raw_camera(answers={"bytesperline": 127}), "gives YUYV 64x48 in rows of 127 bytes, which are too short"),
        (usb_camera(lines=7), "gives MJPG 64x48 as half pictures (V4L2_FIELD 7), which cannot be used"),
    ],
)
def test_an_answer_that_cannot_be_read_is_refused(camera: FakeCamera, said: str) -> None:
    assert refusal(camera) == f"/dev/video0 {said}"


def test_the_frame_rate_is_asked_for_and_another_one_is_told(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(usb_camera(), replace(SETTINGS, fps=29.97))
    assert bench.camera.rate == 30
    assert caplog.messages == []
    bench = Bench(usb_camera(), replace(SETTINGS, fps=20))
    assert bench.camera.rate == 15
    assert caplog.messages == ["/dev/video0 gives 15 frames a second instead of 20"]


@pytest.mark.parametrize("rates", [None, ()])
def test_a_camera_whose_frame_rate_cannot_be_set_runs_all_the_same(
    rates: tuple[float, ...] | None, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(usb_camera(rates=rates), replace(SETTINGS, fps=20))
    assert caplog.messages == ["/dev/video0 does not let its frame rate be set"]
    assert bench.camera.streaming


def test_without_being_asked_the_camera_s_own_settings_are_left_alone() -> None:
    bench = Bench(usb_camera(controls={abi.V4L2_CID_EXPOSURE_AUTO: (0, 3, 1)}))
    assert not {"s_parm", "s_ctrl"} & set(bench.kernel.asked)


AUTO, PRIORITY, ABSOLUTE = (
    abi.V4L2_CID_EXPOSURE_AUTO,
    abi.V4L2_CID_EXPOSURE_AUTO_PRIORITY,
    abi.V4L2_CID_EXPOSURE_ABSOLUTE,
)
CONTROLS = {AUTO: (0, 3, 1), PRIORITY: (0, 1, 1), ABSOLUTE: (3, 2047, 250)}


@pytest.mark.parametrize(
    ("missing", "refused", "told"),
    [
        ((), [], "limited to 20 ms"),
        ((), [0, 0, errno.EACCES], "limited to one frame's time: the camera takes no other limit"),
        ((ABSOLUTE,), [], "limited to one frame's time: the camera takes no other limit"),
        ((AUTO,), [], "20 ms: the camera cannot limit an automatic"),
        ((AUTO, PRIORITY, ABSOLUTE), [], "the camera's own affair: it takes no limit"),
    ],
)
def test_exposure_is_limited_as_far_as_the_camera_lets_it_be(
    missing: tuple[int, ...], refused: list[int], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    controls = {one: bounds for one, bounds in CONTROLS.items() if one not in missing}
    camera = usb_camera(controls=controls, fails={abi.VIDIOC_S_CTRL: refused})
    bench = Bench(camera, replace(SETTINGS, exposure_ms=20))
    assert caplog.messages[0] == f"/dev/video0: exposure is {told}"
    assert bench.camera.streaming


def test_the_controls_get_aperture_priority_a_kept_rate_and_the_limit_in_tenths_of_a_millisecond() -> None:
    bench = Bench(usb_camera(controls=dict(CONTROLS)), replace(SETTINGS, exposure_ms=20))
    assert {one: value for one, (_, _, value) in bench.camera.controls.items()} == {AUTO: 3, PRIORITY: 0, ABSOLUTE: 200}
    bench = Bench(usb_camera(controls=dict(CONTROLS)), replace(SETTINGS, exposure_ms=1000))
    assert bench.camera.controls[ABSOLUTE][2] == 2047
    manual_only = {**CONTROLS, AUTO: (0, 1, 0)}
    bench = Bench(usb_camera(controls=manual_only), replace(SETTINGS, exposure_ms=20))
    assert bench.camera.controls[AUTO][2] == 0


def test_a_camera_that_is_not_there_is_named_with_those_that_are() -> None:
    kernel = FakeKernel()
    kernel.nodes = {
        Path("/dev/video1"): usb_camera(card=b"Garden \x1b[31mCam\xff"),
        Path("/dev/video2"): usb_camera(device_caps=abi.V4L2_CAP_META_CAPTURE),
        Path("/dev/video3"): errno.EBUSY,
        Path("/dev/video4"): errno.ENODEV,
        Path("/dev/video5"): errno.EACCES,
        Path("/dev/video6"): usb_camera(fails={abi.VIDIOC_ENUM_FMT: [errno.EIO]}),
        Path("/dev/video7"): FakeCamera({abi.v4l2_fourcc(f"F{i:03}"): [SIZE] for i in range(20)} | {YUYV: [SIZE]}),
    }
    assert refusal(kernel) == (
        "there is no /dev/video0; the cameras here: /dev/video1 (Garden [31mCam�: MJPG, YUYV), "
        "/dev/video3 (device or resource busy), /dev/video5 (permission denied), /dev/video6 (does not answer), "
        "/dev/video7 (Porch Cam: YUYV, F000, F001, F002, F003, F004, F005, F006 and 13 more)"
    )
    assert refusal(FakeKernel()) == "there is no /dev/video0; there is no camera here"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "/dev/video0 may not be opened by this user; it must be in the group video"),
        (errno.EPERM, "/dev/video0 may not be opened by this user; it must be in the group video"),
        (errno.EBUSY, "/dev/video0 is in use by another program; end that one (fuser -v /dev/video0 names it)"),
        (errno.ENODEV, "there is nothing behind /dev/video0; there is no camera here"),
        (errno.ENXIO, "there is nothing behind /dev/video0; there is no camera here"),
        (errno.EMFILE, "/dev/video0 cannot be opened: Too many open files"),
    ],
)
def test_a_camera_that_cannot_be_opened_says_why(number: int, said: str) -> None:
    kernel = FakeKernel()
    kernel.nodes[VIDEO0] = number
    assert refusal(kernel) == said


@pytest.mark.parametrize(
    ("camera", "said"),
    [
        (usb_camera(device_caps=abi.V4L2_CAP_META_CAPTURE), "(Porch Cam) gives no pictures: it is a camera's second"),
        (usb_camera(device_caps=abi.V4L2_CAP_VIDEO_CAPTURE), "(Porch Cam) cannot stream; there is no camera here"),
        (usb_camera(device_caps=abi.V4L2_CAP_VIDEO_CAPTURE_MPLANE), "(Porch Cam) gives its pictures in several planes"),
        (usb_camera(device_caps=0), "(Porch Cam) gives no pictures; there is no camera here"),
        (usb_camera(device_caps=2, driver=b"v4l2 loopback"), "(Porch Cam) is a loopback device that nothing is fed"),
        (usb_camera(capabilities=0), "(Porch Cam) gives no pictures"),
        (FakeCamera({}, card=b""), "is no video device; there is no camera here"),
    ],
)
def test_a_device_that_is_no_camera_says_what_it_is(camera: FakeCamera, said: str) -> None:
    assert refusal(camera).startswith(f"/dev/video0 {said}")


def test_an_old_driver_without_device_caps_is_a_camera_too() -> None:
    assert Bench(usb_camera(capabilities=CAMERA, device_caps=0)).camera.streaming


OPENING = {
    "querycap": "does not answer",
    "g_fmt": "does not say how it is set",
    "enum_fmt": "does not answer",
    "try_fmt": "does not answer",
    "s_fmt": "cannot be set to MJPG 64x48",
    "g_parm": "does not answer",
    "s_parm": "does not answer",
    "reqbufs": "makes no buffers",
    "querybuf": "does not show its buffers",
    "qbuf": "takes no buffer",
    "streamon": "cannot start",
}


def calls_of_opening() -> list[str]:
    kernel = FakeKernel(usb_camera())
    V4l2Source(replace(SETTINGS, fps=30), kernel).close()
    return kernel.asked[: kernel.asked.index("streamoff")]


@pytest.mark.parametrize(("call", "name"), list(enumerate(calls_of_opening())))
def test_wherever_opening_fails_it_says_so_and_nothing_stays_open(call: int, name: str) -> None:
    kernel = FakeKernel(usb_camera())
    kernel.fails_at = call
    said = refusal(kernel, replace(SETTINGS, fps=30))
    assert said == f"/dev/video0 {OPENING[name]}: Cannot allocate memory"


@pytest.mark.parametrize(
    ("request_name", "number", "said"),
    [
        ("VIDIOC_S_FMT", errno.EBUSY, "is in use by another program; end that one (fuser -v /dev/video0 names it)"),
        ("VIDIOC_REQBUFS", errno.EBUSY, "is in use by another program; end that one (fuser -v /dev/video0 names it)"),
        ("VIDIOC_STREAMON", errno.EINVAL, "cannot start: Invalid argument"),
        ("VIDIOC_STREAMON", errno.ENODEV, "was unplugged"),
        ("VIDIOC_STREAMON", errno.ENOSPC, "cannot start: No space left on device"),
    ],
)
def test_a_camera_that_does_not_start_says_why(request_name: str, number: int, said: str) -> None:
    assert refusal(usb_camera(fails={getattr(abi, request_name): [number]})) == f"/dev/video0 {said}"


@pytest.mark.parametrize(("count", "maps_allowed"), [(1, -1), (0, -1), (4, 0), (4, 3)])
def test_too_few_buffers_are_refused_without_a_leak(count: int, maps_allowed: int) -> None:
    said = refusal(usb_camera(buffers=count, maps_allowed=maps_allowed))
    assert "buffers" in said
    assert said.startswith("/dev/video0")


def test_a_call_that_a_signal_interrupted_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ioctl(fd: int, request: int, argument: abi.Control) -> None:
        asked.append((fd, request, argument.value))
        if len(asked) == 1:
            raise InterruptedError(errno.EINTR, "Interrupted system call")

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    Kernel().ioctl(3, abi.VIDIOC_S_CTRL, abi.Control(value=7))
    assert asked == [(3, abi.VIDIOC_S_CTRL, 7)] * 2
