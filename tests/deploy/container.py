"""The image: built and run without a daemon (buildah, podman), or already there on one that DOCKER_HOST names."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.rig import ROOT, need_program, wait_for

USER = 10001
HARDENED: dict[str, Any] = {
    "user": str(USER),
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
}
SUITE = "bookworm"
BASE, IMAGE = "localhost/porchlight-base", "localhost/porchlight"
KEPT = "TEST_IMAGES"
"""A folder that keeps base and layers for the next time; without it nothing stays."""
GIVEN = "TEST_IMAGE"
"""With DOCKER_HOST: the image's name there."""
_SLIM = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists", "var/log")
_CONTAINERS = """[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "crun"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{}/libpod"
"""
_STORAGE = '[storage]\ndriver = "overlay"\ngraphroot = "{}/store"\nrunroot = "{}/run"\n'
_SERVICE = """mountpoint -q /sys/fs/cgroup/unified && umount /sys/fs/cgroup/unified
mount -t tmpfs shm /dev/shm
podman system service --time 0 "unix://$0" &
wait
"""
"""The first process of the namespaces, which buries the others. podman keeps its locks in shared memory."""


@dataclass(slots=True)
class Box:
    """One container, by Docker's API."""

    container: Any
    is_podman: bool
    is_there: bool = True

    def log(self) -> str:
        return str(self.container.logs().decode(errors="replace"))

    def python(self, script: str, user: str = str(USER)) -> str:
        """Run a script in it, and return what it prints."""
        done = self.container.exec_run(["/opt/porchlight/bin/python", "-c", script], user=user)
        assert done.exit_code == 0, done.output.decode(errors="replace")
        return str(done.output.decode())

    def signal(self, stage: str, how: str) -> None:
        """Send a stage's process a signal by its name, such as SIGSTOP."""
        self.python(
            "import os, signal\n"
            "for pid in filter(str.isdigit, os.listdir('/proc')):\n"
            "    words = open(f'/proc/{pid}/cmdline').read().split(chr(0))\n"
            f"    if words[1:5] == ['-m', 'appliance.cli', 'stage', {stage!r}]:\n"
            f"        os.kill(int(pid), signal.{how})\n"
        )

    def health(self) -> tuple[int, str]:
        """Return exit code and words of the image's HEALTHCHECK; -1 before the first.

        Podman leaves the schedule to systemd, which need not be here: it is asked to look now.
        """
        if self.is_podman:
            api = self.container.client.api
            api.get(f"{api.base_url}/v4.0.0/libpod/containers/{self.container.id}/healthcheck").close()
        self.container.reload()
        looks = self.container.attrs["State"]["Health"]["Log"] or []
        return (looks[-1]["ExitCode"], looks[-1]["Output"].strip()) if looks else (-1, "")

    def stop(self, patience_s: int) -> tuple[int, float]:
        """End it as a daemon does; return its exit code and how many seconds that took."""
        began = time.monotonic()
        self.container.stop(timeout=patience_s)
        took = time.monotonic() - began
        return self.container.wait()["StatusCode"], took

    def remove(self) -> None:
        """Remove it and the volumes that have no name; pytest shows its log where the test failed."""
        if self.is_there:
            self.is_there = False
            print(self.log())
            self.container.remove(v=True, force=True)


@dataclass(slots=True)
class Engine:
    """Whoever speaks Docker's API, and has the image."""

    client: Any
    image: str
    processes: Path = Path("/proc")
    """Where the processes lie that it counts."""
    build: Callable[[str], None] | None = None
    """Builds the image with an extra, as IMAGE:extra."""

    def with_extra(self, extra: str) -> Engine:
        """Build the image with an extra of pyproject.toml, and return who has it; skips where images are only run."""
        if self.build is None:
            pytest.skip("not here: a build of the image by its own tests")
        self.build(extra)
        return replace(self, image=f"{IMAGE}:{extra}")

    def process(self, box: Box) -> Path:
        """Return the folder of a running container's first process; skips where the daemon is another machine's."""
        box.container.reload()
        found = self.processes / str(box.container.attrs["State"]["Pid"])
        if not (found / "ns").is_dir():
            pytest.skip("not here: a container engine on this machine")
        return found

    @property
    def is_podman(self) -> bool:
        return any("Podman" in part["Name"] for part in self.client.version().get("Components", ()))

    def start(self, *command: str, **options: Any) -> Box:
        options = {"network_mode": "host", "detach": True, **options}
        return Box(self.client.containers.run(self.image, list(command), **options), self.is_podman)

    def run(self, *command: str, **options: Any) -> tuple[int, str]:
        """Return exit code and words of a container that ends by itself."""
        box = self.start(*command, **options)
        try:
            return box.container.wait()["StatusCode"], box.log()
        finally:
            box.container.remove(v=True, force=True)


