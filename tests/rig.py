"""Real parts for tests: a broker, the appliance itself, an ear on the broker, footage and models from ../shared."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import yaml
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("TEST_SHARED", ROOT.parent / "shared"))
CLIP = SHARED / "media" / "one-by-one-person-detection.mp4"
MODEL = SHARED / "models" / "deimv2_femto_rfdetr_contract_384.onnx"


def need(*paths: Path) -> None:
    """Skip the test, in one line, where a file of ../shared is missing."""
    for path in paths:
        if not path.exists():
            pytest.skip(f"not here: {path.name} (looked in ../shared)")


def need_program(name: str, package: str) -> str:
    """Return a program's path, or skip with the Debian package that has it."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"not here: {name} (Debian: {package})")
    return found


def absent_parts() -> list[str]:
    """Return the real parts that this machine lacks, in words."""
    parts = {
        "mosquitto": shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin"),
        "Chromium": shutil.which("chromium"),
        "Home Assistant": Path(os.environ.get("HA_PYTHON", "/opt/ha-venv/bin/python")).exists(),
        "flatc": shutil.which("flatc"),
        "emulated machine with V4L2": shutil.which("qemu-system-x86_64")
        and Path(os.environ.get("V4L2VM_HOME", "/opt/v4l2vm"), "root.ext4").exists(),
        "GStreamer's RTSP server": any(Path("/usr/lib").glob("*/girepository-1.0/GstRtspServer-1.0.typelib")),
        "g++ and FlatBuffers' headers": shutil.which("g++") and Path("/usr/include/flatbuffers").exists(),
        "Prometheus": shutil.which("prometheus") and shutil.which("promtool"),
        "containers (buildah, podman)": shutil.which("buildah") and shutil.which("podman") and shutil.which("crun"),
        "kubectl": shutil.which("kubectl"),
        "systemd-analyze": shutil.which("systemd-analyze"),
        "AppArmor's parser": shutil.which("apparmor_parser", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"),
        "NNCF": importlib.util.find_spec("nncf"),
        "ESPHome": shutil.which(os.environ.get("ESPHOME", "esphome")),
        "footage and models (../shared)": CLIP.exists() and MODEL.exists(),
    }
    return [name for name, there in parts.items() if not there]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(what: str, seconds: float, look: Callable[[], T | None]) -> T:
    """Return the first true answer of `look`; AssertionError with `what` when none came in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


class Broker:
    """A mosquitto of our own on a free loopback port."""

    def __init__(
        self, folder: Path, port: int | None = None, user: str = "", password: str = "", extra: str = ""
    ) -> None:
        """`extra` are more lines of mosquitto.conf, after the listener's own (TLS, limits)."""
        self._program = need_program("mosquitto", "mosquitto")
        self.port = port or free_port()
        self._config = folder / "mosquitto.conf"
        users = folder / "users"
        if user:
            tool = need_program("mosquitto_passwd", "mosquitto")
            subprocess.run([tool, "-b", "-c", str(users), user, password], check=True, capture_output=True)
        entry = f"allow_anonymous false\npassword_file {users}" if user else "allow_anonymous true"
        self._config.write_text(f"listener {self.port} 127.0.0.1\n{entry}\npersistence false\nuser root\n{extra}\n")
        self._log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([self._program, "-c", str(self._config)], stdout=log, stderr=log)
        wait_for("mosquitto listens", 10, self._listens)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.5):
            return True
        return False


@dataclass(slots=True)
class Heard:
    """One MQTT message, and when it came (time.time())."""

    at: float
    topic: str
    payload: bytes
    retain: bool

    def json(self) -> Any:
        return json.loads(self.payload)


class Ear:
    """Hears everything on the broker from the moment it is made."""

    def __init__(self, port: int) -> None:
        self.heard: list[Heard] = []
        subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = self._note
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(10), "the broker does not answer"

    def _note(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.heard.append(Heard(time.time(), message.topic, bytes(message.payload), message.retain))

    def last(self, topic: str) -> str | None:
        """Return the newest text on a topic that ends so."""
        return next((m.payload.decode() for m in reversed(self.heard) if m.topic.endswith(topic)), None)

    def all(self, topic: str, since: float = 0) -> list[Heard]:
        return [m for m in self.heard if m.topic.endswith(topic) and m.at >= since]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@dataclass(slots=True)
class Appliance:
    """`porchlight run` as a user starts it, with settings of its own."""

    folder: Path
    settings: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(init=False)
    config: Path = field(init=False)

    def __post_init__(self) -> None:
        self.settings.setdefault("instance", f"test_{secrets.token_hex(4)}")
        self.settings.setdefault("gateway", {}).setdefault("port", free_port())
        self.settings.setdefault("state_dir", str(self.folder / "state"))
        self.log = self.folder / "porchlight.log"
        self.config = self.folder / "settings.yaml"

    @property
    def instance(self) -> str:
        return str(self.settings["instance"])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings['gateway']['port']}"

    @property
    def run_folder(self) -> Path:
        return Path("/dev/shm") / f"porchlight-{self.instance}"

    def start(self) -> None:
        self.config.write_text(yaml.safe_dump(self.settings))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "appliance.cli", "run", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )

    def stop(self, how: int = signal.SIGTERM) -> int:
        """End it as a user does, and return its exit code."""
        assert self.process is not None
        self.process.send_signal(how)
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()

    def pids(self, *words: str) -> list[int]:
        """Return our processes whose command line holds all of `words`."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    line = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                    ours = {str(self.config), str(self.run_folder / "settings.yaml")}.intersection(line)
                    if ours and all(word in line for word in words):
                        found.append(int(entry.name))
        return found

    def pid_of(self, stage: str) -> int | None:
        """Return a stage's process; `capture.<camera>` is that camera's, `capture` the one above it."""
        name, _, camera = stage.partition(".")
        pids = set(self.pids("stage", name))
        with_camera = set(self.pids("stage", name, "--camera"))
        chosen = set(self.pids("stage", name, "--camera", camera)) if camera else pids - with_camera
        return next(iter(chosen), None)

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body; status 0 where nobody answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=2) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except OSError:
            return 0, b""

    def status(self) -> dict[str, Any]:
        code, body = self.get("/api/status")
        return json.loads(body) if code == 200 else {}

    def state(self) -> str:
        """Return the first camera's state, `unknown` where it must not be believed."""
        cameras = self.status().get("cameras", [])
        return str(cameras[0]["state"]) if cameras and cameras[0]["known"] else "unknown"

    def log_text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""


def clip_settings(broker_port: int, source: str, **more: Any) -> dict[str, Any]:
    """Return settings as a household's: one camera, the stand-in model, all else default.

    But the backend is given: a start would wait for trials that have tests of their own.
    """
    return {
        "cameras": [{"id": "front_door", "source": source}],
        "model": {"path": str(MODEL), "backend": "onnxruntime", "threads": 2},
        "mqtt": {"host": "127.0.0.1", "port": broker_port},
        **more,
    }
