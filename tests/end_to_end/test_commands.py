"""Commands over MQTT: what is no command is refused aloud and changes nothing, and no flood of them slows the alarm."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import av
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from appliance.controller.alarm.pin import hash_pin
from appliance.inference.demo import PORCH_DEMO
from appliance.ipc.heartbeat import read_heartbeats
from appliance.ipc.run_folder import RunFolder
from appliance.telemetry import Sparing
from tests.capture.clips import video
from tests.rig import CLIP, MODEL, Appliance, Broker, Ear, Heard, clip_settings, need, wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

PIN, WRONG_PIN = "271828", "314159"
DISARM = f'{{"action":"DISARM","code":"{PIN}"}}'
MEGABYTE = b"9" * 1_000_000
PATIENCE_S = 15
ENTRY_PROMISE_S = 1.5
BEAT_PROMISE_S = 1.0
FLOOD_S, BATCH, BATCHES_A_SECOND = 10.0, 20, 100
"""2,000 commands a second."""
VISIT_S = 4.0
"""One round of the short clip: 1.3 s of an empty room, then one visit."""

ACTION = "the action is no word; send one of ARM_HOME, ARM_AWAY, ARM_NIGHT, DISARM, TRIGGER"
TOO_LONG = "1,000,000 bytes are no command, the longest has 1,000"
BAD: tuple[tuple[str, str | bytes, str], ...] = (
    ("alarm/set", f'{{"action":"DISARM","code":"{PIN}"', 'this is no JSON; send it as {"action": "DISARM", "code": '),
    ("alarm/set", '{"action":' + "[" * 450 + "]" * 450 + "}", ACTION),
    ("alarm/set", '{"action":' + "[" * 900, "this is no JSON"),
    ("alarm/set", f"DISARM {PIN}", ACTION),
    ("alarm/set", PIN, ACTION),
    ("alarm/set", f'{{"action":"{PIN}"}}', ACTION),
    ("alarm/set", f'{{"action":"DISARM","code":{PIN}}}', "the code is a number, which has no leading zeros; write it"),
    ("alarm/set", f'{{"action":"DISARM","pin":"{PIN}"}}', "one key is not understood; send action, and code where"),
    ("alarm/set", f'{{"{PIN}":"DISARM"}}', "one key is not understood"),
    ("alarm/set", f'{{"code":"{PIN}"}}', "there is no action; send one of ARM_HOME"),
    ("alarm/set", f'{{"action":"DISARM","code":["{PIN}"]}}', "the code is no text; write it in quotes"),
    ("alarm/set", f'{{"action":"DISARM","action":"DISARM","code":"{PIN}"}}', "a key stands twice; send each once"),
    ("alarm/set", "ARM_VACATION", "there is no action 'ARM_VACATION'; send one of ARM_HOME"),
    ("alarm/set", DISARM.encode("utf-16"), "byte 0 is no UTF-8; send plain text"),
    ("alarm/set", "", "the message is empty; send a command"),
    ("alarm/set", MEGABYTE, TOO_LONG),
    ("restart/set", "now", "'now' restarts nothing; send PRESS"),
    ("restart/set", '{"action":"PRESS"}', "what was sent (18 characters) restarts nothing; send PRESS"),
    ("restart/set", MEGABYTE, TOO_LONG),
    ("back_door/cfg/threshold/set", "60", "there is no camera 'back_door'; the cameras are front_door"),
    ("alarm/cfg/detection/set", "OFF", "there is no camera 'alarm'; the cameras are front_door"),
    ("Front_Door/cfg/detection/set", "OFF", "there is no camera 'Front_Door'"),
    (
        "front_door/cfg/volume/set",
        "11",
        "there is no setting 'volume'; use one of detection, live_view, threshold, cle",
    ),
    ("front_door/cfg/threshold/set", "120", "'120' is out of range; send 5 to 99 percent"),
    ("front_door/cfg/threshold/set", "NaN", "'NaN' is no number; send 5 to 99 percent, such as 50 or 7.5"),
    ("front_door/cfg/threshold/set", '{"v":{"v":60}}', "what was sent (14 characters) is no number; send 5 to 99"),
    ("front_door/cfg/threshold/set", "60".encode("utf-16-le"), "what was sent (4 characters) is no number"),
    ("front_door/cfg/threshold/set", MEGABYTE, TOO_LONG),
    ("front_door/cfg/clear_seconds/set", "-1", "'-1' is out of range; send 0 to 3600 seconds"),
    ("front_door/cfg/clear_seconds/set", "soon", "'soon' is no number; send 0 to 3600 seconds"),
    ("front_door/cfg/clear_seconds/set", "", "the message is empty; send a command"),
    ("front_door/cfg/detection/set", "maybe", "'maybe' is neither ON nor OFF; send one of them"),
    ("front_door/cfg/detection/set", b"\x80OFF", "byte 0 is no UTF-8; send plain text"),
    ("front_door/cfg/live_view/set", '{"state":"OFF"}', "what was sent (15 characters) is neither ON nor OFF"),
    ("front_door/cfg/live_view/set", MEGABYTE, TOO_LONG),
)
"""Below the instance's topic: what is sent, and what the log says of it."""

