"""The store's folder. A file there has its name only after it was found good; what is under way is called otherwise.

NAME.onnx and NAME.onnx.json are the model and its record, NAME.onnx.part and NAME.onnx.part.json a download that is
not whole. A change is committed by its record: `.NAME.onnx.json.next` is written first, then the model is renamed, then
that record. Whoever is killed between leaves what the next one can finish or undo.
"""

from __future__ import annotations

import contextlib
import enum
import fcntl
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.inference import digest
from appliance.inference.store import record
from appliance.inference.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from appliance.inference.store.record import Record


class State(enum.StrEnum):
    INTACT = "intact"
    CHANGED = "not the file that was recorded"
    UNRECORDED = "no record"
    MISSING = "the file is gone"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Item:
    """A model as it stands: `sha256` and `size` are the file's, read just now; empty and 0 where there is none."""

    name: str
    path: Path
    state: State
    size: int
    sha256: str
    record: Record | None


class Shelf:
    """The folder; made when something is put there. StoreError, everywhere: it cannot be read or written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        return self.folder / name

    def part(self, name: str) -> Path:
        return self.folder / f"{name}.part"

    def items(self) -> list[Item]:
        """Return every model, by name: also one without a record, and a record without its file."""
        with self.in_words():
            models = {path.name for path in self.folder.glob("*.onnx")}
            recorded = {path.name.removesuffix(".json") for path in self.folder.glob("*.onnx.json")}
        return [self.look(name) for name in sorted(models | recorded) if not name.startswith(".")]

    def look(self, name: str) -> Item:
        """Return how this model stands, with its file's hash as it is now."""
        path = self.path(name)
        with self.in_words():
            try:
                size, sha256 = path.stat().st_size, digest.sha256(path)
            except FileNotFoundError:
                size, sha256 = 0, ""
        known = record.read(self._record(name))
        coming = record.read(self._next(name))
        if coming is not None and sha256 == coming.sha256:
            known = coming  # somebody was killed before the record had its name
        return Item(name, path, _state(sha256, known), size, sha256, known)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Have this name for oneself. StoreError: another process has it.

        The lock is a file of its own that stays: a lock on the partial file would go with it when it is renamed.
        """
        with self.in_words():
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / f".{name}.lock").open("a")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreError(f"{name}: another porchlight is getting it at this moment; let it end") from None
            except OSError as error:
                raise StoreError(f"{self.folder}: this file system has no locks ({error.strerror})") from None
            with self.in_words():
                self._settle(name)
            yield

    def place(self, file: Path, entry: Record) -> Path:
        """Give a good file its name and its record, both or neither. It must be in this folder's file system."""
        path = self.path(entry.name)
        with self.in_words():
            _sync(file)
            self._next(entry.name).write_text(record.text(entry), encoding="utf-8")
            _sync(self._next(entry.name))
            file.rename(path)
            self._next(entry.name).rename(self._record(entry.name))
            _sync(self.folder)
        return path

    def _settle(self, name: str) -> None:
        """Finish or undo what somebody who was killed had begun to `place`."""
        coming = record.read(self._next(name))
        if coming is not None and self.path(name).exists() and digest.sha256(self.path(name)) == coming.sha256:
            self._next(name).rename(self._record(name))
        else:
            self._next(name).unlink(missing_ok=True)

    def _record(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _next(self, name: str) -> Path:
        return self.folder / f".{name}.json.next"

    @contextlib.contextmanager
    def in_words(self) -> Iterator[None]:
        """Make a StoreError of what the disk says."""
        try:
            yield
        except OSError as error:
            where = error.filename if isinstance(error.filename, str) else self.folder
            raise StoreError(f"{where}: {error.strerror or error}") from None


def _state(sha256: str, known: Record | None) -> State:
    if not sha256:
        return State.MISSING if known else State.ABSENT
    if known is None:
        return State.UNRECORDED
    return State.INTACT if sha256 == known.sha256 else State.CHANGED


def _sync(path: Path) -> None:
    """Have the disk keep it: without this a power cut leaves the new name over an empty file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
