"""A form is read back as it was placed; whatever is damaged is told, and is no form."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.inference import kept
from appliance.inference.digest import sha256 as sha256_of
from appliance.inference.int8 import VERSION, Form, Made, home, place, read
from appliance.inference.kept import RECORD
from appliance.inference.selftest import Answer, Find

GOLDEN = Answer((Find((1.5, 2.0, 300.25, 400.0), 0.9, 1), Find((0.0, 0.0, 10.0, 10.0), 0.3, 17)), (0.9, 0.3, 0.01))
MADE = Made(0.97, 50, 0.7, "nncf 3.4.0", "2026-11-23T20:00:00+00:00", GOLDEN)


def placed(folder: Path, content: bytes = b"numbers", made: Made = MADE) -> Path:
    """Place a form of two files, and return its folder."""
    made_in = folder.with_name(f".making-{folder.name}")
    made_in.mkdir(parents=True)
    (made_in / "model.xml").write_text("<net/>")
    (made_in / "model.bin").write_bytes(content)
    place(made_in, folder, "model.xml", made)
    assert not made_in.exists()
    return folder


def form(folder: Path) -> Form:
    found = read(folder)
    assert found is not None
    return found


def record(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / RECORD).read_text())
    return document


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "int8" / "of_a_model" / "openvino_int8"


def test_each_model_has_a_home_of_its_own(tmp_path: Path) -> None:
    assert home(tmp_path, "a" * 64) == tmp_path / "int8" / ("a" * 32)
    assert home(tmp_path, "a" * 31 + "b" + "a" * 32) != home(tmp_path, "a" * 64)


def test_a_form_is_read_back_as_it_was_placed(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = form(placed(folder))
    assert found.file == folder / "model.xml"
    assert found.file.read_text() == "<net/>"
    assert found.golden == GOLDEN
    assert form(folder) == found
    assert caplog.text == ""


FLOATS = st.floats(0, 1000, allow_nan=False, width=32)
ANSWERS = st.builds(
    Answer,
    st.lists(
        st.builds(Find, st.tuples(FLOATS, FLOATS, FLOATS, FLOATS), st.floats(0, 1), st.integers(0, 90)), max_size=5
    ).map(tuple),
    st.lists(st.floats(0, 1), max_size=20).map(tuple),
)


@given(ANSWERS)
def test_no_bit_of_the_golden_answer_is_lost(tmp_path_factory: pytest.TempPathFactory, golden: Answer) -> None:
    made = Made(0.97, 50, 0.7, "nncf 3.4.0", "2026-11-23T20:00:00+00:00", golden)
    assert form(placed(tmp_path_factory.mktemp("state") / "int8" / "form", made=made)).golden == golden


def test_the_record_tells_people_how_it_was_made(folder: Path) -> None:
    told = record(placed(folder))
    assert (told["agreement"], told["held_back"], told["time_ratio"]) == (0.97, 50, 0.7)
    assert (told["made_with"], told["at"]) == (MADE.made_with, MADE.at)


def test_another_form_takes_the_place_and_has_another_digest(folder: Path) -> None:
    first = form(placed(folder))
    (folder / "left_over").write_text("of the first")
    second = form(placed(folder, b"other numbers"))
    assert second.digest != first.digest
    assert sorted(path.name for path in folder.iterdir()) == ["model.bin", "model.xml", RECORD]


def test_the_digest_changes_with_the_golden_answer_alone(folder: Path) -> None:
    first = form(placed(folder))
    other = Made(MADE.agreement, MADE.held_back, MADE.time_ratio, MADE.made_with, MADE.at, Answer((), (0.1,)))
    assert form(placed(folder, made=other)).digest != first.digest


def test_where_nothing_was_made_there_is_none_and_nothing_to_tell(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert read(folder) is None
    placed(folder)
    shutil.rmtree(folder)
    assert read(folder) is None
    assert caplog.text == ""


def rewritten(**change: Any) -> Callable[[Path], None]:
    """Return what changes these of the record."""

    def damage(folder: Path) -> None:
        (folder / RECORD).write_text(json.dumps({**record(folder), **change}))

    return damage


def without(key: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / RECORD).write_text(json.dumps({name: value for name, value in record(folder).items() if name != key}))

    return damage


def says(text: str) -> Callable[[Path], None]:
    """Return what makes this the record."""

    def damage(folder: Path) -> None:
        (folder / RECORD).write_text(text)

    return damage


def change_a_file(folder: Path) -> None:
    (folder / "model.bin").write_bytes(b"numberz")


def half_a_file(folder: Path) -> None:
    (folder / "model.bin").write_bytes(b"numb")


def take_a_file_away(folder: Path) -> None:
    (folder / "model.bin").unlink()


def a_folder_for_a_file(folder: Path) -> None:
    (folder / "model.bin").unlink()
    (folder / "model.bin").mkdir()


def a_file_for_the_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("a file")


def a_folder_for_the_record(folder: Path) -> None:
    (folder / RECORD).unlink()
    (folder / RECORD).mkdir()


def find(**change: Any) -> dict[str, Any]:
    return {"finds": [{"box": [1, 2, 3, 4], "score": 0.9, "class_id": 1, **change}], "best": [0.9]}


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a file is another": (change_a_file, "model.bin is not the file that was recorded"),
    "a file is cut": (half_a_file, "model.bin is not the file that was recorded"),
    "a file is gone": (take_a_file_away, "model.bin is gone"),
    "a file is a folder": (a_folder_for_a_file, "directory"),
    "the folder is a file": (a_file_for_the_folder, "Not a directory"),
    "the record is a folder": (a_folder_for_the_record, "directory"),
    "the record is empty": (says(""), "Expecting value"),
    "the record is cut": (says('{"version": 1, "fi'), "Unterminated"),
    "the record is noise": (says("\0\x01\x02"), "Expecting value"),
    "the record is a list": (says("[]"), ""),
    "the record is a number": (says("5"), ""),
    "the record is nested without end": (says("[" * 200_000), ""),
    "the record holds nests": (says('{"version": 1, "files": ' + '{"a": ' * 200_000), ""),
    "a newer version": (rewritten(version=VERSION + 1), f"is of version {VERSION + 1}, and this Porchlight knows"),
    "no version": (without("version"), "version"),
    "no files": (without("files"), "files"),
    "files that are a list": (rewritten(files=["model.bin"]), ""),
    "files that are none": (rewritten(files={}), "does not say what to load"),
    "nothing to load": (without("load"), "load"),
    "a number to load": (rewritten(load=5), ""),
    "a list to load": (rewritten(load=[]), ""),
    "the parent to load": (rewritten(load=".."), "does not say what to load"),
    "something else to load": (rewritten(load="../../../passwords"), "does not say what to load"),
    "no golden answer": (without("golden"), "golden"),
    "a golden answer that is none": (rewritten(golden=[]), ""),
    "a box with three sides": (rewritten(golden=find(box=[1, 2, 3])), ""),
    "a box of words": (rewritten(golden=find(box="abcd")), ""),
    "a box that is a number": (rewritten(golden=find(box=1)), ""),
    "a score that is none": (rewritten(golden=find(score=None)), ""),
    "a class that is a word": (rewritten(golden=find(class_id="person")), ""),
    "a class without end": (rewritten(golden=find(class_id=float("inf"))), ""),
    "a score of many digits": (rewritten(golden=find(score=10**400)), ""),
    "best that are words": (rewritten(golden={"finds": [], "best": ["high"]}), ""),
}


@pytest.mark.parametrize("which", DAMAGES)
def test_what_is_damaged_is_no_form_and_what_to_do_is_told(
    folder: Path, caplog: pytest.LogCaptureFixture, which: str
) -> None:
    damage, words = DAMAGES[which]
    damage(placed(folder))
    assert read(folder) is None
    (told,) = caplog.records
    assert told.levelname == "WARNING"
    assert words in told.getMessage()
    assert str(folder) in told.getMessage()
    assert "make it anew with `porchlight model quantize`" in told.getMessage()


@given(st.data())
def test_whatever_byte_of_a_form_goes_bad_it_is_no_form_or_says_so_by_its_digest(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = placed(tmp_path_factory.mktemp("state") / "int8" / "form")
    good, was = form(folder), record(folder)
    file = folder / data.draw(st.sampled_from(["model.xml", "model.bin", RECORD]))
    content = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    file.write_bytes(bytes(content))
    found = read(folder)
    assert found is None or file.name == RECORD
    assert found is None or found.digest != good.digest or json.loads(content) == was  # a byte of white space


@pytest.mark.parametrize("name", ["../../passwords", "../passwords", "/etc/hostname", "sub/../../passwords"])
def test_a_name_that_leads_elsewhere_is_not_followed(
    folder: Path, caplog: pytest.LogCaptureFixture, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed(folder)
    for above in (folder.parent, folder.parent.parent):
        (above / "passwords").write_text("secret")
    outside = folder.parent.parent / "passwords"
    told = record(folder)
    (folder / RECORD).write_text(json.dumps({**told, "files": {name: sha256_of(outside)}, "load": name}))
    looked_at: list[Path] = []

    def sha256(path: Path) -> str:
        looked_at.append(path)
        return sha256_of(path)

    monkeypatch.setattr(kept, "sha256", sha256)
    assert read(folder) is None
    assert {path.parent for path in looked_at} == {folder}
    assert f"{Path(name).name} is gone" in caplog.text


def test_what_half_a_removal_has_left_gives_way_to_a_new_form(folder: Path) -> None:
    """`place` takes the old one away first: a power cut may leave some of it."""
    placed(folder)
    (folder / RECORD).unlink()
    assert read(folder) is None
    assert form(placed(folder, b"other numbers")).golden == GOLDEN


def test_a_form_that_was_not_finished_is_none(tmp_path: Path) -> None:
    made_in = tmp_path / "int8" / "of_a_model" / ".making-x"
    made_in.mkdir(parents=True)
    (made_in / "model.xml").write_text("<net/>")
    assert read(made_in) is None
    assert read(made_in.with_name("openvino_int8")) is None


def test_a_disk_that_refuses_leaves_the_form_that_is_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = form(placed(folder))

    def write_text(*_: object) -> int:
        raise OSError(28, "No space left on device")

    made_in = folder.with_name(".making-x")
    made_in.mkdir()
    with monkeypatch.context() as full:
        full.setattr(Path, "write_text", write_text)
        with pytest.raises(OSError, match="No space left"):
            place(made_in, folder, "model.xml", MADE)
    assert form(folder) == first
