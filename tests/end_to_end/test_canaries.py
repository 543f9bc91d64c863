"""No credential is ever told: each setting that can hold one holds a word that must not turn up anywhere.

The cameras refuse, the broker refuses, the settings are edited into something broken, stages are killed: errors are
where secrets leak. The log is at debug.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from appliance.controller.alarm.pin import hash_pin
from tests.rig import MODEL, ROOT, Appliance, Broker, free_port, need, wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

PIN = "90817263"
PATIENCE_S = 40


class Canaries(dict[str, str]):
    """A word for each place, made when it is first named."""

    def __missing__(self, place: str) -> str:
        self[place] = f"canary{secrets.token_hex(8)}"
        return self[place]

    def found_in(self, text: str) -> list[str]:
        return [place for place, word in self.items() if word in text]


class Refusing(BaseHTTPRequestHandler):
    """A camera that wants another password, and repeats what it was sent, as a careless one would."""

    def do_GET(self) -> None:
        self.send_response(401, f"no {self.headers.get('Authorization', '')}")
        self.send_header("WWW-Authenticate", 'Basic realm="camera"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        """A collector that repeats what it was sent."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(403, f"no {self.headers.get('Authorization', '')}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def camera() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Broker]:
    one = Broker(tmp_path, user="porch", password="the right one")
    one.start()
    yield one
    one.stop()


def settings(canaries: Canaries, camera: int, broker: int) -> dict[str, Any]:
    need(MODEL)
    nobody = free_port()
    login = f"{canaries['user']}:{{}}@127.0.0.1"
    return {
        "cameras": [
            {"id": "porch", "source": "synthetic://porch?size=320x180&fps=5"},
            {
                "id": "rtsp",
                "source": f"rtsp://{login.format(canaries['rtsp'])}:{nobody}/a?password={canaries['query']}",
            },
            {"id": "http", "source": f"http://{login.format(canaries['http'])}:{camera}/a?key={canaries['key']}"},
        ],
        "model": {"path": str(MODEL), "backend": "onnxruntime", "threads": 1},
        "mqtt": {"host": "127.0.0.1", "port": broker, "username": "porch", "password": canaries["mqtt.password"]},
        "gateway": {"token": canaries["gateway.token"]},
        "alarm": {"pin": hash_pin(PIN)},
        "telemetry": {
            "log_level": "debug",
            "otlp_endpoint": f"http://127.0.0.1:{camera}",
            "otlp_headers": f"authorization=Bearer {canaries['otlp_headers']},x-tenant=home",
            "trace_share": 1.0,
        },
    }


def told(home: Appliance) -> str:
    """Return all that anybody could read: the log, the heartbeats, the state folder, the page's knowledge."""
    folders = (home.run_folder, Path(home.settings["state_dir"]))
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    # The stages' copy of the settings is the owner's own file, for the owner's eyes alone.
    texts = [file.read_bytes().decode(errors="replace") for file in files if file.suffix not in {".yaml", ".new"}]
    return "\n".join([home.log_text(), *texts])


def ask(home: Appliance, path: str, token: str) -> str:
    request = urllib.request.Request(home.url + path, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return str(answer.read().decode(errors="replace"))


def doctor(home: Appliance) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "doctor", "--config", str(home.config), "--json"],
        capture_output=True, text=True, cwd=ROOT, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_no_credential_is_told_whatever_goes_wrong(
    locked: Broker, camera: int, appliance: Callable[[dict[str, Any]], Appliance]
) -> None:
    canaries = Canaries(PIN=PIN)
    home = appliance(settings(canaries, camera, locked.port))
    log = home.log_text
    wait_for("the broker refuses", PATIENCE_S, lambda: "refuses us" in log())
    wait_for("the RTSP camera fails", PATIENCE_S, lambda: "nothing answers at this port" in log())
    wait_for("the HTTP camera fails", PATIENCE_S, lambda: "refuses the user or the password" in log())
    wait_for("the collector refuses", PATIENCE_S, lambda: "OpenTelemetry collector" in log() and "403" in log())
    wait_for("the page is served", PATIENCE_S, lambda: home.get("/readyz")[0] == 200)
    home.get(f"/api/status?token={canaries['a wrong token']}")
    told_by_page = ask(home, "/api/status", canaries["gateway.token"]) + ask(home, "/", canaries["gateway.token"])

    # Edited into something broken, with the words in it; and into TLS with a locked key.
    home.config.write_text(yaml.safe_dump(home.settings) + f"\nmqtt: [{canaries['broken']}\n")
    wait_for("the edit is refused", PATIENCE_S, lambda: "the edited settings cannot be used" in log())
    tls = {"enabled": True, "cert_file": str(home.config), "key_password": canaries["mqtt.tls.key_password"]}
    mqtt = {**home.settings["mqtt"], "tls": tls}
    home.config.write_text(yaml.safe_dump({**home.settings, "mqtt": mqtt}))
    wait_for("there is no TLS", PATIENCE_S, lambda: "mqtt.tls" in log())
    for stage in ("controller", "gateway", "capture"):
        pid = home.pid_of(stage)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    wait_for("the page is served again", PATIENCE_S, lambda: home.get("/readyz")[0] == 200)
    examined, while_it_ran = doctor(home), told(home)
    assert home.stop() == 0

    assert "MQTT broker" in examined
    assert "PLH1" in while_it_ran  # a heartbeat: they were looked at
    assert canaries.found_in(while_it_ran) == []
    assert canaries.found_in(told(home)) == []
    assert canaries.found_in(told_by_page) == []
    assert canaries.found_in(examined) == []
    assert "argon2" not in log()


def test_neither_is_what_was_sent_over_mqtt(broker: Broker, appliance: Callable[[dict[str, Any]], Appliance]) -> None:
    """A right code and wrong ones; the secrets of a connection that works are not in what it says either."""
    canaries = Canaries(PIN=PIN)
    home = appliance(
        {
            **settings(canaries, 9, broker.port),
            "cameras": [{"id": "porch", "source": "synthetic://porch?size=320x180&fps=5"}],
        }
    )
    heard: list[str] = []
    client = Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda one, *_: one.subscribe("#", qos=1)
    client.on_message = lambda _c, _d, message: heard.append(f"{message.topic} {message.payload!r}")
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    wait_for("it is announced", PATIENCE_S, lambda: any("/device/" in one for one in heard))
    base = f"porchlight/{home.instance}/alarm"
    for code in (PIN, canaries["a wrong code"], "00112233"):
        client.publish(f"{base}/set", f'{{"action": "DISARM", "code": "{code}"}}', qos=1)
    client.publish(f"{base}/set", '{"action": "ARM_HOME"}', qos=1)
    wait_for("it is armed", PATIENCE_S, lambda: f"{base}/state b'armed_home'" in heard)
    assert home.stop() == 0
    client.disconnect()
    client.loop_stop()
    said = "\n".join(one for one in heard if not one.startswith(f"{base}/set "))
    assert canaries.found_in(said) == []
    assert canaries.found_in(told(home)) == []
