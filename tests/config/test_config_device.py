"""v4l2:// and its options: what each may be, and what is said of one that it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.config import Camera, V4l2Settings, parse_source
from appliance.config.problem import BadSettingError

VIDEO0 = Path("/dev/video0")
BY_PATH = "/dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0"


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("v4l2:///dev/video0", V4l2Settings(VIDEO0)),
        ("V4L2:/dev/video0", V4l2Settings(VIDEO0)),
        (f"v4l2://{BY_PATH}", V4l2Settings(Path(BY_PATH))),
        ("v4l2:///dev/v4l/by-id/usb-A%20B-video-index0", V4l2Settings(Path("/dev/v4l/by-id/usb-A B-video-index0"))),
        ("v4l2:///dev/video0?size=16x16", V4l2Settings(VIDEO0, size=(16, 16))),
        ("v4l2:///dev/video0?size=7680x4320", V4l2Settings(VIDEO0, size=(7680, 4320))),
        ("v4l2:///dev/video0?fps=7.5", V4l2Settings(VIDEO0, fps=7.5)),
        ("v4l2:///dev/video0?fps=240&format=auto", V4l2Settings(VIDEO0, fps=240)),
        ("v4l2:///dev/video0?format=nv12", V4l2Settings(VIDEO0, "nv12")),
        ("v4l2:///dev/video0?exposure=20", V4l2Settings(VIDEO0, exposure_ms=20)),
        ("v4l2:///dev/video0?exposure=0.1ms", V4l2Settings(VIDEO0, exposure_ms=0.1)),
        (
            "v4l2:///dev/video0?size=1280x720&fps=30&format=mjpg&exposure=20ms",
            V4l2Settings(VIDEO0, "mjpg", (1280, 720), 30, 20),
        ),
        ("v4l2:///dev/video0?exposure=1000ms&format=yuyv", V4l2Settings(VIDEO0, "yuyv", exposure_ms=1000)),
    ],
)
def test_a_v4l2_url_names_a_device_and_how_it_is_set(url: str, settings: V4l2Settings) -> None:
    assert parse_source(url) == settings
    assert Camera(id="a", source=url).parsed == settings


@pytest.mark.parametrize(
    "url",
    [
        "v4l2:",
        "v4l2://",
        "v4l2://video0",
        "v4l2://dev/video0",
        "v4l2:///dev",
        "v4l2:///dev/",
        "v4l2:///dev/v4l/by-id/",
        "v4l2:///tmp/video0",
        "v4l2:///dev/../etc/passwd",
        "v4l2:///dev/%2e%2e/etc/passwd",
        "v4l2:///dev/video0%00",
        "v4l2:///dev/video0%0a",
        "v4l2://?size=1280x720",
    ],
)
def test_a_device_is_an_absolute_path_under_dev(url: str) -> None:
    assert refusal(url) == (
        "names no device under /dev; write v4l2:///dev/video0, or v4l2:///dev/v4l/by-id/ and the camera's name"
    )


SIZES = "write width x height, even numbers from 16x16 to 7680x4320, such as size=1280x720"
RATES = "write a number from 1 to 240, such as fps=30"
EXPOSURES = "write a number from 0.1 to 1000, such as exposure=20ms"


@pytest.mark.parametrize(
    ("option", "right"),
    [
        ("size=", SIZES),
        ("size=14x16", SIZES),
        ("size=7682x4320", SIZES),
        ("size=641x480", SIZES),
        ("size=640x480x3", SIZES),
        ("fps=0.9", RATES),
        ("fps=241", RATES),
        ("fps=30ms", RATES),
        ("fps=", RATES),
        ("exposure=0", EXPOSURES),
        ("exposure=1001ms", EXPOSURES),
        ("exposure=ms", EXPOSURES),
        ("exposure=20s", EXPOSURES),
        ("exposure=20msms", EXPOSURES),
        ("format=h264", "write format=auto, format=mjpg, format=yuyv or format=nv12"),
    ],
)
def test_an_option_that_does_not_fit_is_refused_by_name_with_what_would_be_right(option: str, right: str) -> None:
    name, _, value = option.partition("=")
    assert refusal(f"v4l2:///dev/video0?{option}") == f'has {name}="{value}"; {right}'


def test_an_option_that_is_none_is_refused_with_those_there_are() -> None:
    knows = "v4l2:// knows size, fps, format and exposure"
    assert refusal("v4l2:///dev/video0?loop=true") == f'has an unknown option "loop"; {knows}'
    assert refusal("v4l2:///dev/video0?fps=1&fps=1") == 'has the option "fps" twice; keep one of them'


def refusal(url: str) -> str:
    with pytest.raises(BadSettingError) as caught:
        parse_source(url)
    return str(caught.value)
