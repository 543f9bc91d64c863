"""What tells this installation from others of its name: two MQTT clients of one id throw each other out for ever."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FILE = "install-id"
_ID = re.compile(r"[0-9a-f]{8}")


def install_id(state_folder: Path) -> str:
    """Return eight hexadecimal digits, made once and kept; where they cannot be kept, new ones at each start."""
    file = state_folder / _FILE
    for _ in range(2):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            found = file.read_text().strip()
            if _ID.fullmatch(found):
                return found
        fresh = secrets.token_hex(4)
        whole = file.with_name(f".{_FILE}.{fresh}")
        try:
            state_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            whole.write_text(f"{fresh}\n")
            os.link(whole, file)  # whoever comes second fails here, and reads the first one's
        except FileExistsError:
            continue
        except OSError:
            return fresh
        finally:
            with contextlib.suppress(OSError):
                whole.unlink()
        return fresh
    return secrets.token_hex(4)
