"""deploy/systemd: systemd takes the unit, and what the unit forbids Porchlight does not need."""

from __future__ import annotations

import ctypes
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from appliance.inference.demo import PORCH_DEMO
from appliance.supervisor import REFUSED, STOP_PATIENCE_S
from tests.deploy import syscalls
from tests.rig import ROOT, Appliance, need_program, wait_for

UNIT = ROOT / "deploy" / "systemd" / "porchlight.service"
README = (UNIT.parent / "README.md").read_text(encoding="utf-8")
PORCH = "synthetic://porch?people_per_minute=20"


def unit() -> dict[str, list[str]]:
    """Return what the section [Service] says, each key with all its values."""
    found: dict[str, list[str]] = {}
    section = UNIT.read_text(encoding="utf-8").partition("[Service]")[2].partition("\n[Install]")[0]
    for line in section.splitlines():
        if line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def one(key: str) -> str:
    [value] = unit()[key]
    return value


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    program = need_program("systemd-analyze", "systemd")
    return subprocess.run([program, *words], capture_output=True, text=True, check=False)


def known() -> str:
    """Return systemd's groups of system calls."""
    return analyze("syscall-filter", "--no-pager").stdout


def need_seccomp() -> None:
    try:
        ctypes.CDLL(syscalls.LIBRARY)
    except OSError:
        pytest.skip(f"not here: {syscalls.LIBRARY} (Debian: libseccomp2)")


def test_what_was_refused_is_not_started_again_and_what_failed_is() -> None:
    assert one("Restart") == "on-failure"
    assert int(one("RestartPreventExitStatus")) == REFUSED
    # systemd gives up after five starts within ten seconds.
    assert int(one("RestartSec")) * 5 > 10


def test_the_supervisor_has_time_to_stop_its_stages_in_order() -> None:
    assert one("KillMode") == "mixed"
    assert int(one("TimeoutStopSec")) > STOP_PATIENCE_S


def test_the_service_and_the_readme_speak_of_the_same_places() -> None:
    command, *arguments = one("ExecStart").split()
    config = arguments[arguments.index("--config") + 1]
    secrets = one("EnvironmentFile").removeprefix("-")
    state = Path("/var/lib", one("StateDirectory"))
    assert "XDG_STATE_HOME=/var/lib" in one("Environment").split()
    home = f"useradd --system --home-dir {state}"
    for place in (str(Path(command).parent.parent), config, secrets, f"{state}/models", home):
        assert place in README, place
    assert f"-o {one('User')} -g {one('Group')} -m {one('StateDirectoryMode')} {state}" in README
    assert "deploy/settings.yaml" in README
    assert (ROOT / "requirements" / "run.txt").is_file()


@pytest.mark.real
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """In a root of its own, with the units of this machine and a stand-in for the command."""
    units = tmp_path / "usr" / "lib" / "systemd" / "system"
    for place in (Path("/usr/lib/systemd/system"), Path("/lib/systemd/system")):
        if place.is_dir() and not units.exists():
            shutil.copytree(place, units, symlinks=True)
    own = tmp_path / "etc" / "systemd" / "system" / UNIT.name
    own.parent.mkdir(parents=True)
    shutil.copy(UNIT, own)
    command = tmp_path / one("ExecStart").split()[0].removeprefix("/")
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    said = analyze("verify", "--man=no", f"--root={tmp_path}", UNIT.name)
    # A key that it does not know is only a warning to it.
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


@pytest.mark.real
def test_systemd_rates_the_unit_as_the_readme_says(figure: Callable[[str, str], None]) -> None:
    said = analyze("security", "--offline=true", "--threshold=20", "--no-pager", str(UNIT))
    assert said.returncode == 0, said.stdout
    rated = re.search(r"exposure level for porchlight\.service: (\d+\.\d) (\w+)", said.stdout)
    assert rated is not None
    version = analyze("--version").stdout.split()[1]
    figure(f"systemd-analyze security (0 best, 10 worst; systemd {version})", f"{rated[1]} {rated[2]}")
    claimed = re.search(r"\(systemd (\d+)\) rates it (\d\.\d) of 10", README)
    assert claimed is not None
    if claimed[1] == version:  # each version rates anew
        assert claimed[2] == rated[1]


class Confined(Appliance):
    """One whose processes have only the system calls and the kinds of sockets that the unit allows."""

    def start(self) -> None:
        calls = syscalls.left_by(unit()["SystemCallFilter"], known())
        assert "mq_open" in calls
        assert "chown" not in calls
        families = [getattr(socket, name).value for name in one("RestrictAddressFamilies").split()]
        allowed = self.folder / "allowed"
        allowed.write_text("\n".join([*sorted(calls), *map(str, families)]), encoding="ascii")
        self.config.write_text(yaml.safe_dump(self.settings))
        run = [sys.executable, "-m", "appliance.cli", "run", "--config", str(self.config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, syscalls.__file__, str(allowed), *run], stdout=log, stderr=log, cwd=ROOT
            )


@pytest.mark.real
def test_what_the_unit_refuses_is_refused(tmp_path: Path) -> None:
    """Or the next test shows nothing."""
    need_seccomp()
    (tmp_path / "allowed").write_text("\n".join([*syscalls.left_by(["@system-service"], known()), "1"]))
    tried = "import socket, sys; socket.socket(socket.AF_UNIX); socket.socket(socket.AF_INET)"
    said = subprocess.run(
        [sys.executable, syscalls.__file__, str(tmp_path / "allowed"), sys.executable, "-c", tried],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 1
    assert "PermissionError" in said.stderr


@pytest.mark.real
@pytest.mark.timeout(180)
def test_somebody_is_seen_with_only_what_the_unit_allows(tmp_path: Path) -> None:
    need_seccomp()
    settings = {
        "cameras": [{"id": "porch", "source": PORCH}],
        "model": {"path": str(PORCH_DEMO)},
        "mqtt": {"enabled": False},
    }
    appliance = Confined(tmp_path, settings)
    appliance.start()
    try:
        wait_for("somebody is seen", 120, lambda: appliance.state() == "tracking")
        assert appliance.stop() == 0
    finally:
        appliance.close()
        print(appliance.log_text())
    assert not appliance.run_folder.exists()