class Workshop:
    """Builds the base and the image, and serves Docker's API.

    All mounts and processes are in namespaces of their own, so nothing outlives it: podman's monitors stay for minutes.
    """

    def __init__(self, folder: Path, short: Path) -> None:
        """`folder` is what may be kept; `short` has a path short enough for a socket, and goes."""
        for program in ("buildah", "podman", "crun", "debootstrap"):
            need_program(program, program)
        if os.geteuid() != 0:
            pytest.skip("not here: root, which it takes to build an image without a daemon")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(
            folder / "store" / "libpod", ignore_errors=True
        )  # it would lead podman to the last time's `short`
        self._folder, self._short = folder, short
        (short / "containers.conf").write_text(_CONTAINERS.format(short))
        (short / "storage.conf").write_text(_STORAGE.format(folder, short))
        own = {"CONTAINERS_CONF": "containers.conf", "CONTAINERS_STORAGE_CONF": "storage.conf"}
        self._environ = {**os.environ, **{name: str(short / file) for name, file in own.items()}}
        self.socket = short / "docker.sock"
        with (short / "log").open("wb") as log:
            service = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
            service += ["sh", "-c", _SERVICE, str(self.socket)]
            self._service = subprocess.Popen(service, env=self._environ, stdout=log, stderr=log)
        wait_for("podman serves Docker's API", 30, self.socket.exists)

    def base(self) -> None:
        """Make the base image: what Debian calls minbase, without what the slim one lacks too."""
        made = self._folder / "base.tar"
        if not made.exists():
            root = self._folder / "base"
            self._do("debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, str(root), *_mirror())
            for each in _SLIM:
                shutil.rmtree(root / each)
                (root / each).mkdir()
            (root / "var/lib/apt/lists/partial").mkdir()
            self._do("tar", "--directory", str(root), "--create", "--file", f"{made}.part", ".")
            shutil.rmtree(root)
            made.with_suffix(".tar.part").rename(made)
        (self._short / "Dockerfile").write_text(f"FROM scratch\nADD {made.name} /\n")
        self._do("buildah", "bud", "-q", "--isolation", "chroot", "--layers", "-f", str(self._short / "Dockerfile"),
                 "-t", BASE, str(self._folder))  # fmt: skip

    def build(self, extra: str = "") -> None:
        """Build the image as deploy/Dockerfile has it, plain or with an extra."""
        options = ["--format", "docker", "--isolation", "chroot", "--network", "host", "--layers", "-q"]
        options += ["--build-arg", f"BASE_IMAGE={BASE}", *_pip(self._short)]
        options += ["--build-arg", f"EXTRA={extra}", "-t", f"{IMAGE}:{extra}"] if extra else ["-t", IMAGE]
        self._do("buildah", "bud", *options, "-f", str(ROOT / "deploy" / "Dockerfile"), str(ROOT))

    def close(self) -> None:
        self._service.kill()  # the namespace's first process goes with it, and all others with that one
        self._service.wait(30)

    @property
    def processes(self) -> Path:
        """Return /proc as it is in the namespaces."""
        return Path(f"/proc/{self._first}/root/proc")

    @property
    def _first(self) -> str:
        return Path(f"/proc/{self._service.pid}/task/{self._service.pid}/children").read_text().strip()

    def _do(self, *command: str) -> None:
        inside = ["nsenter", f"--target={self._first}", "--mount", "--pid", "--wd=/", *command]
        done = subprocess.run(inside, env=self._environ, capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, f"{' '.join(command)}:\n{(done.stdout + done.stderr)[-4000:]}"


def _mirror() -> list[str]:
    """Return where this machine's own apt gets Debian from, if it does."""
    asked = ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith(f"{SUITE} ")][:1]


def _pip(folder: Path) -> list[str]:
    """Return what has the build's pip ask where this machine's asks: settings and authorities as secrets, folders."""
    asked = [sys.executable, "-m", "pip", "config", "list"]
    lines = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    chosen: dict[str, str] = {}
    for line in sorted(lines, key=lambda line: line.startswith(":env:")):  # which wins
        name, _, value = line.partition("=")
        chosen[name.rpartition(".")[2]] = str(ast.literal_eval(value))
    authorities = chosen.pop("cert", os.environ.get("SSL_CERT_FILE", ""))
    settings = folder / "pip.conf"
    settings.write_text("[global]\n" + "".join(f"{key} = {' '.join(v.split())}\n" for key, v in chosen.items()))
    options = ["--secret", f"id=pip.conf,src={settings}"]
    if authorities:
        options += ["--secret", f"id=authorities,src={authorities}"]
    indexes = re.findall(r"file://(/\S+)", f"{chosen.get('index-url')} {chosen.get('extra-index-url')}")
    links = re.findall(r"(?:^|\s|file://)(/\S+)", chosen.get("find-links", ""))
    for place in {*(str(Path(index).parent) for index in indexes), *links}:  # an index lies beside its files
        if Path(place).is_dir():
            options += ["--volume", f"{place}:{place}:ro"]
    return options


@contextlib.contextmanager
def engine() -> Iterator[tuple[Engine, float]]:
    """Have the image somewhere; yields that, and how many seconds it took. Containers and volumes go afterwards."""
    docker = pytest.importorskip("docker", reason="not here: docker (PyPI)")
    if "DOCKER_HOST" in os.environ:
        given = docker.from_env()
        yield Engine(given, os.environ.get(GIVEN, IMAGE)), 0.0
        given.close()
        return
    with contextlib.ExitStack() as stack:
        short = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="porchlight-")))
        kept = os.environ.get(KEPT)
        workshop = Workshop(Path(kept) if kept else short / "images", short)
        stack.callback(workshop.close)
        began = time.monotonic()
        workshop.base()
        workshop.build()
        took = time.monotonic() - began
        client = docker.DockerClient(base_url=f"unix://{workshop.socket}", timeout=120)
        stack.callback(client.close)
        stack.callback(_clear, client)
        yield Engine(client, IMAGE, workshop.processes, workshop.build), took


def _clear(client: Any) -> None:
    for container in client.containers.list(all=True):
        container.remove(v=True, force=True)
    for volume in client.volumes.list():
        volume.remove(force=True)
