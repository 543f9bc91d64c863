"""Chapter: from a person in the frame to the event at a subscriber, and which part of the way takes how long."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import yaml

from appliance.inference.backends import open_backend
from appliance.inference.trial import golden_frame
from appliance.ipc.run_folder import RunFolder
from appliance.mqtt import ONLINE, base_topic
from tests.benchmarks import doorstep
from tests.benchmarks.listening import Alarm, Ear, Watch
from tests.benchmarks.report import Chapter, Plot, Ratio, Table
from tests.benchmarks.timing import percentiles
from tests.rig import CLIP, MODEL, ROOT, Appliance, Broker, need

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CAMERA = "porch"
STAGES = ("inference", "controller", "capture")
THREADS = min(2, len(os.sched_getaffinity(0)))
STANDBY_FPS = 3.0
SETTLED_S = 4.0
"""After the camera is available: the controller tells no events in the first two seconds of its connection."""
LIMIT_MS = 10.0
FIRST, USUAL = "the first sighting decides", "three sightings decide"
CONFIRM = {FIRST: 1, USUAL: 3}


class Measured(NamedTuple):
    """`acknowledged` and `bare` are milliseconds: from capture to PUBACK, and of messages of the events' size alone."""

    alarms: list[Alarm]
    acknowledged: list[float]
    bare: list[float]


