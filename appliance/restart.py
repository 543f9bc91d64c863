"""Starting anew on request: whoever serves the button leaves a mark in the run folder, and the supervisor sees it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appliance.ipc.run_folder import RunFolder

_MARK = "restart"


def ask(folder: RunFolder) -> None:
    """Have all stages ended and started again. OSError where the mark cannot be left."""
    (folder.path / _MARK).touch(mode=0o600)


def is_asked(folder: RunFolder) -> bool:
    """Return whether that was asked for, once."""
    with contextlib.suppress(OSError):
        (folder.path / _MARK).unlink()
        return True
    return False
