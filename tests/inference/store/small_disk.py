"""Runs the command on a disk of its own, of any size: a tmpfs that is gone with the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.rig import ROOT

_MOUNT = """
mount -t tmpfs -o size="$1" none "$2" || exit 77
folder="$2"; shift 2
"$@"; code=$?
ls -A "$folder"/models
exit $code
"""


def model(*words: str | Path) -> list[str]:
    """Return the command `porchlight model ...`."""
    return [sys.executable, "-m", "appliance.cli", "model", *map(str, words)]


def run_on(disk: Path, size: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command while `disk` is so small; what is in its folder `models` then stands behind its output."""
    disk.mkdir()
    within = ["unshare", "--mount", "sh", "-c", _MOUNT, "sh", size, str(disk), *command]
    try:
        done = subprocess.run(within, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("not here: unshare (Debian: util-linux)")
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("needs the right to mount a small tmpfs (root)")
    return done
