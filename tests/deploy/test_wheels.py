"""Every locked dependency has a wheel for the machines and Pythons that we promise: nothing is compiled at home."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.rig import ROOT

LOCK = ROOT / "requirements" / "run.txt"
GLIBC = range(17, 37)
"""glibc 2.36 is Debian 12's."""
BINARY_LEAST = 15
"""Distributions with compiled parts, or the lock was not read."""
NO_INDEX = ("NewConnectionError", "Failed to establish", "Temporary failure", "Network is unreachable", "timed out")

Figure = Callable[[str, str], None]


def demanded(lock: str, machine: str, python: str) -> str:
    """Return the lines of a lock that count there, hashes and all. pip would ask the machine that it runs on."""
    place = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": machine,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    kept = []
    for block in re.split(r"\n(?=\S)", lock.strip()):
        head, *hashes = block.split(" \\\n")
        requirement = Requirement(head)
        if requirement.marker is None or requirement.marker.evaluate(place):
            kept.append(" \\\n".join([f"{requirement.name}{requirement.specifier}", *hashes]))
    return "\n".join(kept) + "\n"


def test_a_lock_is_read_for_another_machine_than_this_one() -> None:
    lock = (
        "a==1 \\\n    --hash=sha256:00\n"
        "b==1 ; python_full_version < '3.12' \\\n    --hash=sha256:01 \\\n    --hash=sha256:02\n"
        "b==2 ; python_full_version >= '3.12' \\\n    --hash=sha256:03\n"
        "c==1 ; platform_machine == 'x86_64' \\\n    --hash=sha256:04\n"
    )
    new = "a==1 \\\n    --hash=sha256:00\nb==2 \\\n    --hash=sha256:03\n"
    assert demanded(lock, "aarch64", "3.13") == new
    old = demanded(lock, "x86_64", "3.11")
    assert [line for line in old.splitlines() if "==" in line] == ["a==1 \\", "b==1 \\", "c==1 \\"]


@pytest.mark.real
@pytest.mark.timeout(300)
@pytest.mark.parametrize("machine", ["aarch64", "x86_64"])
@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_every_locked_dependency_has_a_wheel(machine: str, python: str, tmp_path: Path, figure: Figure) -> None:
    wanted = tmp_path / "requirements.txt"
    wanted.write_text(demanded(LOCK.read_text(), machine, python))
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in GLIBC]
    platforms += [f"--platform=manylinux{year}_{machine}" for year in (2014, 2010, 1)]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--report", "-", "--ignore-installed"]
    command += ["--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation=cp", *platforms]
    # Which Python a distribution demands pip would compare with the one that it runs on.
    command += [
        "--ignore-requires-python",
        f"--python-version={python}",
        f"--target={tmp_path / 'none'}",
        "--no-input",
        "-r",
        str(wanted),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    if done.returncode != 0 and any(sign in done.stderr for sign in NO_INDEX):
        pytest.skip("not here: a package index that answers")
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)["install"]
    for each in (item["metadata"] for item in found):
        assert SpecifierSet(each.get("requires_python", "")).contains(f"{python}.0"), each["name"]
    urls = [item["download_info"]["url"] for item in found]
    assert len(urls) == sum("==" in line for line in wanted.read_text().splitlines())
    assert all(url.endswith(".whl") for url in urls)
    binary = [url for url in urls if not url.endswith("-any.whl")]
    assert len(binary) >= BINARY_LEAST
    assert all(f"_{machine}.whl" in url for url in binary)
    figure(f"wheels for {machine}, Python {python}", f"{len(urls)} of {len(urls)}, {len(binary)} with compiled parts")