Start = Callable[[dict[str, Any]], Appliance]
Figure = Callable[[str, str], None]


@dataclass
class House:
    """The appliance, whoever hears it, and whoever sends it commands."""

    appliance: Appliance
    ear: Ear
    client: Client

    @property
    def armed(self) -> str | None:
        return self.ear.last("/alarm/state")

    def send(self, topic: str, payload: str | bytes, *, qos: int = 1, retain: bool = False) -> None:
        self.client.publish(f"porchlight/{self.appliance.instance}/{topic}", payload, qos=qos, retain=retain)

    def refusals(self) -> list[str]:
        return [line for line in self.appliance.log_text().splitlines() if "command refused: " in line]

    def rejected(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = [heard.json() for heard in self.ear.all("/alarm/event")]
        return [event for event in events if event["event_type"] == "rejected_code"]

    def controller(self) -> int:
        return wait_for("a controller", PATIENCE_S, lambda: self.appliance.pid_of("controller"))

    def kill_controller(self) -> None:
        """Kill it, and wait for the next one, which hears commands when it is online."""
        since = time.time()
        os.kill(self.controller(), signal.SIGKILL)
        self.wait_until_online(since)

    def wait_until_online(self, since: float = 0) -> None:
        topic = f"porchlight/{self.appliance.instance}/status"
        wait_for("it is online", 40, lambda: any(m.payload == b"online" for m in self.ear.all(topic, since)))

    def told(self) -> dict[str, str | None]:
        """Return what the broker has of what commands change."""
        settings = ("detection", "live_view", "threshold", "clear_seconds")
        topics = ["/alarm/state", "/alarm/attributes", *(f"/front_door/cfg/{setting}" for setting in settings)]
        return {topic: self.ear.last(topic) for topic in topics}

    def kept(self) -> dict[str, bytes]:
        """Return the files in which commands leave a trace."""
        folder = Path(self.appliance.settings["state_dir"])
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".json"}


@pytest.fixture
def client(broker: Broker) -> Iterator[Client]:
    """Whoever may write to the broker."""
    one = Client(CallbackAPIVersion.VERSION2)
    one.connect("127.0.0.1", broker.port, keepalive=600)
    one.loop_start()
    yield one
    one.disconnect()
    one.loop_stop()


def quiet_settings(broker: Broker) -> dict[str, Any]:
    """Return the settings of a house to which nobody comes: what changes there, a command has changed."""
    return {
        "instance": f"test_{secrets.token_hex(4)}",
        "cameras": [{"id": "front_door", "source": "synthetic://porch?size=320x180&fps=5&people_per_minute=0"}],
        "model": {"path": str(PORCH_DEMO), "backend": "onnxruntime", "threads": 1},
        "mqtt": {"host": "127.0.0.1", "port": broker.port},
        "alarm": {"pin": hash_pin(PIN), "away": {"exit_delay_seconds": 0.0}, "blind_seconds": 600.0},
    }


