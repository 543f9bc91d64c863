"""The broker that comes along, in the cluster and by Compose, started by a real mosquitto as it is started there."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from tests.deploy.manifests import K3S, workloads
from tests.rig import ROOT, free_port, need_program, wait_for

PASSWORD = "p\"a$s w'o`rd"
USER = "porchlight"

pytestmark = pytest.mark.real


def in_cluster(secret: Path) -> tuple[list[str], dict[str, str]]:
    """Return the two commands of the pod, one after the other, and what they are given."""
    [broker] = [one for one in workloads("mosquitto") if one["metadata"]["name"] == "mosquitto"]
    pod = broker["spec"]["template"]["spec"]
    [first], [then] = pod["initContainers"], pod["containers"]
    assert first["env"][0]["name"] == "PASSWORD"
    assert first["command"][:2] == ["sh", "-c"]
    script = f"{first['command'][2].removeprefix('exec ')} && exec {' '.join(then['command'])}"
    return ["sh", "-c", script], {"PASSWORD": secret.read_text().strip()}


def by_compose(_secret: Path) -> tuple[list[str], dict[str, str]]:
    service = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]["mosquitto"]
    [script] = service["command"]
    return [*service["entrypoint"], script.replace("$$", "$")], {}  # $$ is Compose's $


@pytest.fixture(params=[in_cluster, by_compose])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """A broker with the settings that come along, on another port and in other folders. Returns its port."""
    need_program("mosquitto", "mosquitto")
    need_program("mosquitto_passwd", "mosquitto")
    port = free_port()
    secret = tmp_path / "mqtt_password"
    secret.write_text(f"{PASSWORD}\n")
    conf = tmp_path / "mosquitto.conf"
    places = {
        "/mosquitto/config/mosquitto.conf": str(conf),
        "/run/secrets/mqtt_password": str(secret),
        "/run/mosquitto": str(tmp_path),
        "/mosquitto/data/": f"{tmp_path}/",
        "listener 1883": f"listener {port} 127.0.0.1",
    }

    def here(text: str) -> str:
        for there, place in places.items():
            text = text.replace(there, place)
        return text

    conf.write_text(here((K3S / "components" / "mosquitto" / "mosquitto.conf").read_text()))
    if os.geteuid() == 0:  # it would become another user, who may not read what is ours; in its container it is none
        conf.write_text(f"{conf.read_text()}user root\n")
    command, given = request.param(secret)
    path = f"{os.environ['PATH']}:/usr/sbin"
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [here(word) for word in command], env={**given, "PATH": path}, stdout=output, stderr=output
        )
    try:
        wait_for("the broker is there", 20, lambda: "running" in log.read_text())
        yield port
    finally:
        process.terminate()
        process.wait(10)
        print(log.read_text())


def let_in(port: int, user: str, password: str) -> bool:
    """Return whether the broker takes somebody, as he is by name and password."""
    answers: list[bool] = []
    answered = threading.Event()
    client = Client(CallbackAPIVersion.VERSION2)
    if user:
        client.username_pw_set(user, password)

    def told(_client: Client, _data: object, _flags: object, code: object, _properties: object) -> None:
        answers.append(not getattr(code, "is_failure", True))
        answered.set()

    client.on_connect = told
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        assert answered.wait(10), "the broker says nothing"
    finally:
        client.disconnect()
        client.loop_stop()
    return answers[0]


def test_the_broker_lets_in_who_knows_the_password_and_nobody_else(broker: int) -> None:
    assert let_in(broker, USER, PASSWORD)
    assert not let_in(broker, USER, f"{PASSWORD} ")
    assert not let_in(broker, "somebody", PASSWORD)
    assert not let_in(broker, "", "")
