"""The image, as it is run where people live: what is in it, what it may do, and that it keeps its promises there."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from appliance import needs
from appliance.config import Settings
from tests.deploy.container import HARDENED, USER, Box, Engine
from tests.deploy.in_image import FOUND, LEFT, PROCESSES, WEIGHTS, WELL
from tests.rig import Broker, Ear, free_port, wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

STAGES = ("capture", "inference", "controller", "gateway")
CONFIG = "/etc/porchlight/config.yaml"
SHM = "128m"
START_S = 90.0
STOP_PROMISE_S = 5.0
WHOLE_PROMISE_S = 5.0
REPLACED_S = 60.0
"""A stage that hangs is replaced after ten seconds of silence; the checks between cost a process each."""

Figure = Callable[[str, str], None]
Start = Callable[..., Box]
Write = Callable[..., dict[str, Any]]


@pytest.fixture
def volume(image: Engine) -> Iterator[str]:
    name = f"porchlight-{secrets.token_hex(4)}"
    made = image.client.volumes.create(name)
    yield name
    made.remove(force=True)


@pytest.fixture
def write(tmp_path: Path, model: str) -> Write:
    """Writes settings for the painted porch; returns the volumes that bring them into a container."""

    def mounted(scene: str = "people_per_minute=3", **more: Any) -> dict[str, Any]:
        settings = {
            "instance": f"test_{secrets.token_hex(4)}",
            "cameras": [{"id": "porch", "source": f"synthetic://porch?seed=12&hour=19&fps=12&{scene}"}],
            "model": {"path": model, "backend": "onnxruntime", "threads": 1},
            "gateway": {"port": free_port()},
            "mqtt": {"enabled": False},
            **more,
        }
        file = tmp_path / "settings.yaml"
        file.write_text(yaml.safe_dump(settings))
        return {str(file): {"bind": CONFIG, "mode": "ro"}}

    return mounted


@dataclass(slots=True)
class Household:
    """Who owns the shared memory, as a pod's sandbox does, and looks into it."""

    owner: Box

    def options(self) -> dict[str, Any]:
        return {"ipc_mode": f"container:{self.owner.container.id}", **HARDENED}

    def troubles(self, name: str = "", since: float = 0) -> list[str]:
        """Return what is wrong; also that stage `name` has not been started since."""
        wrong, started = json.loads(self.owner.python(WELL))
        return [*wrong, *([f"{name} is the old one"] if name and started.get(name, 0) < since else [])]

    def left(self) -> list[list[str]]:
        """Return what lies in shared memory, and which queues there are."""
        found: list[list[str]] = json.loads(self.owner.python(LEFT))
        return found


def is_known(port: int) -> bool:
    """Return whether the page says of the camera what is to be believed."""
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status", timeout=5) as page:
        return bool(json.load(page)["cameras"][0]["known"])
    return False


@pytest.fixture
def household(start: Start) -> Household:
    return Household(start("infinity", entrypoint="sleep", ipc_mode="shareable", shm_size=SHM, **HARDENED))


def test_the_image_says_what_it_is_and_how_it_is_run(
    image: Engine, built: tuple[Engine, float], figure: Figure
) -> None:
    config = image.client.images.get(image.image).attrs["Config"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == "Porchlight"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["io.hass.type"] == "addon"
    assert labels["io.hass.version"] == labels["org.opencontainers.image.version"]
    assert labels["io.hass.arch"] in {"amd64", "aarch64"}
    assert (config["StopSignal"], list(config["ExposedPorts"])) == ("SIGTERM", ["8099/tcp"])
    assert list(config["Volumes"]) == ["/var/lib/porchlight"]
    code, said = image.run("check", **HARDENED)
    assert (code, said) == (0, "config.yaml: all settings are well; cameras: none yet\n")
    if built[1]:
        figure("image: base and build", f"{built[1]:.0f} s")


def test_it_holds_no_compiler_no_pip_and_nothing_that_makes_another_user(image: Engine, figure: Figure) -> None:
    code, words = image.run("-c", FOUND, entrypoint="python", user="0")
    assert code == 0, words
    programs, special, uncompiled = json.loads(words)
    assert programs == []
    assert special == []
    assert uncompiled == [], "the root is read-only: what is not compiled now is compiled at each start"
    code, words = image.run("-c", WEIGHTS, entrypoint="python", user="0")
    assert code == 0, words
    weights: list[tuple[str, int]] = sorted(json.loads(words).items(), key=lambda part: -part[1])
    figure("image: size", f"{image.client.images.get(image.image).attrs['Size'] / 1e6:.0f} MB")
    figure("image: largest parts", ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in weights[:10]))