@pytest.fixture
def quiet(broker: Broker, ear: Ear, client: Client, appliance: Start) -> House:
    """An armed house, with a setting chosen."""
    house = House(appliance(quiet_settings(broker)), ear, client)
    house.wait_until_online()
    house.send("front_door/cfg/threshold/set", "61")
    house.send("alarm/set", "ARM_AWAY")
    wait_for("armed", PATIENCE_S, lambda: house.armed == "armed_away")
    wait_for("and how", PATIENCE_S, lambda: '"mode": "away"' in (ear.last("/alarm/attributes") or ""))
    wait_for("the choice is kept", PATIENCE_S, lambda: b"0.61" in house.kept().get("choices.json", b""))
    return house


def test_each_bad_command_is_refused_with_the_reason_and_changes_nothing(quiet: House) -> None:
    told, kept = quiet.told(), quiet.kept()
    controller = quiet.controller()
    for begin in range(0, len(BAD), Sparing.MOST):
        if begin:  # a new one has not used up its lines of this minute
            quiet.kill_controller()
            controller = quiet.controller()
        before = len(quiet.refusals())
        batch = BAD[begin : begin + Sparing.MOST]
        for topic, payload, _ in batch:
            quiet.send(topic, payload)
        wait_for("all are refused", PATIENCE_S, lambda: len(quiet.refusals()) >= before + len(batch))  # noqa: B023
        for line, (topic, _, words) in zip(quiet.refusals()[before:], batch, strict=True):
            assert f"'porchlight/{quiet.appliance.instance}/{topic}': {words}" in line
            assert line.endswith("; nothing was done")
        assert quiet.told() == told
        assert quiet.kept() == kept
        assert quiet.controller() == controller
    assert "a restart was asked for" not in quiet.appliance.log_text()
    assert PIN not in quiet.appliance.log_text()
    assert not any(PIN.encode() in content for content in quiet.kept().values())


def test_what_is_sent_to_other_topics_does_nothing(quiet: House) -> None:
    told, kept, refusals = quiet.told(), quiet.kept(), quiet.refusals()
    for topic in ("alarm", "alarm/SET", "alarm/set/now", "alarm/state/set", "set", "front_door/cfg/threshold/set/60"):
        quiet.send(topic, DISARM)
    # The next command goes the same way: when it was obeyed, those before it are through.
    quiet.send("front_door/cfg/clear_seconds/set", "7")
    wait_for("the next command is obeyed", PATIENCE_S, lambda: quiet.ear.last("/cfg/clear_seconds") == "7")
    assert quiet.told() == told | {"/front_door/cfg/clear_seconds": "7"}
    assert quiet.kept()["alarm.json"] == kept["alarm.json"]
    assert quiet.refusals() == refusals


def test_nothing_that_watches_is_eased_without_the_code_while_it_is_armed(quiet: House) -> None:
    told, controller = quiet.told(), quiet.controller()
    for topic, payload in (
        ("front_door/cfg/detection/set", "OFF"),
        ("front_door/cfg/threshold/set", "99"),
        ("restart/set", "PRESS"),
        ("front_door/cfg/threshold/set", "40"),
    ):
        quiet.send(topic, payload)
    wait_for("to see more is no harm", PATIENCE_S, lambda: quiet.ear.last("/cfg/threshold") == "40")
    assert quiet.told() == told | {"/front_door/cfg/threshold": "40"}
    assert quiet.controller() == controller
    log = quiet.appliance.log_text()
    assert "detection is not eased while the alarm is armed" in log
    assert "threshold is not eased while the alarm is armed" in log
    assert "no restart while the alarm is armed" in log


def test_a_pin_that_was_sent_to_another_topic_is_not_in_the_log(quiet: House) -> None:
    topics = ("restart/set", "front_door/cfg/threshold/set", "front_door/cfg/detection/set")
    for topic in topics:
        quiet.send(topic, PIN)
    wait_for("all are refused", PATIENCE_S, lambda: len(quiet.refusals()) == len(topics))
    assert not [line for line in quiet.refusals() if PIN in line]


