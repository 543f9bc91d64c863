"""The add-on's container as the Supervisor makes it, and a network like the Supervisor's between two namespaces.

Read in the Supervisor's docker/addon.py, docker/interface.py, docker/const.py and const.py, November 2026.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.inference.demo import PORCH_DEMO
from tests.addon.stand_in import TOKEN, Supervisor, supervisor
from tests.deploy.container import Box, Engine
from tests.rig import ROOT, need_program

CONFIG = yaml.safe_load((ROOT / "addon" / "config.yaml").read_text(encoding="utf-8"))
SUPERVISOR, BROKER, ADDON = "172.30.32.2", "172.30.33.2", "172.30.33.5"
HOSTS = f"127.0.0.1 localhost\n{SUPERVISOR} supervisor hassio\n{BROKER} core-mosquitto\n"
"""The engine writes the second line for the Supervisor; the third is its name server's."""
MQTT_PORT = 1883
ASLEEP: dict[str, Any] = {"entrypoint": "sleep", "network_mode": "none"}
PAPERS = {"name", "version", "slug", "description", "url", "image", "arch", "panel_icon", "panel_admin",
          "backup_exclude", "options", "schema", "services", "ingress", "timeout"}  # fmt: skip
"""Keys of an add-on's config.yaml that change nothing of its container."""
LESS = {"video", "usb", "ports"}
"""Keys that would give it devices, or a port if its owner opens one: these tests do without."""
_CABLE = """link set lo up
link add eth0 type veth peer name eth0 netns {peer}
addr add 172.30.32.1/23 dev eth0
addr add {supervisor}/23 dev eth0
addr add {broker}/23 dev eth0
link set eth0 up
"""
_PLUG = "link set lo up\naddr add {addon}/23 dev eth0\nlink set eth0 up\n"
_CLONE_NEWNET = 0x40000000


def container_of(config: Mapping[str, Any], engine: Engine, data: Path, own: Path) -> dict[str, Any]:
    """Return how the Supervisor has an add-on's container run, in docker-py's words: what config.yaml says, no more.

    `data` becomes /data, `own` is its folder in addon_configs. A key that this does not know fails the test: whoever
    asks the Supervisor for more has to ask for it here too.
    """
    assert set(config) <= {*PAPERS, *LESS, "init", "tmpfs", "map"}, "what does the Supervisor make of the new key?"
    devices = {**_bind("/dev", "/dev", read_only=True), "BindOptions": {"ReadOnlyNonRecursive": True}}
    mounts = [devices, _bind(data, "/data")]
    # Not --shm-size: each add-on has a tmpfs of its own at /dev/shm, of no size, which is up to half of the memory.
    # Podman has to be told what Docker does by itself: no programs in it, and nothing copied into it.
    plain = "noexec,nosuid,nodev,notmpcopyup" if engine.is_podman else ""
    tmpfs = {"/dev/shm": plain}
    if config.get("tmpfs"):
        tmpfs["/tmp"] = plain
    for each in config.get("map", ()):
        assert each["type"] == "addon_config"
        mounts.append(_bind(own, "/config", read_only=each.get("read_only", True)))
    return {
        "mounts": mounts,
        "tmpfs": tmpfs,
        "init": config.get("init", True),
        "security_opt": ["seccomp=unconfined"],
        "oom_score_adj": 200,
    }


