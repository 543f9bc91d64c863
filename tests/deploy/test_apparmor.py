"""addon/apparmor.txt: AppArmor's parser takes it, also by the name that Home Assistant gives it, and it allows what the
image does. The parser says what is allowed; that a kernel enforces it is not tried: that takes one with AppArmor.
"""

from __future__ import annotations

import re
import runpy
import subprocess
from pathlib import Path
from typing import Any

import pytest

from appliance.ipc.channels import frames_channel
from appliance.ipc.run_folder import RunFolder
from tests.rig import ROOT, need_program

PROFILE = ROOT / "addon" / "apparmor.txt"
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
ENTRYPOINT: dict[str, Any] = runpy.run_path(str(ROOT / "deploy" / "entrypoint.py"))
HEAD = re.compile(r"^profile ([^ ]+)", re.MULTILINE)
"""Where the Supervisor looks for the name (supervisor/utils/apparmor.py); it changes nothing but that line."""
BITS = {"x": 0x1, "w": 0x2, "r": 0x4, "l": 0x10, "k": 0x20, "m": 0x40}
OTHERS = 14
"""The same bits again, so far up: what holds for files of whoever. Only both together are a rule without `owner`."""

RUN = RunFolder("porch")
STATE = ("/data/state", "/var/lib/porchlight/porchlight")
NEEDS = {
    **{f"{folder}/": "r" for folder in map(str, ENTRYPOINT["OURS"])},
    **{f"{Path(devices).parent}/": "r" for devices in ENTRYPOINT["DEVICES"]},
    "/opt/porchlight/bin/entrypoint": "rx",
    "/usr/bin/python3.11": "rxm",
    str(ENTRYPOINT["COMMAND"][0]): "xm",
    str(ENTRYPOINT["COMMAND"][-1]): "rx",
    "/opt/porchlight/bin/porchlight-health": "rx",
    "/opt/porchlight/pyvenv.cfg": "r",
    "/opt/porchlight/lib/python3.11/site-packages/cv2/cv2.abi3.so": "rm",
    "/opt/porchlight/lib/python3.11/site-packages/av.libs/libavcodec-1.so.62": "rm",
    "/usr/lib/python3.11/asyncio/__init__.py": "r",
    "/usr/lib/x86_64-linux-gnu/libc.so.6": "rm",
    "/usr/lib/aarch64-linux-gnu/libc.so.6": "rm",
    "/etc/porchlight/config.yaml": "r",
    "/etc/ssl/certs/ca-certificates.crt": "r",
    "/config/porchlight.yaml": "r",
    "/data/options.json": "rw",
    "/data/models/default.onnx": "rwk",
    **{f"{state}/{name}": may for state in STATE for name, may in (("install-id", "rwkl"), ("outbox.sqlite3", "rwk"))},
    "/dev/shm/": "r",
    f"{RUN.path}/": "rw",
    str(RUN.channel_file(frames_channel("front_door"))): "rw",
    str(RUN.publisher_lock(frames_channel("front_door"))): "rwk",
    RUN.descriptor_queue(frames_channel("front_door"), "inference"): "rw",
    RUN.release_queue(frames_channel("front_door")): "rw",
    "/dev/video0": "rw",
    "/dev/v4l/by-id/": "r",
    "/dev/dri/renderD128": "rw",
    "/dev/urandom": "r",
    "/proc/cpuinfo": "r",
    "/proc/self/limits": "r",
    "/proc/sys/fs/mqueue/msg_max": "r",
    "/sys/devices/system/cpu/online": "r",
    "/sys/fs/cgroup/cpu.max": "r",
    "/tmp/scratch": "rwk",
}
REFUSED = {
    "/bin/sh": "x",
    "/usr/bin/perl": "x",
    "/data/dropped": "x",
    "/opt/porchlight/bin/porchlight": "w",
    "/etc/passwd": "w",
    "/config/porchlight.yaml": "w",
    "/dev/sda": "r",
    "/dev/mem": "r",
    "/root/.ssh/id_ed25519": "r",
    "/homeassistant/secrets.yaml": "r",
    "/proc/1/mem": "w",
}


