"""Runs a module of the tests in an emulated machine that has the kernel's own camera drivers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.rig import ROOT, SHARED

TOOL = SHARED / "tools" / "v4l2_vm.sh"
GUEST = Path(os.environ.get("V4L2VM_HOME", "/opt/v4l2vm")) / "root.ext4"


def in_guest(
    module: str, *arguments: str, out: Path, limit_s: int = 300, share: tuple[Path, ...] = ()
) -> dict[str, Any]:
    """Run `python -m MODULE ARGUMENTS... FILE` in the guest, which has vivid at /dev/video0 and a loopback at
    /dev/video10; return the JSON that it wrote into FILE. Skips where there is no such machine.
    """
    if not (TOOL.exists() and GUEST.exists() and shutil.which("qemu-system-x86_64") and os.geteuid() == 0):
        pytest.skip("not here: emulated machine with V4L2 (as root: ../shared/tools/v4l2_vm.sh build)")
    if Path(sys.base_prefix) == Path("/usr"):
        pytest.skip("not here: a Python outside of /usr, which the emulated machine can share")
    shares = [part for folder in {sys.prefix, sys.base_prefix, *map(str, share)} for part in ("--share", folder)]
    machine = [str(TOOL), "run", "--loopback", "1", "--dir", f"{ROOT}:{ROOT}", *shares, "--out", str(out)]
    script = [sys.executable, "-m", module, *arguments, "/out/told.json"]
    done = subprocess.run(
        [*machine, "--timeout", str(limit_s), "--", *script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-3000:]
    found: dict[str, Any] = json.loads((out / "told.json").read_text())
    return found