def run(folder: Path, quick: bool) -> Chapter:
    """Return the chapter. It needs mosquitto, and the clip and the femto model of ../shared."""
    need(CLIP, MODEL)
    count = 8 if quick else 80
    load = os.getloadavg()[0]
    doorstep.paint(folder)
    broker = Broker(folder)
    broker.start()
    try:
        measured = {words: _split(folder, broker.port, confirm, count) for words, confirm in CONFIRM.items()}
        whole = _whole(folder, broker.port, count // 2)
    finally:
        broker.stop()
    bare_ms = _bare_model(max(5, count // 4))
    first = measured[FIRST]
    ratios = []
    for words, (alarms, _, bare) in measured.items():
        (ours,), (noise,) = percentiles([alarm.ours for alarm in alarms], 95), percentiles(bare, 95)
        published = median(alarm.publish for alarm in alarms)
        ratios += [
            Ratio(f"{words}: all but inference and the sentry's own windows, ms at p95", ours, LIMIT_MS),
            Ratio(f"{words}: the same : a bare message, p95", ours / noise),
            Ratio(f"{words}: publish : a bare message, medians", published / median(bare)),
        ]
    inference, acknowledged = median(alarm.inference for alarm in first.alarms), median(first.acknowledged)
    ratios += [
        Ratio(f"{FIRST}: inference : the bare model, medians", inference / median(bare_ms)),
        Ratio("capture to PUBACK, medians: the whole appliance : the three stages", median(whole) / acknowledged),
    ]
    return Chapter(
        "The alarm: from a person in the frame to the event at a subscriber",
        f"An MJPEG camera of {doorstep.SIZE[0]}x{doorstep.SIZE[1]} at {doorstep.FPS:g} pictures a second, before which "
        f"somebody comes and goes; DEIMv2-Femto on onnxruntime, {THREADS} thread{'s' * (THREADS > 1)}; the real stages "
        "and mosquitto. The frame is the one that decides, so the sentry's windows lie before it. Capture: from the "
        "picture's first bytes until it can be taken from the mailbox. Wait: until inference has it in hands, and the "
        "hand-over of its detections. Inference: decode, resize, model, its answer read. Decision: until the "
        "controller has decided and told the camera. Publish: the event's JSON, MQTT, until a subscriber's callback.",
        tuple(ratios),
        (*(_table(words, one) for words, one in measured.items()), _beside(measured, whole, bare_ms, load)),
        (_spread(first.alarms),),
    )


def _table(words: str, measured: Measured) -> Table:
    alarms = measured.alarms
    columns = {name: [float(getattr(alarm, name)) for alarm in alarms] for name in Alarm._fields}
    columns |= {"whole": [one.whole for one in alarms], "whole without inference": [one.ours for one in alarms]}
    return Table(
        f"{words[0].upper()}{words[1:]}: {len(alarms)} alarms, ms",
        ("", "min", "p50", "p95", "max"),
        tuple((name, *percentiles(took, 0, 50, 95, 100)) for name, took in columns.items()),
    )


def _beside(measured: dict[str, Measured], whole: list[float], bare_ms: list[float], load: float) -> Table:
    rows = [(f"capture to PUBACK, {words}", *percentiles(one.acknowledged, 50, 95)) for words, one in measured.items()]
    rows.append((f"capture to PUBACK, the whole appliance, {FIRST}", *percentiles(whole, 50, 95)))
    rows += [(f"a bare message as large, {words}", *percentiles(one.bare, 50, 95)) for words, one in measured.items()]
    rows.append(("the bare model at standby pace, alone", *percentiles(bare_ms, 50, 95)))
    return Table(
        "Beside it, ms",
        ("", "p50", "p95"),
        tuple(rows),
        "The parts need the gateway's seat at the mailbox; the whole appliance has its gateway and tells only PUBACKs, "
        f"of {len(whole)} alarms. Bare: paho to paho over the same broker, once after each alarm, when inference is "
        f"done with a later frame. Load of the machine before all this: {load:.2f}.",
    )


def _spread(alarms: list[Alarm]) -> Plot:
    shares = np.linspace(1, 99, 50)
    names = ("capture", "wait", "decision", "publish")
    series = {name: [float(getattr(alarm, name)) for alarm in alarms] for name in names}
    series["all but inference"] = [alarm.ours for alarm in alarms]
    return Plot(
        f"Share of alarms whose part took no longer; {FIRST}",
        "ms",
        "% of alarms",
        {name: list(zip(percentiles(took, *shares), shares.tolist(), strict=True)) for name, took in series.items()},
    )


def _split(folder: Path, broker_port: int, confirm: int, count: int) -> Measured:
    """Measure the parts, with the stages that an alarm needs."""
    measured = Measured([], [], [])
    with doorstep.camera(folder) as source, contextlib.ExitStack() as closing:
        settings = _settings(folder, broker_port, source, confirm)
        ear = closing.enter_context(_ear(broker_port, settings))
        run_folder = RunFolder(settings["instance"])
        run_folder.create()
        closing.callback(run_folder.remove)
        watch = closing.enter_context(contextlib.closing(Watch(run_folder, CAMERA)))
        closing.enter_context(_stages(folder, settings))
        _settle(ear)
        while len(measured.alarms) < count:
            heard_ns, event = ear.next_entry()
            measured.alarms.append(Alarm.of(watch.passed(event["frame_number"]), event["latency_ms"], heard_ns))
            measured.acknowledged.append(ear.next_latency_ms())
            watch.wait_for_detections()
            measured.bare.append(ear.bare_ms(event["bytes"]))
    return measured


def _whole(folder: Path, broker_port: int, count: int) -> list[float]:
    """Return what the whole appliance says of itself: milliseconds from capture to PUBACK."""
    with doorstep.camera(folder) as source, contextlib.ExitStack() as closing:
        settings = _settings(folder, broker_port, source, CONFIRM[FIRST])
        ear = closing.enter_context(_ear(broker_port, settings))
        home = Appliance(folder, settings)
        home.start()
        closing.callback(home.close)
        _settle(ear)
        latencies: list[float] = []
        while len(latencies) < count:
            ear.next_entry()
            latencies.append(ear.next_latency_ms())
        return latencies


def _ear(broker_port: int, settings: dict[str, Any]) -> contextlib.closing[Ear]:
    return contextlib.closing(Ear(broker_port, f"{base_topic(settings['instance'])}/{CAMERA}"))


def _settle(ear: Ear) -> None:
    """Wait until events are told at once."""
    while ear.next("status")[1] != ONLINE.encode():
        pass
    time.sleep(SETTLED_S)
    ear.forget()


def _settings(folder: Path, broker_port: int, source: str, confirm: int) -> dict[str, Any]:
    """A household's settings; but people come back soon, and are to be believed gone before."""
    return {
        "instance": f"bench_{secrets.token_hex(4)}",
        "cameras": [{"id": CAMERA, "source": source, "standby_fps": STANDBY_FPS}],
        "model": {"path": str(MODEL), "backend": "onnxruntime", "threads": THREADS},
        "sentry": {"confirm_observations": confirm, "clear_seconds": 0.2, "clear_observations": 2},
        "mqtt": {"host": "127.0.0.1", "port": broker_port},
        "state_dir": str(folder / "state"),
    }


@contextlib.contextmanager
def _stages(folder: Path, settings: dict[str, Any]) -> Iterator[None]:
    """Each stage as k3s starts it, all but the gateway."""
    path = folder / "stages.yaml"
    path.write_text(yaml.safe_dump(settings))
    started: list[subprocess.Popen[bytes]] = []
    try:
        with (folder / "stages.log").open("ab") as log:
            for name in STAGES:
                command = [sys.executable, "-m", "appliance.cli", "stage", name, "--config", str(path)]
                started.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT))
        yield
    finally:
        for stage in started:
            stage.terminate()
        for stage in started:
            stage.wait(20)


def _bare_model(rounds: int) -> list[float]:
    """Return what the model alone takes, in milliseconds, as seldom as at standby."""
    detector = open_backend("onnxruntime", MODEL, None, THREADS)
    detector.take(golden_frame())
    took = []
    for _ in range(rounds):
        time.sleep(1 / STANDBY_FPS)
        began_ns = time.monotonic_ns()
        detector.detect()
        took.append((time.monotonic_ns() - began_ns) / 1e6)
    return took
