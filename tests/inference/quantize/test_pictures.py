"""Where the pictures come from: a folder, or the cameras of the Porchlight that runs; and which are held back."""

from __future__ import annotations

import http.client
import itertools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config import Camera, Settings
from appliance.inference.quantize import pictures
from appliance.inference.quantize.pictures import LEAST, apart, decoded, of_cameras, of_folder
from appliance.inference.store.errors import RefusedError, StoreError
from tests.inference.quantize.house import TOKEN, Gateway, fill, picture
from tests.rig import free_port

SECONDS = 900.0


def test_a_picture_is_decoded_to_red_green_blue() -> None:
    rgb = decoded(picture(15))
    assert (rgb.shape, str(rgb.dtype)) == ((48, 64, 3), "uint8")
    assert abs(int(rgb[0, 0, 0]) - 240) <= 2
    assert rgb[0, 0, 2] <= 2


# A folder.


def test_a_folders_pictures_are_taken_as_they_are_also_of_folders_in_it(tmp_path: Path) -> None:
    fill(tmp_path / "day", LEAST)
    (tmp_path / "night.PNG").write_bytes(picture(99))
    (tmp_path / "notes.txt").write_text("no picture, and not meant as one")
    said: list[str] = []
    assert of_folder(tmp_path, 150, said.append) == [*map(picture, range(LEAST)), picture(99)]
    assert said == []


@given(there=st.integers(LEAST, 120), most=st.integers(LEAST, 90))
def test_of_too_many_they_are_taken_evenly(there: int, most: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / f"of{there}"
    if not folder.exists():
        fill(folder, there)
    number_of = {picture(number): number for number in range(there)}
    found = [number_of[one] for one in of_folder(folder, most, lambda _: None)]
    assert len(found) == min(there, most)
    steps = {after - before for before, after in itertools.pairwise(found)}
    assert max(steps) - min(steps) <= 1
    assert found[0] == 0
    assert there - found[-1] <= max(steps) + 1


def test_too_few_are_refused_with_how_many_it_takes(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=rf"has {LEAST - 1} different pictures, and it takes {LEAST}: better 100"):
        of_folder(fill(tmp_path / "few", LEAST - 1), 150, lambda _: None)


def test_a_picture_that_is_there_twice_is_one(tmp_path: Path) -> None:
    """Else it would be calibrated with and held back, and agree with itself."""
    fill(tmp_path, LEAST - 1)
    (tmp_path / "copy.jpg").write_bytes(picture(0))
    with pytest.raises(RefusedError, match=f"has {LEAST - 1} different pictures"):
        of_folder(tmp_path, 150, lambda _: None)


def test_files_that_are_no_pictures_are_named_and_left_out(tmp_path: Path) -> None:
    fill(tmp_path, LEAST)
    for name, content in (("empty.jpg", b""), ("text.png", b"This is none.")):
        (tmp_path / name).write_bytes(content)
    said: list[str] = []
    assert len(of_folder(tmp_path, 150, said.append)) == LEAST
    assert said == [f"{tmp_path / name} is left out: it is no picture" for name in ("empty.jpg", "text.png")]


def test_a_file_that_cannot_be_read_is_named_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, LEAST + 1)
    really, bad = Path.read_bytes, tmp_path / "0003.jpg"

    def read_bytes(path: Path) -> bytes:
        if path == bad:
            raise PermissionError(13, "Permission denied", str(path))
        return really(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    said: list[str] = []
    assert len(of_folder(tmp_path, 150, said.append)) == LEAST
    assert said == [f"{bad} is left out: Permission denied"]


@pytest.mark.parametrize("name", ["none", "a_file.jpg", "n" * 300])
def test_a_folder_that_is_none_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "a_file.jpg").write_bytes(picture(0))
    with pytest.raises(RefusedError, match=rf"{name}: "):
        of_folder(tmp_path / name, 150, lambda _: None)


# The cameras.


def settings(gateway: Gateway | int, *cameras: str, token: str | None = None) -> Settings:
    port = gateway if isinstance(gateway, int) else gateway.port
    return Settings.model_validate(
        {
            "cameras": [Camera(id=camera, source="file:none") for camera in cameras],
            "gateway": {"port": port, "token": token},
        }
    )