def test_it_runs_with_nothing_granted_and_its_health_means_it(start: Start, write: Write, figure: Figure) -> None:
    began = time.monotonic()
    porch = start(volumes=write(), shm_size=SHM, **HARDENED)
    wait_for("healthy", START_S, lambda: porch.health()[0] == 0)
    figure("image: healthy after", f"{time.monotonic() - began:.1f} s")
    for words, uids, effective, bounding, no_new in json.loads(porch.python(PROCESSES)):
        assert set(uids) == {str(USER)}, words
        assert (int(effective, 16), int(bounding, 16), no_new) == (0, 0, "1"), words
    refused = porch.container.exec_run(["touch", "/opt/porchlight/x", "/etc/x", "/x"])
    assert refused.output.count(b"Read-only file system") == 3
    used = porch.python("import os; print([*os.listdir('/tmp'), *os.listdir('/var/tmp')])")
    assert used == "[]\n", "it needs no writable folder but its own, and ONNX Runtime keeps no diary for its maker"
    size = porch.python("import os; shm = os.statvfs('/dev/shm'); print(shm.f_blocks * shm.f_frsize)")
    assert int(size) == 128 << 20

    porch.signal("inference", "SIGSTOP")
    code, said = wait_for("unhealthy", REPLACED_S, lambda: (porch.health()[0] == 1 and porch.health()) or None)
    assert "inference is not running" in said or "its pictures are not looked at" in said, (code, said)
    wait_for("healthy, as it was replaced", REPLACED_S, lambda: porch.health()[0] == 0)
    assert "inference" in porch.log()


def test_too_little_shared_memory_is_a_clear_error_with_both_sizes(image: Engine, write: Write) -> None:
    mounts = write()
    settings = Settings.model_validate(yaml.safe_load(Path(next(iter(mounts))).read_text()))
    need = needs.shared_memory(settings.cameras)
    code, said = image.run(volumes=mounts, shm_size="4m", **HARDENED)
    assert code == 1
    sizes = re.search(r"/dev/shm has ([\d,]+) bytes free, the cameras may need ([\d,]+): .*--shm-size", said)
    assert sizes is not None, said
    assert (4 << 20) - 65536 < int(sizes[1].replace(",", "")) <= 4 << 20
    assert int(sizes[2].replace(",", "")) == need.start + need.renewal


def test_started_as_root_it_becomes_its_own_user_and_may_write_what_is_roots(
    volume: str, start: Start, write: Write
) -> None:
    """So an add-on is started; its /data is root's."""
    mounts = {**write(state_dir="/data/state"), volume: {"bind": "/data", "mode": "rw"}}
    porch = start(volumes=mounts, shm_size=SHM)
    wait_for("healthy", START_S, lambda: porch.health()[0] == 0)
    ours = [each for each in json.loads(porch.python(PROCESSES)) if "/opt/porchlight/bin/python" in each[0]]
    assert len(ours) >= len(STAGES)
    for words, uids, effective, *_ in ours:
        assert set(uids) == {str(USER)}, words
        assert int(effective, 16) == 0, words
    assert porch.python("import os; print(os.stat('/data').st_uid, os.stat('/data/state').st_uid)") == "10001 10001\n"
    code, took = porch.stop(30)
    assert code == 0
    assert took < 3 * STOP_PROMISE_S


