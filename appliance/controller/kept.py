"""Small texts that survive: one file each in the state folder, for its owner's eyes alone. One process writes them.

Each call may wait for the disk: not on the alarm's path.
"""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 1_000_000
"""Bytes; nothing that is kept this way comes near."""


class NoTextError(ValueError):
    """The file is there, and holds nothing that was kept here."""


def read(path: Path) -> str | None:
    """Return what was kept; None: nothing yet. OSError, or NoTextError, where it cannot be had."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    if len(content) > LARGEST:
        raise NoTextError(f"{path} has more than {LARGEST:,} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise NoTextError(f"{path} is no text: byte {error.start} cannot be read") from None


def write(path: Path, text: str) -> None:
    """Keep the text in place of the last one: whenever the power fails, one of the two is there, whole.

    One call at a time for each file. OSError: the last one may still be there.
    """
    content = text.encode()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.new")
    # What a death in here left behind may be a link, or readable to others.
    unfinished.unlink(missing_ok=True)
    try:
        with open(unfinished, "xb", opener=_private) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def set_aside(path: Path) -> Path:
    """Rename a file that cannot be used, so that nothing overwrites it; return where it is now."""
    for number in count(1):
        aside = path.with_name(f"{path.name}.broken{number if number > 1 else ''}")
        if not aside.exists():
            break
    return path.rename(aside)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)


def _sync_folder(folder: Path) -> None:
    """The name is kept only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
