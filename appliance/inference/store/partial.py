"""A download that is not whole: its bytes, and beside them which version of which file they begin."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from appliance.inference.store.version import Version

if TYPE_CHECKING:
    from types import TracebackType

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Partial:
    """NAME.onnx.part, to be used by whoever holds the name's lock. OSError: the disk, as it is."""

    def __init__(self, path: Path, source: str) -> None:
        self.path = path
        self.version = Version()
        self._source = source
        self._note = path.with_name(f"{path.name}.json")
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.size:
            self.drop()
        os.close(self._file)

    @property
    def size(self) -> int:
        return os.fstat(self._file).st_size

    @property
    def room(self) -> int:
        """Bytes that the disk still has for it."""
        return shutil.disk_usage(self.path.parent).free

    def resume(self) -> int:
        """Return how many bytes can be kept; 0 after emptying it where they cannot.

        The server must be able to say that the file is still the same, and the machine must not have been started anew:
        a power cut may have left bytes that were never written.
        """
        if self.size:
            said = self._said()
            self.version = Version()
            with contextlib.suppress(KeyError, TypeError):
                self.version = Version(**said["version"])
            if (said.get("source"), said.get("boot")) != (self._source, _boot()) or not self.version.validator:
                self.begin(Version())
        return self.size

    def begin(self, version: Version) -> None:
        """Empty it; what is appended belongs to this version."""
        self._note.unlink(missing_ok=True)
        os.ftruncate(self._file, 0)
        self.version = version
        said = {"source": self._source, "boot": _boot(), "version": asdict(version)}
        self._note.write_text(json.dumps(said), encoding="utf-8")

    def append(self, chunk: bytes) -> None:
        left = memoryview(chunk)
        while left:
            left = left[os.write(self._file, left) :]

    def drop(self) -> None:
        self._note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def forget_note(self) -> None:
        """Its file has got a name of its own."""
        self._note.unlink(missing_ok=True)

    def _said(self) -> dict[str, Any]:
        try:
            said = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return said if isinstance(said, dict) else {}


def _boot() -> str:
    """Return what is different after each start of the machine."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""
