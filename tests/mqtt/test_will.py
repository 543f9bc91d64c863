"""A process that is killed: back at once, nobody hears of it and no command is lost; staying away, it is offline."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from appliance.mqtt import OFFLINE, ONLINE, clients
from tests.rig import ROOT, Broker, Ear, wait_for

pytestmark = pytest.mark.real

Somebody = subprocess.Popen[bytes]


@pytest.fixture
def somebody(broker: Broker) -> Iterator[Callable[..., Somebody]]:
    """Has a process ready that connects as soon as it is let go."""
    made: list[Somebody] = []

    def prepare(name: str, protocol: str = "auto") -> Somebody:
        words = [sys.executable, "-m", "tests.mqtt.somebody", str(broker.port), name, protocol]
        made.append(subprocess.Popen(words, stdin=subprocess.PIPE, cwd=ROOT))
        return made[-1]

    yield prepare
    for process in made:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("protocol", ["auto", "5"])
def test_whoever_is_back_within_the_delay_was_never_offline_and_lost_no_command(
    broker: Broker, ear: Ear, somebody: Callable[..., Somebody], protocol: str
) -> None:
    first, other, second = somebody("quick", protocol), somebody("gone", protocol), somebody("quick", protocol)
    let_go(first)
    let_go(other)
    wait_for("both are online", 20, lambda: ear.last("quick/status") == ear.last("gone/status") == ONLINE)
    kill(first)
    kill(other)
    command(broker.port, "somebody/quick/command", b"while away")
    let_go(second)
    wait_for("it is back", 20, lambda: len(ear.all("quick/status")) == 2)
    wait_for("the command has arrived", 20, lambda: ear.last("quick/heard") == "while away")
    # Whose death came later is told; so the earlier one would have been told as well.
    wait_for("the other is offline", 20, lambda: ear.last("gone/status") == OFFLINE)
    assert [heard.payload.decode() for heard in ear.all("quick/status")] == [ONLINE, ONLINE]


def test_3_1_1_knows_no_delay(ear: Ear, somebody: Callable[..., Somebody]) -> None:
    one = somebody("old", "3.1.1")
    let_go(one)
    wait_for("it is online", 20, lambda: ear.last("old/status") == ONLINE)
    kill(one)
    wait_for("it is offline", 20, lambda: ear.last("old/status") == OFFLINE)


def test_the_session_outlives_the_wills_delay() -> None:
    """Its end would send the will, however long that was to wait."""
    assert clients.SESSION_S >= clients.WILL_DELAY_S


def let_go(process: Somebody) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()


def kill(process: Somebody) -> None:
    process.kill()
    process.wait(10)


def command(port: int, topic: str, payload: bytes) -> None:
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.publish(topic, payload, qos=1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()