def test_a_retained_command_is_carried_out_at_no_start(
    broker: Broker, ear: Ear, client: Client, appliance: Start
) -> None:
    settings = quiet_settings(broker)
    retained = ("alarm/set", "restart/set", "front_door/cfg/threshold/set")
    for topic, payload in zip(retained, (DISARM, "PRESS", "77"), strict=True):
        client.publish(f"porchlight/{settings['instance']}/{topic}", payload, qos=1, retain=True).wait_for_publish(5)
    house = House(appliance(settings), ear, client)
    house.wait_until_online()
    wait_for("all are refused", PATIENCE_S, lambda: len(house.refusals()) == 3)
    for topic in retained:
        (line,) = (line for line in house.refusals() if f"/{topic}'" in line)
        assert "a retained command would be carried out again at every start; send it without the retain flag" in line
    house.send("alarm/set", "ARM_AWAY")
    wait_for("armed", PATIENCE_S, lambda: house.armed == "armed_away")
    house.kill_controller()
    wait_for("all are refused again", PATIENCE_S, lambda: len(house.refusals()) == 6)
    assert (house.armed, ear.last("/cfg/threshold")) == ("armed_away", "50")
    assert "a restart was asked for" not in house.appliance.log_text()
    assert PIN not in house.appliance.log_text()


def test_after_wrong_codes_even_the_right_one_has_to_wait_also_after_a_kill(quiet: House) -> None:
    for number in range(3):
        quiet.send("alarm/set", f'{{"action":"DISARM","code":"{WRONG_PIN}"}}')
        wait_for("it is rejected", PATIENCE_S, lambda: len(quiet.rejected()) == number + 1)  # noqa: B023
    assert [event["reason"] for event in quiet.rejected()] == ["wrong_code"] * 3
    assert 25 < quiet.rejected()[-1]["wait_seconds"] <= 30
    quiet.send("alarm/set", DISARM)
    wait_for("the right one is rejected", PATIENCE_S, lambda: len(quiet.rejected()) == 4)
    quiet.kill_controller()
    quiet.send("alarm/set", DISARM)
    wait_for("and by the next controller", PATIENCE_S, lambda: len(quiet.rejected()) == 5)
    assert [event["reason"] for event in quiet.rejected()[3:]] == ["locked_out"] * 2
    assert 0 < quiet.rejected()[-1]["wait_seconds"] < 30
    assert quiet.armed == "armed_away"
    log = quiet.appliance.log_text()
    assert "rejected_code on DISARM because of locked_out" in log
    assert PIN not in log
    assert WRONG_PIN not in log


@pytest.fixture
def busy(tmp_path: Path, broker: Broker, ear: Ear, client: Client, appliance: Start) -> House:
    """A house that somebody visits every few seconds. What is sent to it does not reach the ear, which has enough to
    do; the controller has been up for three visits.
    """
    need(CLIP, MODEL)
    with av.open(str(CLIP)) as container:
        frames = itertools.islice(container.decode(video=0), 50, 50 + round(VISIT_S * 10))
        pictures = [frame.to_ndarray(format="rgb24") for frame in frames]
    clip = video(tmp_path / "visits.mp4", pictures, "libx264")
    more = {"alarm": {"pin": hash_pin(PIN)}, "sentry": {"clear_seconds": 0.3}}
    house = House(appliance(clip_settings(broker.port, f"file://{clip}?loop=true", **more)), ear, client)
    ear._client.unsubscribe("#")
    said = ("/+/event", "/+/state", "/+/status", "/status", "/alarm/attributes", "/+/cfg/+")
    ear._client.subscribe([(f"porchlight/{house.appliance.instance}{topic}", 1) for topic in said])
    wait_for("visits", 60, lambda: len(visits(house)) >= 6)
    return house


def visits(house: House, since: float = 0) -> list[Heard]:
    return house.ear.all("/front_door/event", since)


