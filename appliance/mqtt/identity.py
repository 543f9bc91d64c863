"""What tells this installation from others of its name: two MQTT clients of one id throw each other out for ever."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

_FILE = "install-id"
_ID = re.compile(r"[0-9a-f]{8}")


def install_id(state_folder: Path) -> str:
    """Return eight hexadecimal digits, made once and kept; where they cannot be kept, new ones at each start."""
    file = state_folder / _FILE
    found = _read(file)
    if found:
        return found
    fresh = secrets.token_hex(4)
    whole = file.with_name(f".{_FILE}.{fresh}")
    try:
        state_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        whole.write_text(f"{fresh}\n")
        _sync(whole)
        try:
            os.link(whole, file)  # whoever comes second fails here, and reads the first one's
        except FileExistsError:
            _take_the_place_of(file, whole, fresh)
    except OSError:
        return fresh
    finally:
        with contextlib.suppress(OSError):
            whole.unlink()
    return _read(file) or fresh


def _read(file: Path) -> str:
    """Return the id; empty: there is none."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        text = file.read_text().strip()
        return text if _ID.fullmatch(text) else ""
    return ""


def _take_the_place_of(file: Path, whole: Path, fresh: str) -> None:
    """Put `whole` where no id is: a power cut left it empty, or it is not of this version.

    What is spoilt is the lock too: whoever waited for it finds the first one's id in its place.
    """
    with file.open("rb") as spoilt:
        with contextlib.suppress(OSError):  # a file system without locks: better two ids until the next start than none
            fcntl.flock(spoilt, fcntl.LOCK_EX)
        if not _read(file):
            _keep_beside(file, fresh)
            whole.replace(file)


def _keep_beside(file: Path, fresh: str) -> None:
    """Leave what is no id of ours under another name; zeros are what a power cut leaves."""
    if file.read_bytes().strip(b"\0 \n"):
        aside = file.with_name(f"{_FILE}.broken-{fresh}")
        os.link(file, aside)
        log.warning("%s holds no id that this Porchlight knows; set aside as %s, and a new one made", file, aside)


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