def watch(one: Settings, most: int = LEAST) -> tuple[list[bytes], list[str], list[float]]:
    """Return the pictures, what was said, and how long it was to be slept."""
    said: list[str] = []
    slept: list[float] = []
    return of_cameras(one, most, SECONDS, said.append, slept.append), said, slept


def test_the_cameras_are_asked_in_turn_and_what_they_give_is_taken(gateways: Callable[..., Gateway]) -> None:
    gateway = gateways()
    found, said, _ = watch(settings(gateway, "porch", "yard", "door"), 31)
    assert gateway.asked == [("porch", "yard", "door")[number % 3] for number in range(31)]
    assert found == [picture(number) for first in range(3) for number in range(first, 31, 3)], "camera by camera"
    assert said[0].startswith("taking 31 pictures in 15 minutes; ")
    assert said[1:] == ["20 pictures"]


def test_they_are_spread_over_the_time_that_was_given(gateways: Callable[..., Gateway]) -> None:
    """Nobody sleeps here, so each is as much later as is left of its time."""
    _, _, slept = watch(settings(gateways(), "porch"))
    assert len(slept) == LEAST
    assert slept == sorted(slept)
    assert slept[-1] <= SECONDS - SECONDS / LEAST


@pytest.fixture
def written() -> Iterator[list[str]]:
    """Every file that Python opens to write in while the test runs; the hook itself cannot be taken away again."""
    found: list[str] = []
    ended: list[bool] = []

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and not ended and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            found.append(str(arguments[0]))

    sys.addaudithook(watch)
    yield found
    ended.append(True)


def test_nothing_of_them_is_written_anywhere(gateways: Callable[..., Gateway], home: Path, written: list[str]) -> None:
    watch(settings(gateways(), "porch"))
    assert written == []
    assert sorted(path.name for path in home.rglob("*")) == ["state", "temporary"]
    (home / "proof").write_text("else this test could not fail")
    assert written == [str(home / "proof")]


def test_a_gateway_with_a_token_is_shown_it(gateways: Callable[..., Gateway]) -> None:
    found, _, _ = watch(settings(gateways(token=TOKEN), "porch", token=TOKEN))
    assert len(found) == LEAST


@pytest.mark.parametrize("shown", [None, f"{TOKEN}, but another"])
def test_a_gateway_that_wants_another_token_is_asked_once(gateways: Callable[..., Gateway], shown: str | None) -> None:
    gateway = gateways(token=TOKEN)
    with pytest.raises(RefusedError, match=r"gateway\.token") as told:
        watch(settings(gateway, "porch", token=shown))
    assert gateway.asked == ["porch"]
    assert TOKEN not in str(told.value)


def test_a_camera_without_a_picture_is_told_once_and_the_others_go_on(gateways: Callable[..., Gateway]) -> None:
    gateway = gateways(answers={"yard": lambda _: (503, b"the camera gives no picture at present\n")})
    found, said, _ = watch(settings(gateway, "porch", "yard"), 2 * LEAST)
    assert len(found) == LEAST
    told = "camera yard: the gateway answers 503: the camera gives no picture at present"
    assert [line for line in said if "yard" in line] == [told]


def test_a_porchlight_that_is_restarted_meanwhile_does_not_throw_away_what_has_come(
    gateways: Callable[..., Gateway],
) -> None:
    gateway = gateways(answers={"porch": lambda number: None if 5 <= number < 9 else (200, picture(number))})
    found, said, _ = watch(settings(gateway, "porch"), LEAST + 4)
    assert len(found) == LEAST
    assert len([line for line in said if "does not answer" in line]) == 1


def test_what_is_no_picture_is_told_and_left_out(gateways: Callable[..., Gateway]) -> None:
    gateway = gateways(answers={"yard": lambda number: (200, b"" if number % 4 == 1 else b"<html>")})
    found, said, _ = watch(settings(gateway, "porch", "yard"), 2 * LEAST)
    assert found == [picture(number) for number in range(0, 2 * LEAST, 2)]
    assert [line for line in said if "yard" in line] == ["camera yard: the gateway has sent what is no picture"]


