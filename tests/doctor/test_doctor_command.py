"""The command as its user runs it: what it prints, what it returns, and that it survives whatever it meets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import cli, needs, running
from appliance.config import load
from appliance.doctor import command, examination, trial
from appliance.doctor.finding import Level, ok, problem, warning
from appliance.ipc.run_folder import RunFolder
from tests.doctor.machine import Holder, Machine, findings
from tests.rig import ROOT, wait_for

Hold = Callable[..., Holder]
Machines = Callable[[str], Machine]


def doctor(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "appliance.cli", "doctor", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environ},
    )


def test_where_all_is_well_it_says_so_in_columns_and_returns_0(settings: Path, instance: str) -> None:
    done = doctor("--config", settings)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"ok       configuration     {settings}: instance {instance}, 1 camera (porch 8.1 MB")
    assert {line.split()[0] for line in lines[:-2]} <= {"ok", "warning", "do:"}  # other tests leave things too
    assert "problem" not in lines[-1]


def test_the_same_as_one_json_document(settings: Path) -> None:
    done = doctor("--config", settings, "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["problems"]) == (0, 0)
    subjects = [finding["subject"] for finding in document["findings"]]
    assert list(dict.fromkeys(subjects))[:6] == [
        "configuration",
        "shared memory",
        "trial",
        "message queues",
        "file descriptors",
        "instances",
    ]


def test_settings_that_are_wrong_are_told_as_check_tells_them_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("cameras:\n  - id: Front Door\n    source: file:///nowhere.mp4\nmqqt: {}\n")
    checked = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "check", "--config", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    done = doctor("--config", path, "--json")
    assert done.returncode == 1
    told = [f"{finding['text']}; {finding['remedy']}" for finding in findings(done, "configuration")]
    assert told == checked.stderr.splitlines()
    assert "one camera with default settings" in findings(done, "shared memory")[0]["text"]
    assert [finding["level"] for finding in findings(done, "trial")] == ["ok"] * 3


@pytest.mark.parametrize("content", [None, b"\xff\xfe\0", b"cameras: []\n", b"- no\n- mapping\n"])
def test_settings_that_cannot_be_used_at_all_are_one_problem_among_the_findings(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "settings\x1b[2J.yaml"
    if content is not None:
        path.write_bytes(content)
    done = doctor("--config", path)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("problem  configuration")
    assert "\x1b" not in done.stdout
    assert "1 problem" in done.stdout.splitlines()[-1]


def test_wrong_usage_returns_2() -> None:
    assert doctor("--swep").returncode == 2


def test_a_terminal_of_few_letters_is_no_reason_to_fail(tmp_path: Path) -> None:
    done = doctor("--config", tmp_path / "für_später.yaml", PYTHONIOENCODING="ascii")
    assert "f\\xfcr_sp\\xe4ter.yaml" in done.stdout
    assert done.stderr == ""


def test_too_little_shared_memory_is_a_problem_with_both_sizes(machine: Machines, settings: Path) -> None:
    done = machine("4m").doctor("--config", settings, "--json")
    assert done.returncode == 1
    (room,) = findings(done, "shared memory")
    assert room["level"] == "problem"
    assert "/dev/shm: 4.2 MB free of 4.2 MB; for 1 camera: 8.1 MB to start" in room["text"]
    assert "--shm-size=16m" in room["remedy"]


def test_a_shared_memory_of_the_size_that_was_advised_is_well(machine: Machines, settings: Path) -> None:
    done = machine("16m").doctor("--config", settings, "--json")
    (room,) = findings(done, "shared memory")
    assert (done.returncode, room["level"]) == (0, "ok")


def test_a_full_shared_memory_fails_the_trial_in_words(machine: Machines, settings: Path) -> None:
    one = machine("1m")
    one.run("dd", "if=/dev/zero", "of=/dev/shm/full", "bs=64k")
    done = one.doctor("--config", settings, "--json")
    assert done.returncode == 1
    assert [finding["level"] for finding in findings(done, "trial")] == ["ok", "problem", "ok"]


@pytest.mark.parametrize("mount", ["ro", "nr_inodes=1"])
def test_shared_memory_where_nothing_can_be_made_is_a_problem_in_words(
    machine: Machines, settings: Path, mount: str
) -> None:
    one = machine("64m")
    one.run(
        "mount",
        "-o",
        f"remount,{mount}" if mount == "ro" else f"size=64m,{mount}",
        *(["/dev/shm"] if mount == "ro" else ["-t", "tmpfs", "none", "/dev/shm"]),
    )
    done = one.doctor("--config", settings, "--json")
    assert done.returncode == 1
    (tried,) = findings(done, "trial")
    assert "a folder for this user alone cannot be used: cannot use /dev/shm/porchlight-doctor_" in tried["text"]


def test_too_few_queues_are_a_problem_and_the_trial_shows_it(machine: Machines, settings: Path) -> None:
    one = machine("64m")
    if one.run("sysctl", "-w", "fs.mqueue.queues_max=0").returncode:
        pytest.skip("needs the right to set fs.mqueue.queues_max in a namespace")
    done = one.doctor("--config", settings, "--json")
    assert done.returncode == 1
    *_, tried = findings(done, "trial")
    assert "Insufficient space" in tried["text"]
    assert "queues_max" in tried["remedy"]
    assert any("sysctl fs.mqueue.queues_max=10" in (f["remedy"] or "") for f in findings(done, "message queues"))


def test_too_few_bytes_for_queues_are_a_problem(settings: Path) -> None:
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_MSGQUEUE, (2000, 2000)); "
        "from appliance.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "doctor", "--config", str(settings), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert any("ulimit -q" in (f["remedy"] or "") for f in findings(done, "message queues"))


def test_a_live_instance_is_left_alone_and_a_killed_one_is_told_and_swept(
    machine: Machines, hold: Hold, settings: Path, instance: str
) -> None:
    one = machine("64m")
    one.run("mkdir", "/dev/shm/mqueue")
    one.run("mount", "-t", "mqueue", "none", "/dev/shm/mqueue")
    holder = hold("claim", "channels", "beats", machine=one)

    done = one.doctor("--config", settings, "--json", "--sweep")
    assert (done.returncode, findings(done, "sweep")[0]["text"]) == (0, "there was nothing to remove")
    (alive,) = findings(done, "instances")
    assert (alive["level"], alive["text"]) == ("ok", f"porchlight-{instance} is running; heartbeats: gateway")
    assert "this instance's already" in findings(done, "shared memory")[0]["text"]
    assert any("10 are there; for 1 camera: 0 more" in f["text"] for f in findings(done, "message queues"))

    holder.kill()
    one.run("rm", f"/dev/shm/porchlight-{instance}/heartbeats/gateway")  # as old as three seconds from now
    done = one.doctor("--config", settings, "--json")
    (left,) = findings(done, "instances")
    assert (done.returncode, left["level"]) == (0, "warning")
    assert f"porchlight-{instance} was left by an instance that was killed: 14 files, 8.1 MB, 10" in left["text"]

    done = one.doctor("--config", settings, "--json", "--sweep")
    (swept,) = findings(done, "sweep")
    assert (done.returncode, swept["level"]) == (0, "ok")
    assert f"porchlight-{instance} removed: 14 files, 8.1 MB, 10 message queues" in swept["text"]
    assert one.run("ls", "-A", "/dev/shm", "/dev/shm/mqueue").stdout.split() == [
        "/dev/shm:",
        "mqueue",
        "/dev/shm/mqueue:",
    ]


def test_queues_of_instances_that_no_settings_name_are_swept_where_mqueue_is_mounted(
    machine: Machines, hold: Hold, settings: Path, instance: str, tmp_path: Path
) -> None:
    one = machine("64m")
    one.run("mkdir", "/dev/shm/mqueue")
    one.run("mount", "-t", "mqueue", "none", "/dev/shm/mqueue")
    hold("channels", machine=one).kill()
    one.run("rm", "-r", f"/dev/shm/porchlight-{instance}")
    other = tmp_path / "other.yaml"
    other.write_text(settings.read_text().replace(instance, "another"))
    done = one.doctor("--config", other)
    assert f"10 queues of porchlight-{instance} without its folder" in done.stdout
    done = one.doctor("--config", other, "--sweep")
    assert f"porchlight-{instance} removed: 10 message queues" in done.stdout
    assert one.run("ls", "/dev/shm/mqueue").stdout == ""


@pytest.mark.timeout(120)
def test_the_appliance_itself_runs_on_while_it_is_examined(machine: Machines, settings: Path, instance: str) -> None:
    one = machine("64m")
    run = subprocess.Popen(
        one.within(sys.executable, "-m", "appliance.cli", "run", "--config", settings),
        stderr=subprocess.PIPE,
        text=True,
    )
    stages = ["capture", "capture.porch", "controller", "gateway", "inference", "supervisor"]

    def examined() -> subprocess.CompletedProcess[str] | None:
        """An examination once every stage runs; whatever it meets before that, it sweeps nothing."""
        assert run.poll() is None
        done = one.doctor("--config", settings, "--json", "--sweep")
        assert done.returncode == 0, done.stdout
        told: str = findings(done, "instances")[0]["text"]
        return done if told == f"porchlight-{instance} is running; heartbeats: {', '.join(stages)}" else None

    try:
        done = wait_for("every stage runs", 60, examined)
        held = findings(done, "shared memory")[0]["text"]
        assert "8.1 MB are this instance's already" in held or "8.0 MB are" in held
        run.send_signal(signal.SIGTERM)
        _, log = run.communicate(timeout=30)
    finally:
        run.kill()
        run.communicate()
    assert run.returncode == 0, log
    assert "starting it again" not in log
    assert "ERROR" not in log
    assert one.run("ls", "-A", "/dev/shm").stdout == ""


def test_the_appliance_demands_what_the_doctor_says(
    settings: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    demanded = []

    class Folder(RunFolder):
        def __init__(self, instance: str) -> None:
            super().__init__(instance, tmp_path)

        def demand_room(self, needed: int) -> None:
            demanded.append(needed)
            raise KeyboardInterrupt

    monkeypatch.setattr(running, "RunFolder", Folder)
    monkeypatch.setattr(running, "set_up_logs", lambda *_: None)  # it would log for this process to its end
    with pytest.raises(KeyboardInterrupt):
        cli.main(["run", "--config", str(settings)])
    need = needs.shared_memory(load(settings, {}).cameras)
    assert demanded == [need.start + need.renewal]


def test_one_look_that_trips_does_not_hide_the_others(
    settings: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def trip(_shared_memory: Path) -> None:
        raise LookupError("nobody has thought of this")

    monkeypatch.setattr(trial, "examine", trip)
    found = list(examination.examine(settings, {}, shared_memory=tmp_path))
    (tripped,) = (finding for finding in found if finding.subject == "trial")
    assert tripped.level is Level.WARNING
    assert "LookupError: nobody has thought of this" in tripped.text
    assert found[-1].subject == "MQTT broker"


def test_every_remedy_stands_below_its_finding_and_the_last_line_counts() -> None:
    report = command.report([ok("trial", "well"), problem("memory", "none", "buy"), warning("a", "b", "c")])
    assert report.splitlines() == [
        "ok       trial   well",
        "problem  memory  none",
        "                 do: buy",
        "warning  a       b",
        "                 do: c",
        "",
        "1 problem, 1 warning",
    ]
    assert command.report([ok("trial", "well")]).endswith("all is well")