def flood(house: House, seconds: float, send: Callable[[int], None]) -> tuple[float, float]:
    """Send at the pace above for so long; return commands a second, and the oldest that a heartbeat became."""
    folder, began = RunFolder(house.appliance.instance), time.monotonic()
    oldest_s, sent = 0.0, 0
    while (now := time.monotonic()) < began + seconds:
        if now - began >= sent / (BATCH * BATCHES_A_SECOND):
            for number in range(sent, sent + BATCH):
                send(number)
            sent += BATCH
            if sent % (BATCH * 20) == 0:
                beat = read_heartbeats(folder).get("controller")
                oldest_s = max(oldest_s, time.monotonic() - beat.beat_ns / 1e9 if beat else seconds)
        else:
            time.sleep(0.001)
    return sent / (time.monotonic() - began), oldest_s


def memory_mb(pid: int, what: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def drained_after(house: House) -> float:
    """Return the seconds until a command is obeyed that is sent after all others, now and then: some may be lost."""
    began = time.monotonic()
    for _ in range(PATIENCE_S):
        house.send("front_door/cfg/clear_seconds/set", "0.4")
        with contextlib.suppress(AssertionError):
            wait_for("what comes after the flood", 1, lambda: house.ear.last("/cfg/clear_seconds") == "0.4")
            break
    assert house.ear.last("/cfg/clear_seconds") == "0.4"
    return time.monotonic() - began


def check_visits(house: House, began: float, ended: float, what: str, figure: Figure) -> None:
    """Visits were told in the flood as before it, none of them later than three times the promise."""
    before = [heard for heard in visits(house) if heard.at < began]
    within = [heard for heard in visits(house, began) if heard.at <= ended]
    kinds = [heard.json()["event_type"] for heard in within]
    rounds = int((ended - began) / VISIT_S) - 1
    assert kinds.count("person_entered") >= rounds, kinds
    assert kinds.count("person_left") >= rounds, kinds
    quiet_ms, flooded_ms = (
        statistics.median(heard.json()["latency_ms"] for heard in some) for some in (before, within)
    )
    late_s = [heard.at - datetime.fromisoformat(heard.json()["timestamp"]).timestamp() for heard in within]
    figure(
        f"{what}: median latency_ms before, within",
        f"{quiet_ms:.0f} -> {flooded_ms:.0f} (x{flooded_ms / quiet_ms:.2f})",
    )
    figure(f"{what}: seconds from frame to ear, median and most", f"{statistics.median(late_s):.3f} {max(late_s):.3f}")
    assert max(late_s) < 3 * ENTRY_PROMISE_S, late_s


def test_a_flood_of_bad_commands_holds_up_no_alarm(busy: House, figure: Figure) -> None:
    controller, log_before = busy.controller(), len(busy.appliance.log_text())
    told = {topic: text for topic, text in busy.told().items() if "alarm" not in topic}
    resident = memory_mb(controller, "VmRSS")
    small = [(topic, payload) for topic, payload, _ in BAD if payload is not MEGABYTE]

    def send(number: int) -> None:
        topic, payload = small[number % len(small)] if number % 1500 else ("alarm/set", MEGABYTE)
        busy.send(topic, payload, qos=0)

    began = time.time()
    rate, oldest_s = flood(busy, FLOOD_S, send)
    ended = time.time()
    assert {topic: text for topic, text in busy.told().items() if "alarm" not in topic} == told
    drained_s = drained_after(busy)
    more = memory_mb(controller, "VmRSS") - resident
    log = busy.appliance.log_text()[log_before:]
    figure(
        "flood of bad commands",
        f"{rate:.0f}/s, the next command after {drained_s:.2f} s, oldest heartbeat {oldest_s:.2f} s",
    )
    figure(
        "flood of bad commands: controller's memory, log", f"{resident:.0f} MB + {more:.1f} MB, {len(log):,} characters"
    )
    check_visits(busy, began, ended, "flood of bad commands", figure)
    assert "more of these come in than are told here" in log, "the flood has not arrived"
    assert log.count("command refused") <= 2 * Sparing.MOST  # the minute may turn meanwhile
    assert len(log) < 20_000
    assert more < 50
    assert oldest_s < 3 * BEAT_PROMISE_S
    assert busy.controller() == controller
    assert busy.armed == "disarmed"
    assert PIN not in log


def test_a_flood_of_good_commands_holds_up_no_alarm(busy: House, figure: Figure) -> None:
    controller, log_before = busy.controller(), len(busy.appliance.log_text())
    resident = memory_mb(controller, "VmRSS")

    def send(number: int) -> None:
        if number % 2:
            busy.send("front_door/cfg/threshold/set", str(50 + number // 2 % 2), qos=0)
        else:
            busy.send("alarm/set", ("ARM_AWAY", DISARM)[number // 2 % 2], qos=0)

    began = time.time()
    rate, oldest_s = flood(busy, FLOOD_S, send)
    ended = time.time()
    drained_s = drained_after(busy)
    more = memory_mb(controller, "VmRSS") - resident
    log = busy.appliance.log_text()[log_before:]
    figure(
        "flood of good commands",
        f"{rate:.0f}/s, the next command after {drained_s:.2f} s, oldest heartbeat {oldest_s:.2f} s",
    )
    figure(
        "flood of good commands: controller's memory, log",
        f"{resident:.0f} MB + {more:.1f} MB, {len(log):,} characters",
    )
    check_visits(busy, began, ended, "flood of good commands", figure)
    assert more < 80
    assert oldest_s < 3 * BEAT_PROMISE_S
    assert busy.controller() == controller
    assert PIN not in log
    check_what_holds(busy)


def check_what_holds(house: House) -> None:
    """Once the flood is through, the next commands are obeyed, and what is told is what is kept.

    The threshold becomes a lower one: a higher one would be refused where the flood has left the alarm armed.
    """
    wait_for("the alarm's commands are through", PATIENCE_S, lambda: is_settled(house))
    house.send("front_door/cfg/threshold/set", "42")
    house.send("alarm/set", "ARM_NIGHT")
    wait_for("the threshold is told", PATIENCE_S, lambda: house.ear.last("/cfg/threshold") == "42")
    wait_for("and the alarm", PATIENCE_S, lambda: '"mode": "night"' in (house.ear.last("/alarm/attributes") or ""))
    wait_for("the threshold is kept", PATIENCE_S, lambda: b"0.42" in house.kept()["choices.json"])
    wait_for("and the alarm", PATIENCE_S, lambda: json.loads(house.kept()["alarm.json"])["mode"] == "night")


def is_settled(house: House) -> bool:
    """Whether nothing was said of the alarm for a second: a code takes a tenth of one."""
    heard = house.ear.all("/alarm/event")
    return not heard or heard[-1].at < time.time() - 1


def test_what_a_flood_of_good_commands_leaves_in_the_log_is_bounded(quiet: House) -> None:
    def send(number: int) -> None:
        quiet.send("front_door/cfg/threshold/set", str(50 + number // 3 % 2), qos=0)
        quiet.send("alarm/set", "DISARM", qos=0)
        quiet.send("restart/set", "PRESS", qos=0)

    before = len(quiet.appliance.log_text())
    flood(quiet, 1, send)
    drained_after(quiet)
    assert len(quiet.appliance.log_text()) - before < 20_000


def test_however_often_restart_is_pressed_it_restarts_once(quiet: House, figure: Figure) -> None:
    """The floor is 30 s: this takes longer."""
    quiet.send("alarm/set", DISARM)
    wait_for("disarmed", PATIENCE_S, lambda: quiet.armed == "disarmed")
    seen = {quiet.controller(): time.monotonic()}
    began = time.monotonic()
    until = began + 60
    while time.monotonic() < until:
        quiet.send("restart/set", "PRESS", qos=0)
        pid = quiet.appliance.pid_of("controller")
        if pid is not None and pid not in seen:
            seen[pid] = time.monotonic()
            if len(seen) == 2:
                until = seen[pid] + 8
    figure(
        "restart pressed again and again: seconds until each new controller",
        " ".join(f"{at - began:.1f}" for at in list(seen.values())[1:]),
    )
    assert len(seen) == 2, seen
    quiet.wait_until_online(time.time() - 8)
    assert quiet.armed == "disarmed"
    assert quiet.ear.last("/cfg/threshold") == "61"