def _bind(source: Path | str, target: str, *, read_only: bool = False) -> dict[str, Any]:
    return {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": read_only}


@dataclass(frozen=True, slots=True)
class Network:
    """Two namespaces with a cable between them, each held by a container that sleeps; this machine's own has no part.

    In `outside` are the Supervisor's and the broker's addresses; `sandbox` has the add-on's, and its IPC namespace,
    so that can be seen what it has left there.
    """

    outside: Path
    sandbox: Box
    hosts: Path

    def container(self) -> dict[str, Any]:
        """Return what has a container take its place there."""
        there = f"container:{self.sandbox.container.id}"
        return {
            "network_mode": there,
            "ipc_mode": there,
            # `extra_hosts` would say the same, but not beside another one's network.
            "volumes": {str(self.hosts): {"bind": "/etc/hosts", "mode": "ro"}},
        }

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """The sockets that this thread makes here are in `outside`, wherever they are used."""
        with Path("/proc/thread-self/ns/net").open("rb") as home, self.outside.open("rb") as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())

    def socket(self, address: tuple[Any, ...]) -> socket.socket:
        """Make a socket as aiohttp wants one made for an address."""
        with self.inside():
            return socket.socket(*address[:3])

    async def relay(self, port: int) -> asyncio.Server:
        """Have the broker at this machine's `port` answer at the broker's address, too."""
        with self.inside():
            listener = socket.create_server((BROKER, MQTT_PORT))

        async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            theirs, ours = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_pour(reader, ours), _pour(theirs, writer))

        return await asyncio.start_server(meet, sock=listener)


@contextlib.contextmanager
def network(engine: Engine, folder: Path) -> Iterator[Network]:
    """Lay one; it goes with the containers that hold it. Skips where the machine cannot."""
    for program, package in (("nsenter", "util-linux"), ("ip", "iproute2")):
        need_program(program, package)
    with contextlib.ExitStack() as stack:
        boxes = [engine.start("infinity", **ASLEEP, ipc_mode="shareable") for _ in range(2)]
        for box in boxes:
            stack.callback(box.remove)
        outside, inside = (engine.process(box) / "ns" / "net" for box in boxes)
        _ip(outside, _CABLE.format(peer=inside, supervisor=SUPERVISOR, broker=BROKER))
        _ip(inside, _PLUG.format(addon=ADDON))
        (folder / "hosts").write_text(HOSTS)
        yield Network(outside, boxes[1], folder / "hosts")


@contextlib.contextmanager
def supervising(cables: Network) -> Iterator[Supervisor]:
    """Have a Supervisor at its address; it has no MQTT service yet."""
    with contextlib.ExitStack() as stack:
        with cables.inside():
            one = stack.enter_context(supervisor((SUPERVISOR, 80)))
        yield one


@dataclass
class Addon:
    """Its container as the Supervisor makes, starts, stops and removes it."""

    engine: Engine
    network: Network
    folder: Path
    box: Box | None = None

    def start(self, scene: str = "people_per_minute=0", name: str = "Front porch", **options: Any) -> Box:
        data, own = self.folder / "data", self.folder / "own"
        source = f"synthetic://porch?seed=12&hour=19&size=640x360&{scene}"
        options = {
            "cameras": [{"id": "porch", "name": name, "source": source}],
            "model": "/config/porch.onnx",
            **options,
        }
        for place in (data, own):
            place.mkdir(exist_ok=True)
        shutil.copy(PORCH_DEMO, own / "porch.onnx")
        new = data / "options.json.new"
        new.touch(0o600)
        new.write_text(json.dumps(options))
        new.rename(data / "options.json")
        given = container_of(CONFIG, self.engine, data, own)
        # No restart policy: what has ended is not started again.
        self.box = self.engine.start(
            **self.network.container(),
            **given,
            environment={"SUPERVISOR_TOKEN": TOKEN, "HASSIO_TOKEN": TOKEN, "TZ": "UTC"},
        )
        return self.box

    def stop(self) -> tuple[int, float]:
        """Return the exit code, and how many seconds it took. The container goes too, as with the Supervisor."""
        assert self.box is not None
        try:
            return self.box.stop(CONFIG["timeout"])
        finally:
            self.box.remove()


def _ip(namespace: Path, commands: str) -> None:
    words = ["nsenter", f"--net={namespace}", "ip", "-batch", "-"]
    done = subprocess.run(words, input=commands, capture_output=True, text=True, check=False)
    if "not supported" in done.stderr:
        pytest.skip("not here: a kernel with virtual Ethernet (veth)")
    assert done.returncode == 0, done.stderr


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns came with Python 3.12
    if libc.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError), contextlib.closing(writer):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
