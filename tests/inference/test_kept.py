"""Folders with a record: what is placed is found whole or not at all, and what was left behind is swept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from appliance.inference import kept
from appliance.inference.digest import sha256
from appliance.inference.kept import RECORD

VERSION = 3


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where one model's folders lie; the folder of all models and the state folder are above it."""
    return tmp_path / "state" / "engines" / "a_model"


def placed(home: Path, name: str = "one", content: bytes = b"an engine", **facts: Any) -> Path:
    with kept.workplace(home) as making:
        (making / "model.engine").write_bytes(content)
        kept.place(making, home / name, VERSION, facts)
    return home / name


def test_what_was_placed_is_found_with_its_facts(home: Path) -> None:
    folder = placed(home, at="now")
    record = kept.read(folder, VERSION)
    assert record is not None
    assert record["at"] == "now"
    assert (folder / "model.engine").read_bytes() == b"an engine"
    assert [path.name for path in home.iterdir()] == ["one"], "the workplace is gone"


def test_where_nothing_is_there_is_no_record(home: Path) -> None:
    assert kept.read(home / "one", VERSION) is None


def test_a_folder_without_a_record_is_none(home: Path) -> None:
    folder = placed(home)
    (folder / RECORD).unlink()
    assert kept.read(folder, VERSION) is None


def test_a_damaged_file_is_told(home: Path) -> None:
    folder = placed(home)
    (folder / "model.engine").write_bytes(b"an enginf")
    with pytest.raises(ValueError, match=r"^model\.engine is not the file that was recorded$"):
        kept.read(folder, VERSION)


def test_a_file_that_is_gone_is_told(home: Path) -> None:
    folder = placed(home)
    (folder / "model.engine").unlink()
    with pytest.raises(ValueError, match=r"^model\.engine is gone$"):
        kept.read(folder, VERSION)


def test_a_record_of_another_version_is_told_with_both(home: Path) -> None:
    folder = placed(home)
    with pytest.raises(ValueError, match=r"its record is of version 3, and this Porchlight knows 4"):
        kept.read(folder, VERSION + 1)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\xff",
        b"[]",
        b"null",
        b"7",
        b'"a word"',
        b"[" * 100_000,
        b'{"version": 3}',
        b'{"version": 3, "files": 5}',
        b'{"version": 3, "files": [1]}',
        b'{"version": 3, "files": {".": "x"}}',
        b'{"version": 3, "files": {"../../secret": "x"}}',
    ],
    ids=lambda content: repr(content[:30]),
)
def test_a_damaged_record_is_told_and_nothing_else_happens(home: Path, content: bytes) -> None:
    folder = placed(home)
    (folder / RECORD).write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        kept.read(folder, VERSION)


def test_a_record_reaches_no_file_outside_of_its_folder(home: Path) -> None:
    folder = placed(home)
    (home / "secret").write_bytes(b"somebody else's")
    record = json.loads((folder / RECORD).read_text())
    record["files"] = {"../secret": sha256(home / "secret")}
    (folder / RECORD).write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"^secret is gone$"):
        kept.read(folder, VERSION)


def test_what_is_placed_again_takes_the_others_place_as_a_whole(home: Path) -> None:
    folder = placed(home)
    (folder / "more").write_bytes(b"of the first")
    placed(home, content=b"the second")
    assert sorted(path.name for path in folder.iterdir()) == ["model.engine", RECORD]
    assert (folder / "model.engine").read_bytes() == b"the second"


def test_who_reads_while_another_is_placed_finds_none_or_a_whole_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at before each of the steps that can be seen from outside."""
    folder = placed(home)
    seen: list[str] = []

    def look(step: Any) -> Any:
        def stepped(*words: Any, **more: Any) -> Any:
            found = kept.read(folder, VERSION)
            seen.append("none" if found is None else (folder / "model.engine").read_text())
            return step(*words, **more)

        return stepped

    monkeypatch.setattr(shutil, "rmtree", look(shutil.rmtree))
    monkeypatch.setattr(Path, "rename", look(Path.rename))
    placed(home, content=b"the second")
    assert seen == ["an engine", "none", "the second"]


def test_one_that_fails_in_the_middle_leaves_what_was_there(home: Path) -> None:
    folder = placed(home)
    with pytest.raises(RuntimeError), kept.workplace(home) as making:  # noqa: PT012 -- that is the middle
        (making / "model.engine").write_bytes(b"half of it")
        raise RuntimeError
    assert (folder / "model.engine").read_bytes() == b"an engine"
    assert [path.name for path in home.iterdir()] == ["one"]


def test_where_nothing_was_kept_nothing_is_left(home: Path) -> None:
    with kept.workplace(home) as making:
        (making / "typed.onnx").write_bytes(b"meanwhile")
    assert [path.name for path in home.parent.parent.iterdir()] == []


def test_another_models_folders_stay(home: Path) -> None:
    placed(home.with_name("another"))
    with kept.workplace(home):
        pass
    assert [path.name for path in home.parent.iterdir()] == ["another"]


def test_a_full_disk_is_an_error_of_the_disk(home: Path) -> None:
    home.parent.mkdir(parents=True)
    home.write_text("a file, not a folder")
    with pytest.raises(OSError, match="exists"), kept.workplace(home):
        pass


def test_what_somebody_killed_has_left_is_swept_and_what_is_being_made_is_not(home: Path) -> None:
    left = home / ".making-killed"
    left.mkdir(parents=True)
    (left / "typed.onnx").write_bytes(b"half of it")
    with kept.workplace(home) as making:
        assert not left.exists()
        with kept.workplace(home) as another:
            assert making.is_dir()
            assert another != making


def test_a_killed_process_leaves_what_the_next_one_sweeps(home: Path) -> None:
    child = (
        "import pathlib, sys, time; from appliance.inference import kept\n"
        "with kept.workplace(pathlib.Path(sys.argv[1])) as making:\n"
        "    (making / 'typed.onnx').write_bytes(b'half of it'); print(making, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", child, str(home)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        making = Path(process.stdout.readline().strip())
        with kept.workplace(home):
            assert making.is_dir(), "its owner lives"
        process.kill()
    assert making.is_dir()
    with kept.workplace(home):
        assert not making.exists()


def test_the_folders_are_nobody_elses_to_read(home: Path) -> None:
    folder = placed(home)
    assert [path.stat().st_mode & 0o077 for path in (home, folder)] == [0, 0]


def test_the_newest_are_kept(home: Path) -> None:
    for number in range(6):
        folder = home / f"model{number}"
        folder.mkdir(parents=True)
        os.utime(folder, (1_000_000 + number, 1_000_000 + number))
    (home / ".making-x").mkdir()
    kept.keep_newest(home, 2)
    assert sorted(path.name for path in home.iterdir()) == [".making-x", "model4", "model5"]


def test_where_there_is_nothing_to_tidy_nothing_happens(home: Path) -> None:
    kept.keep_newest(home, 2)
    kept.remove(home / "one")
    assert not home.exists()
