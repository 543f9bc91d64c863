"""The models themselves: frozen, bounded, described; and what derives from settings."""

from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from appliance.config import Camera, FileSource, Gateway, Mqtt, Settings, parse_source
from appliance.config.outline import find, value_paths
from appliance.config.problem import BadSettingError

UNKNOWN_KIND = (
    "does not start with a known kind of source; write v4l2:///dev/video0, rtsp://..., http://..., "
    "file:///path/to/clip.mp4 or synthetic://porch"
)


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("file:///a/b.mp4", FileSource(Path("/a/b.mp4"))),
        ("FILE:///a/b.mp4", FileSource(Path("/a/b.mp4"))),
        ("file://./b.mp4", FileSource(Path("b.mp4"))),
        ("file://a/b.mp4", FileSource(Path("a/b.mp4"))),
        ("file:b.mp4", FileSource(Path("b.mp4"))),
        ("file:/a/b.mp4", FileSource(Path("/a/b.mp4"))),
        ("file:///a%20b%3F.mp4", FileSource(Path("/a b?.mp4"))),
        ("file:///a b#1.mp4", FileSource(Path("/a b#1.mp4"))),
        ("file:///a.mp4?loop=true", FileSource(Path("/a.mp4"), loop=True)),
        ("file:///a.mp4?rate=lockstep&loop=false", FileSource(Path("/a.mp4"), rate="lockstep")),
        ("file:///a.mp4?loop=true&rate=realtime", FileSource(Path("/a.mp4"), loop=True)),
    ],
)
def test_a_file_url_names_a_path_and_how_it_plays(url: str, source: FileSource) -> None:
    assert parse_source(url) == source
    assert Camera(id="a", source=url).parsed == source


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("clip.mp4", UNKNOWN_KIND),
        ("ftp://a", UNKNOWN_KIND),
        ("", UNKNOWN_KIND),
        ("me:hunter2@camera/stream", UNKNOWN_KIND),
        ("file:", "names no file; write file:///path/to/clip.mp4"),
        ("file://?loop=true", "names no file; write file:///path/to/clip.mp4"),
        ("file:///media/", "names no file; write file:///path/to/clip.mp4"),
        ("file:///a%00b", "names no file; write file:///path/to/clip.mp4"),
        ("file:///a?speed=2", 'has an unknown option "speed"; file:// knows loop and rate'),
        ("file:///a?loop", 'has loop=""; write loop=true or loop=false'),
        ("file:///a?loop=yes", 'has loop="yes"; write loop=true or loop=false'),
        ("file:///a?rate=2", 'has rate="2"; write rate=realtime or rate=lockstep'),
        ("file:///a?loop=true&loop=true", 'has the option "loop" twice; keep one of them'),
        ("file:///a?loop=true&", 'has an unknown option ""; file:// knows loop and rate'),
    ],
)
def test_a_source_that_cannot_be_opened_is_refused(url: str, said: str) -> None:
    with pytest.raises(BadSettingError) as caught:
        parse_source(url)
    assert str(caught.value) == said


def test_a_camera_without_a_name_is_called_by_its_id_in_words() -> None:
    assert Camera(id="front_door", source="file:a").label == "Front door"
    assert Camera(id="front_door", source="file:a", name="Haustür").label == "Haustür"
    assert Camera(id="_", source="file:a").label == "_"


def test_two_cameras_cannot_have_one_id() -> None:
    camera = Camera(id="a", source="file:a")
    with pytest.raises(ValidationError, match="is the id of an earlier camera too"):
        Settings(cameras=(camera, camera))


def test_the_state_folder_follows_the_xdg_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert Settings().state_path == Path("/home/me/.local/state/porchlight/porchlight")
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    assert Settings().state_path == Path("/home/me/.local/state/porchlight/porchlight")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert Settings(instance="yard").state_path == Path("/state/porchlight/yard")
    assert Settings(state_dir=Path("~/here")).state_path == Path("/home/me/here")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(Settings().mqtt, "host", "a")  # noqa: B010


def test_neither_a_secret_nor_a_source_shows_in_a_log_line() -> None:
    mqtt = Mqtt(username="me", password=SecretStr("hunter2"))
    gateway = Gateway(token=SecretStr("hunter2-hunter2-hunter2"))
    camera = Camera(id="a", source="file:hunter2")
    assert "hunter2" not in repr(Settings(mqtt=mqtt, gateway=gateway, cameras=(camera,)))
    with pytest.raises(ValidationError) as caught:
        Gateway(token=SecretStr("hunter2"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("path", list(value_paths()), ids=lambda path: ".".join(map(str, path)))
def test_every_setting_is_described_and_every_number_is_bounded(path: tuple[str | int, ...]) -> None:
    field = find(path).field
    assert field is not None
    assert field.description
    if {int, float} & {field.annotation}:
        bounds = {name for mark in field.metadata for name in ("ge", "le") if hasattr(mark, name)}
        assert bounds == {"ge", "le"}


def test_every_group_is_frozen_and_refuses_what_it_does_not_know() -> None:
    groups = {found.section for path in value_paths() if (found := find(path[:-1])).section}
    assert len(groups) == 15
    for group in groups:
        assert issubclass(group, BaseModel)
        assert group.model_config["frozen"] is True
        assert group.model_config["extra"] == "forbid"
