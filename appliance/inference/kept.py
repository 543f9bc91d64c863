"""Folders in the state folder that hold what was made of a model: the files, and a record of what they must be."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.inference.digest import sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RECORD = "record.json"
_MAKING = ".making-"


def read(folder: Path, version: int) -> dict[str, Any] | None:
    """Return the record; None where there is none. ValueError: what is there is not what was recorded, and how."""
    try:
        record = json.loads((folder / RECORD).read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(str(error)) from None
    try:
        if record["version"] != version:
            raise ValueError(f"its record is of version {record['version']}, and this Porchlight knows {version}")
        for name, digest in dict(record["files"]).items():
            if sha256(folder / Path(name).name) != digest:
                raise ValueError(f"{name} is not the file that was recorded")
    except FileNotFoundError as error:
        raise ValueError(f"{Path(error.filename).name} is gone") from None
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from None
    return dict(record)


def place(made_in: Path, folder: Path, version: int, facts: Mapping[str, Any]) -> None:
    """Give the finished files in `made_in` (in the same file system) their place, with a record. OSError."""
    files = {path.name: sha256(path) for path in sorted(made_in.iterdir())}
    (made_in / RECORD).write_text(json.dumps({"version": version, "files": files, **facts}, indent=1) + "\n")
    # Who reads in between finds none, and does without.
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made_in.rename(folder)


@contextlib.contextmanager
def workplace(home: Path) -> Iterator[Path]:
    """A folder beside those that are kept, so that it can be renamed; gone afterwards. OSError: the disk refuses.

    It is locked for as long as its owner lives: what a killed one has left is removed by the next.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in home.glob(f"{_MAKING}*"):
        with contextlib.suppress(OSError), _locked(left):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_MAKING, dir=home))
    try:
        with _locked(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            home.rmdir()  # where nothing was kept, nothing is left
            home.parent.rmdir()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. OSError: another process does."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def remove(folder: Path) -> None:
    """Remove it. What cannot be removed is no longer whole, and not used either."""
    shutil.rmtree(folder, ignore_errors=True)


def keep_newest(home: Path, most: int) -> None:
    """Remove all but the newest `most` of the folders that are kept. What cannot be removed stays."""
    with contextlib.suppress(OSError):
        there = [folder for folder in home.iterdir() if not folder.name.startswith(_MAKING)]
        there.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
        for folder in there[most:]:
            shutil.rmtree(folder, ignore_errors=True)