def test_a_stop_ends_all_in_time_and_leaves_nothing_behind(
    household: Household, start: Start, write: Write, figure: Figure
) -> None:
    porch = start(volumes=write(), **household.options())
    wait_for("healthy", START_S, lambda: porch.health()[0] == 0)
    shared, queues = household.left()
    assert shared
    assert queues
    code, took = porch.stop(30)
    assert code == 0
    assert took < 3 * STOP_PROMISE_S
    assert household.left() == [[], []]
    figure("image: SIGTERM until the container has ended", f"{took:.2f} s")


def test_four_containers_that_share_memory_are_one_appliance_and_survive_a_kill_of_each(
    household: Household, start: Start, write: Write, broker: Broker, ear: Ear, figure: Figure
) -> None:
    port = free_port()
    mounts = write(
        "people_per_minute=20",
        instance="one_pod",
        mqtt={"host": "127.0.0.1", "port": broker.port},
        gateway={"port": port},
    )
    boxes = {stage: start("stage", stage, volumes=mounts, **household.options()) for stage in STAGES}
    wait_for("whole", START_S, lambda: household.troubles() == [])
    wait_for("somebody is seen", START_S, lambda: ear.last("/porch/person") == "ON")
    times = []
    for stage, box in boxes.items():
        killed = time.time()
        box.container.kill("SIGKILL")
        box.container.wait()
        again = time.time()
        box.container.start()
        wait_for("whole again", 60, lambda: household.troubles(stage, killed) == [])  # noqa: B023
        wait_for("shown so", 60, lambda: is_known(port))
        wait_for("told so", 60, lambda: ear.last("/porch/status") == "online")
        times.append(time.time() - again)
    told = ", ".join(f"{stage} {took:.1f} s" for stage, took in zip(STAGES, times, strict=True))
    figure("four containers: whole after the killed one was started again", told)
    assert sorted(times)[len(times) // 2] < 3 * WHOLE_PROMISE_S
    with ThreadPoolExecutor(len(STAGES)) as pool:  # as a pod's are
        ends = dict(zip(STAGES, pool.map(lambda box: box.stop(30), boxes.values()), strict=True))
    for stage, (code, took) in ends.items():
        assert (stage, code) == (stage, 0)
        assert took < 3 * STOP_PROMISE_S, stage
    figure("four containers: from SIGTERM to the last one's end", f"{max(took for _, took in ends.values()):.1f} s")
    assert (ear.last("one_pod/status"), ear.last("one_pod/porch/status")) == ("offline", "offline")


def test_what_was_armed_is_armed_in_the_next_container_on_the_same_volume(
    volume: str, start: Start, write: Write, broker: Broker, ear: Ear
) -> None:
    instance = f"test_{secrets.token_hex(4)}"
    mounts = {
        **write("people_per_minute=0", instance=instance, mqtt={"host": "127.0.0.1", "port": broker.port}),
        volume: {"bind": "/var/lib/porchlight", "mode": "rw"},
    }
    first = start(volumes=mounts, shm_size=SHM, **HARDENED)
    wait_for("online", START_S, lambda: ear.last("/porch/status") == "online")
    assert ear.last("/alarm/state") == "disarmed"
    household = Client(CallbackAPIVersion.VERSION2)
    household.connect("127.0.0.1", broker.port)
    household.loop_start()
    household.publish(f"porchlight/{instance}/alarm/set", "ARM_HOME", qos=1)
    wait_for("armed", START_S, lambda: ear.last("/alarm/state") == "armed_home")
    household.disconnect()
    household.loop_stop()
    assert first.stop(30)[0] == 0
    first.remove()
    gone = time.time()
    start(volumes=mounts, shm_size=SHM, **HARDENED)
    back = wait_for("told again", START_S, lambda: ear.all("/alarm/state", gone))
    assert [heard.payload for heard in back] == [b"armed_home"]