def parser(file: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run AppArmor's parser without a kernel: nothing is loaded, and nothing kept."""
    program = need_program("apparmor_parser", "apparmor")
    command = [program, "--skip-kernel-load", "--skip-cache", *words, str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def renamed(folder: Path, name: str = "a0b1c2d3_porchlight") -> Path:
    """Return the profile as the Supervisor makes it of ours: `name` for its name, in the line of its head."""
    file = folder / name
    file.write_text(HEAD.sub(f"profile {name}", PROFILE.read_text(encoding="utf-8")), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[re.Pattern[str], int]]:
    """Return the profile's rules for files as the parser understands them: a pattern, and what may be done."""
    said = parser(renamed(tmp_path_factory.mktemp("profile")), "--dump=rule-exprs")
    assert said.returncode == 0, said.stderr
    found = re.findall(r"^rule: (\S+)  ->  .* \((0x[0-9a-f]+)/", said.stdout + said.stderr, re.MULTILINE)
    return [(re.compile(pattern), int(may, 16)) for pattern, may in found if pattern.startswith(("/", "("))]


def allowed(path: str, rules: list[tuple[re.Pattern[str], int]]) -> set[str]:
    """Return what the rules allow with a path, whoever owns it."""
    may = 0
    for pattern, bits in rules:
        if pattern.fullmatch(path):
            may |= bits
    return {letter for letter, bit in BITS.items() if may & bit and may & bit << OTHERS}


def test_the_supervisor_finds_one_profile_in_it() -> None:
    [line] = [line for line in PROFILE.read_text(encoding="utf-8").splitlines() if line.startswith("profile ")]
    assert line == "profile porchlight flags=(attach_disconnected,mediate_deleted) {"


@pytest.mark.real
def test_the_parser_takes_it_and_finds_no_other_profile_in_it(tmp_path: Path) -> None:
    """Home Assistant's OS agent refuses a file with a profile of another name than the file's."""
    assert parser(PROFILE).returncode == 0
    file = renamed(tmp_path)
    assert parser(file, "--names").stdout.split() == [file.name]


@pytest.mark.real
def test_the_parser_refuses_a_broken_one(tmp_path: Path) -> None:
    """Or the tests beside this one show nothing."""
    whole = PROFILE.read_text(encoding="utf-8")
    for broken in (whole.replace("/data/ r,", "/data/ q,"), whole.replace("abi/3.0", "abi/no"), whole.rstrip("}\n")):
        assert broken != whole
        file = tmp_path / "porchlight"
        file.write_text(broken, encoding="utf-8")
        assert parser(file).returncode != 0


@pytest.mark.real
def test_renamed_by_home_assistant_its_processes_may_still_signal_each_other(tmp_path: Path) -> None:
    file = renamed(tmp_path)
    said = parser(file, "--debug")
    assert said.returncode == 0, said.stderr
    peers = re.findall(r"^(signal|ptrace) \(([a-z ]+)\) (\S+),$", said.stdout + said.stderr, re.MULTILINE)
    assert ("ptrace", "read readby ", file.name) in peers
    assert re.search(rf"^signal(?: \((?:send receive|receive send) \))? {file.name},$", said.stdout, re.MULTILINE)
    senders = {peer for kind, how, peer in peers if kind == "signal" and "receive" in how}
    assert {"unconfined", "runc"} <= senders
    assert "porchlight" not in {peer for _, _, peer in peers}


@pytest.mark.real
@pytest.mark.parametrize(("path", "needed"), NEEDS.items(), ids=NEEDS)
def test_what_the_image_does_is_allowed(path: str, needed: str, rules: list[tuple[re.Pattern[str], int]]) -> None:
    assert set(needed) <= allowed(path, rules), f"{path} needs {needed}"


@pytest.mark.real
@pytest.mark.parametrize(("path", "unwanted"), REFUSED.items(), ids=REFUSED)
def test_what_it_never_does_is_not(path: str, unwanted: str, rules: list[tuple[re.Pattern[str], int]]) -> None:
    """A file of somebody else's: the rules for its own are not looked at."""
    assert not set(unwanted) & allowed(path, rules)


@pytest.mark.real
def test_it_may_leave_root_and_nothing_beyond_that() -> None:
    said = parser(PROFILE, "--debug")
    [capabilities] = re.findall(r"^Capabilities: (.*)$", said.stdout + said.stderr, re.MULTILINE)
    giving = {"chown", "dac_override", "dac_read_search", "fowner"}
    by_the_abstractions = {"net_bind_service"}
    assert set(capabilities.split()) == giving | {"setgid", "setuid"} | by_the_abstractions


def test_the_list_above_is_the_images() -> None:
    assert 'ENTRYPOINT ["/opt/porchlight/bin/entrypoint"]' in DOCKERFILE
    assert 'CMD ["porchlight-health"]' in DOCKERFILE
    assert "debian:bookworm" in DOCKERFILE, "its Python is 3.11"
    first = (ROOT / "deploy" / "entrypoint.py").read_text(encoding="utf-8").splitlines()[0]
    assert first.removeprefix("#!").split()[0] == "/usr/bin/python3"
