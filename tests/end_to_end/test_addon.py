"""The add-on from end to end, but for its container (tests/deploy): options, broker, ingress, other options."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from appliance.inference.demo import PORCH_DEMO
from tests.addon.ingress import apart, ingress, picture, status
from tests.addon.stand_in import TOKEN, Supervisor, supervisor
from tests.rig import ROOT, Broker, free_port, wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

PROXY = "127.0.0.32"
"""Where the stand-in for Home Assistant's ingress comes from."""
SOME = re.compile("[1-9]")
"""How many boxes: with so many people it is seldom one."""
LIMIT_S = 60
STOP_PROMISE_S = 5.0
RUNNER = """
import sys
from pathlib import Path
from appliance.addon import options, start
start.DATA, start.SUPERVISOR, start.SERVICE_PATIENCE_S = Path(sys.argv[1]), sys.argv[2], 0.0
options.PORT, options.INGRESS = int(sys.argv[3]), sys.argv[4]
from appliance.cli import main
sys.exit(main(["run"]))
"""
"""What differs from a container: where /data and the Supervisor are, the port, and the proxy's address."""


@dataclass
class Addon:
    """An add-on as the Supervisor starts and stops it."""

    data: Path
    supervisor: Supervisor
    instance: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self, **options: Any) -> None:
        (self.data / "options.json").write_text(json.dumps(options))
        environ = {
            **os.environ,
            "SUPERVISOR_TOKEN": TOKEN,
            "PORCHLIGHT_INSTANCE": self.instance,
            "PORCHLIGHT_MODEL__BACKEND": "onnxruntime",
            "PORCHLIGHT_MODEL__THREADS": "1",
        }
        command = [sys.executable, "-c", RUNNER, str(self.data), self.supervisor.url, str(self.port), PROXY]
        with (self.data / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environ, cwd=ROOT)

    def stop(self) -> tuple[int, float]:
        """Return the exit code, and how long it took."""
        assert self.process is not None
        began = os.times().elapsed
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        return code, os.times().elapsed - began

    @property
    def log(self) -> str:
        return (self.data / "log").read_text(errors="replace")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    (tmp_path / "broker").mkdir()
    one = Broker(tmp_path / "broker", user="addons", password="of the house")
    one.start()
    yield one
    one.stop()


@pytest.fixture
def addon(tmp_path: Path, broker: Broker) -> Iterator[Addon]:
    with supervisor() as stand_in:
        stand_in.service = {
            "host": "127.0.0.1", "port": broker.port, "ssl": False, "protocol": "3.1.1",
            "username": "addons", "password": "of the house",
        }  # fmt: skip
        one = Addon(tmp_path, stand_in, f"addon_{os.getpid()}")
        yield one
        if one.process is not None and one.process.poll() is None:
            one.process.kill()
            one.process.wait()


@pytest.fixture
def sidebar(addon: Addon) -> Iterator[str]:
    with ingress(f"http://127.0.0.1:{addon.port}", PROXY) as url:
        yield url


def camera(name: str) -> dict[str, str]:
    return {"id": "porch", "name": name, "source": "synthetic://porch?people_per_minute=20&size=640x360"}


def test_from_options_to_the_sidebar_and_to_other_options(
    addon: Addon,
    broker: Broker,
    sidebar: str,
    browser: Browser,
    listening: Callable[..., Any],
    figure: Callable[[str, str], None],
) -> None:
    ear = listening(broker.port, "addons", "of the house")
    addon.start(cameras=[camera("Front porch")], model=str(PORCH_DEMO))
    wait_for("it is announced with the service's credentials", LIMIT_S, lambda: ear("homeassistant/device/"))
    wait_for("somebody came", LIMIT_S, lambda: ear(f"porchlight/{addon.instance}/porch/event"))

    page = browser.new_page()
    page.goto(sidebar)
    expect(page.get_by_role("heading", name="Front porch")).to_be_visible(timeout=LIMIT_S * 1000)
    expect(page.get_by_test_id("picture-porch")).to_have_attribute("data-boxes", SOME, timeout=LIMIT_S * 1000)
    page.screenshot(path=ROOT / "reports" / "addon-ingress.png")
    page.close()
    assert apart(picture(f"{sidebar}ws"))[:2] == b"\xff\xd8"
    assert apart(status(f"http://127.0.0.1:{addon.port}/api/status", PROXY)) == 200
    assert (addon.data / "state").is_dir()

    code, took = addon.stop()
    assert code == 0
    assert took < 3 * STOP_PROMISE_S
    figure("add-on: from SIGTERM to its end", f"{took:.1f} s")
    assert not Path(f"/dev/shm/porchlight-{addon.instance}").exists()

    addon.start(cameras=[camera("Back porch")], model=str(PORCH_DEMO), log_level="debug")
    wait_for("the new name", LIMIT_S, lambda: any(b"Back porch" in text for text in ear("homeassistant/device/")))
    assert addon.stop()[0] == 0
    assert "of the house" not in addon.log


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cameras": []}, 'add one under "cameras"'),
        (
            {"cameras": [camera("Porch")], "model": "/config/none.onnx"},
            'model.path: the file "/config/none.onnx" does not exist',
        ),
        ({"cameras": [{**camera("Porch"), "source": "rstp://camera"}], "model": str(PORCH_DEMO)}, "source"),
    ],
)
def test_options_that_cannot_be_used_end_it_with_a_reason_and_not_with_a_loop(
    addon: Addon, options: dict[str, Any], words: str
) -> None:
    addon.start(**options)
    assert addon.process is not None
    assert addon.process.wait(LIMIT_S) == 2
    assert words in addon.log
    assert "Traceback" not in addon.log


def test_without_a_broker_it_says_which_add_on_to_install(addon: Addon) -> None:
    addon.supervisor.service = None
    addon.start(cameras=[camera("Porch")], model=str(PORCH_DEMO))
    assert addon.process is not None
    assert addon.process.wait(LIMIT_S) == 2
    assert 'install the add-on "Mosquitto broker"' in addon.log