def test_a_camera_that_stands_still_gives_one_picture(gateways: Callable[..., Gateway]) -> None:
    with pytest.raises(RefusedError, match="the cameras gave 1 different pictures"):
        watch(settings(gateways(answers={"porch": lambda _: (200, picture(5))}), "porch"))


def test_where_all_are_dark_the_end_says_what_it_takes(gateways: Callable[..., Gateway]) -> None:
    with pytest.raises(RefusedError, match=f"the cameras gave 0 different pictures, and it takes {LEAST}"):
        watch(settings(gateways(answers={"porch": lambda _: (503, b"")}), "porch"))


def test_where_no_porchlight_runs_it_says_what_to_do() -> None:
    port = free_port()
    with pytest.raises(StoreError, match=rf"http://127\.0\.0\.1:{port} does not answer .*start it, or .*--pictures"):
        watch(settings(port, "porch"))


def test_something_else_on_that_port_is_no_porchlight_either(gateways: Callable[..., Gateway]) -> None:
    with pytest.raises(StoreError, match="does not answer"):
        watch(settings(gateways(speaks_http=False), "porch"))


def test_a_gateway_that_breaks_off_does_not_answer(gateways: Callable[..., Gateway]) -> None:
    with pytest.raises(StoreError, match="does not answer"):
        watch(settings(gateways(answers={"porch": lambda _: None}), "porch"))


def test_one_that_says_nothing_is_not_waited_for_for_ever(
    gateways: Callable[..., Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float | None] = []

    def connect(connection: http.client.HTTPConnection) -> None:
        waited.append(connection.timeout)
        raise TimeoutError("timed out")

    monkeypatch.setattr(http.client.HTTPConnection, "connect", connect)
    with pytest.raises(StoreError, match=r"does not answer .*timed out"):
        watch(settings(gateways(), "porch"))
    assert waited == [pictures._ANSWER_S]


def test_without_cameras_it_asks_for_a_folder() -> None:
    with pytest.raises(RefusedError, match="there are no cameras in the settings; give a folder with --pictures"):
        watch(settings(free_port()))


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_a_gateway_for_everybody_is_asked_on_this_machine(gateways: Callable[..., Gateway], host: str) -> None:
    one = Settings.model_validate(
        {
            "cameras": [Camera(id="porch", source="file:none")],
            "gateway": {"host": host, "port": gateways(token=TOKEN).port, "token": TOKEN},
        }
    )
    assert len(watch(one)[0]) == LEAST


def test_no_proxy_sees_the_pictures_or_the_token(
    gateways: Callable[..., Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = gateways()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert len(watch(settings(gateways(token=TOKEN), "porch", token=TOKEN))[0]) == LEAST
    assert proxy.asked == []


# What is held back.

SOME = st.integers(1, 600).map(lambda count: [b"%d" % number for number in range(count)])


@given(SOME)
def test_no_picture_is_in_both_parts_and_none_is_lost(found: list[bytes]) -> None:
    calibration, held = apart(found)
    assert sorted([*calibration, *held]) == sorted(found)


@given(SOME.filter(lambda found: len(found) >= LEAST))
def test_about_a_third_is_held_back(found: Sequence[bytes]) -> None:
    """As many as a third of the pieces have."""
    _, held = apart(found)
    assert 0.25 <= len(held) / len(found) <= 0.37


@given(SOME)
def test_what_is_held_back_lies_in_pieces_of_the_time(found: list[bytes]) -> None:
    """So what is calibrated with is not what came a second before or after, but at the pieces' edges."""
    _, held = apart(found)
    there = set(held)
    is_held = [one in there for one in found]
    edges = sum(before != after for before, after in itertools.pairwise(is_held))
    size = max(1, len(found) // 24)
    assert edges <= 2 * -(-len(found) // size) / 3 + 1
    assert not is_held[0]
    assert len(found) < 2 or any(is_held)
    numbers = [int(one) for one in held]
    assert numbers == sorted(numbers)
