"""Chapter: what telemetry costs: a build without its calls, switched off, sampling, delivering everything."""

from __future__ import annotations

import ast
import contextlib
import itertools
import os
import secrets
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from appliance.ipc.heartbeat import HeartbeatFile, fresh_heartbeats
from appliance.ipc.run_folder import RunFolder
from appliance.messages import NO_TRACE, TraceContext
from appliance.stage import Pulse
from appliance.telemetry import Tracer
from appliance.telemetry.tracing import NO_PARENT, OFF, REMEMBERED_MOST
from tests.benchmarks import doorstep
from tests.benchmarks.processes import usage
from tests.benchmarks.report import Chapter, Plot, Ratio, Table
from tests.benchmarks.timing import alternate, seconds_each
from tests.end_to_end.receiver import grpc_receiver
from tests.rig import CLIP, ROOT, SHARED, Appliance, Broker, need, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.end_to_end.receiver import Receiver

CAMERA = "porch"
FPS = 10.0
MODEL = SHARED / "models" / "deimv2_atto_rfdetr_contract_320.onnx"
STAGES = ("supervisor", "capture", f"capture.{CAMERA}", "inference", "controller", "gateway")
START_S = 60.0
SETTLED_S = 4.0
"""After the camera is seen: what loads in threads of its own has loaded."""
QUICK, WHOLE = (2, 4.0), (6, 20.0)
"""Rounds, and seconds of each variant in each."""
LIMIT = 1.02
PACKAGES = ("appliance", "ha_discovery")
NOTED = {"tracer": {"span", "leaf", "keep"}, "pulse": {"tally", "count"}}
"""Calls without a result, by whose they are."""
NOTHING = "_no_trace_without_the_calls"
WITHOUT, PLAIN, AGAIN, SAMPLING, ALL = "without the calls", "off", "off, again", "on, sampling", "on, everything"


class Variant(NamedTuple):
    name: str
    root: Path
    telemetry: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one run of one variant."""

    cpu_ms: dict[str, float]
    """By stage: milliseconds of processor time for each frame that inference was given."""
    frames: int
    spans: int
    pss: int

    @property
    def whole_ms(self) -> float:
        return sum(self.cpu_ms.values())


def run(folder: Path, quick: bool) -> Chapter:
    """Return the chapter. It needs mosquitto, and the clip and the atto model of ../shared."""
    need(CLIP, MODEL)
    rounds, seconds = QUICK if quick else WHOLE
    doorstep.paint(folder)
    taken_out = copy(folder / "without", strip=True)
    copy(folder / "whole", strip=False)
    load = os.getloadavg()[0]
    broker = Broker(folder)
    broker.start()
    try:
        with grpc_receiver() as receiver, doorstep.camera(folder) as source:
            house = House(folder, broker.port, source, receiver, seconds)
            measured = _interleaved(house, _variants(folder, receiver.url), rounds)
    finally:
        broker.stop()
    return _chapter(measured, taken_out, seconds, load, _microbenchmarks(folder, 10 if quick else 50))


def _variants(folder: Path, url: str) -> list[Variant]:
    on = {"otlp_endpoint": url, "otlp_protocol": "grpc"}
    whole = folder / "whole"
    return [
        Variant(WITHOUT, folder / "without", {}),
        Variant(PLAIN, whole, {}),
        Variant(SAMPLING, whole, on),
        Variant(ALL, whole, {**on, "trace_share": 1.0}),
        Variant(AGAIN, whole, {}),
    ]


def _interleaved(house: House, variants: list[Variant], rounds: int) -> dict[str, list[Measured]]:
    """There and back, so that what drifts meets all alike."""
    measured: dict[str, list[Measured]] = {variant.name: [] for variant in variants}
    for number in range(rounds):
        for variant in variants if number % 2 == 0 else variants[::-1]:
            measured[variant.name].append(house.measure(variant, f"{number}-{len(measured[variant.name])}"))
    return measured


@dataclass(slots=True)
class Build(Appliance):
    """The appliance out of a folder of its own."""

    root: Path = ROOT

    def start(self) -> None:
        self.config.write_text(yaml.safe_dump(self.settings))
        command = [sys.executable, "-m", "appliance.cli", "run", "--config", str(self.config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.root)


@dataclass(frozen=True, slots=True)
class House:
    """Where all variants run, one after the other."""

    folder: Path
    broker_port: int
    source: str
    receiver: Receiver
    seconds: float

    def measure(self, variant: Variant, number: str) -> Measured:
        """Run it, and return what its processes took once they had settled."""
        folder = self.folder / f"{variant.name}-{number}".replace(" ", "_").replace(",", "")
        folder.mkdir()
        with self._running(Build(folder, self._settings(folder, variant), root=variant.root)) as home:
            pids = {stage: home.pid_of(stage) for stage in STAGES[1:]}
            assert home.process is not None
            pids["supervisor"] = home.process.pid
            spans, (beat_ns, given) = len(self.receiver.spans), _frames(home)
            before, began = {stage: usage(pid).cpu_s for stage, pid in pids.items() if pid}, time.monotonic()
            time.sleep(self.seconds)
            after, took_s = {stage: usage(pid) for stage, pid in pids.items() if pid}, time.monotonic() - began
            last_ns, last = _frames(home)
            frames, spans = last - given, len(self.receiver.spans) - spans
        assert set(before) == set(STAGES), "a stage has died"
        if "trace_share" in variant.telemetry:
            assert spans > frames, "not everything was delivered"
        elif not variant.telemetry:
            assert spans == 0, "that is not off"
        # The figures are those of whole seconds, not of ours: so rates, not sums, are divided.
        per_s = frames / ((last_ns - beat_ns) / 1e9)
        cpu_ms = {stage: (after[stage].cpu_s - before[stage]) * 1000 / took_s / per_s for stage in STAGES}
        return Measured(cpu_ms, frames, spans, sum(one.pss for one in after.values()))

    @contextlib.contextmanager
    def _running(self, home: Build) -> Iterator[Build]:
        home.start()
        try:
            wait_for("the camera is seen", START_S, lambda: home.state() != "unknown")
            time.sleep(SETTLED_S)
            yield home
        finally:
            home.close()

    def _settings(self, folder: Path, variant: Variant) -> dict[str, Any]:
        """One pace whoever is there, so that frames are frames; people come and go, so that there are transitions."""
        return {
            "instance": f"bench_{secrets.token_hex(4)}",
            "cameras": [{"id": CAMERA, "source": self.source, "standby_fps": FPS, "alarmed_fps": FPS}],
            "model": {"path": str(MODEL), "backend": "onnxruntime", "threads": 1},
            "sentry": {"clear_seconds": 0.2, "clear_observations": 2},
            "mqtt": {"host": "127.0.0.1", "port": self.broker_port},
            "telemetry": variant.telemetry,
            "state_dir": str(folder / "state"),
        }


def _frames(home: Appliance) -> tuple[int, int]:
    """Return when, and how many frames inference had been given: by capture's figures, which every build has."""
    beat = fresh_heartbeats(RunFolder(home.instance))[f"capture.{CAMERA}"]
    return beat.beat_ns, int(beat.counters["frames_published"] - beat.counters["lost.inference"])


class Calls(NamedTuple):
    """What is called for each frame, in one stage. `work` is given the tracer."""

    words: str
    work: Callable[[Tracer], Callable[[], object]]


def _capture(tracer: Tracer) -> Callable[[], object]:
    def work() -> None:
        context = tracer.begin()
        if tracer.is_on:
            about: dict[str, Any] = {"camera": CAMERA, "frame_number": 1, "format": "jpeg", "width": 1280}
            tracer.span("capture", context, NO_PARENT, 1, 2, height=720, size=100_000, **about)

    return work


def _inference(tracer: Tracer) -> Callable[[], object]:
    contexts = _contexts(tracer)

    def work() -> None:
        above = next(contexts)
        span = tracer.beneath(above)
        if tracer.is_on:
            tracer.leaf("wait", above, 1, 2, consumer="inference")
            about: dict[str, Any] = {"frame_number": 1, "model": "atto", "backend": "onnxruntime", "detections": 3}
            tracer.span("inference", span, above.span_id, 1, 2, **about)
            tracer.leaf("decode", span, 1, 2, format="jpeg")
            tracer.leaf("detect", span, 1, 2)
            tracer.leaf("postprocess", span, 1, 2)

    return work


def _controller(tracer: Tracer) -> Callable[[], object]:
    contexts, transitions = _contexts(tracer), [_context() for _ in range(4)]

    def work() -> None:
        above = next(contexts)
        span = tracer.beneath(above)
        if tracer.is_on:
            tracer.leaf("wait", above, 1, 2, consumer="controller")
            about: dict[str, Any] = {"camera": CAMERA, "frame_number": 1, "state": "standby", "persons": 0}
            tracer.span("decision", span, above.span_id, 1, 2, confidence=0.0, incident="", **about)
            tracer.keep(transitions)

    return work


def _contexts(tracer: Tracer) -> Iterator[TraceContext]:
    """What rides in the slots, without end: more of them than are remembered."""
    return itertools.cycle([_context() for _ in range(2 * REMEMBERED_MOST)] if tracer.is_on else [NO_TRACE])


def _context() -> TraceContext:
    return TraceContext.of(secrets.token_bytes(16), secrets.token_bytes(8), 0)


FRAME = (Calls("capture", _capture), Calls("inference", _inference), Calls("controller", _controller))


def _microbenchmarks(folder: Path, rounds: int) -> Table:
    """Return what the calls of one frame take, in nanoseconds."""
    times, rows = 500, []
    for calls in FRAME:
        on = seconds_each(calls.work(Tracer(lambda _span: None)), times)
        pair = alternate(on, seconds_each(calls.work(OFF), times), rounds)
        rows.append((f"trace of {calls.words}", pair.reference * 1e9, pair.ours * 1e9))
    rows.append(("together", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    home = RunFolder(f"bench_{folder.name.replace('-', '_').lower()}")
    home.create()
    try:
        pulse = Pulse(HeartbeatFile(home, "bench"), "bench")
        tally = seconds_each(lambda: pulse.tally("inference_seconds.porch", 0.02), times)
        count = seconds_each(lambda: pulse.count("frames_inferred.porch"), times)
        pair = alternate(tally, count, rounds)
    finally:
        home.remove()
    rows.append(("one value into a histogram (3 a frame)", pair.ours * 1e9, pair.ours * 1e9))
    rows.append(("one more in a counter (2 a frame)", pair.reference * 1e9, pair.reference * 1e9))
    return Table(
        "The calls of one frame, ns",
        ("", "off", "on"),
        tuple(rows),
        "On: remembered, and forgotten when newer ones come. Figures are counted whether or not anybody is told.",
    )


def _chapter(measured: dict[str, list[Measured]], taken_out: int, seconds: float, load: float, calls: Table) -> Chapter:
    rounds = len(measured[PLAIN])

    def ratios(ours: str, reference: str) -> list[float]:
        pairs = zip(measured[ours], measured[reference], strict=True)
        return [one.whole_ms / other.whole_ms for one, other in pairs]

    noise = ratios(AGAIN, PLAIN)
    return Chapter(
        "Telemetry: what it costs",
        f"The whole appliance, an MJPEG camera of {doorstep.SIZE[0]}x{doorstep.SIZE[1]} at {FPS:g} pictures a second "
        "before which somebody comes and goes, the atto stand-in model on one thread, mosquitto, and a collector on "
        f"OpenTelemetry's own classes by gRPC. {rounds} rounds of {seconds:g} s, each variant in each, there and back. "
        f"Without the calls: a copy of the package out of whose syntax trees {taken_out} calls of tracer and figures "
        "were taken. The same build runs twice in each round: what lies between the two is noise. Ratios are medians "
        "of the rounds' own.",
        (
            Ratio("processor time per frame: off : without the calls", median(ratios(PLAIN, WITHOUT)), LIMIT),
            Ratio("on, transitions delivered : off", median(ratios(SAMPLING, PLAIN)), LIMIT),
            Ratio("on, every frame delivered : off", median(ratios(ALL, PLAIN))),
            Ratio("off, again : off: noise, median", median(noise)),
            Ratio("noise, the round farthest from 1", max(noise, key=lambda ratio: abs(ratio - 1))),
        ),
        (
            Table(
                "Processor time per frame, ms, of all processes",
                ("", "min", "median", "max", "frames", "spans", "PSS, MB"),
                tuple(_row(name, runs) for name, runs in measured.items()),
                f"Load of the machine before: {load:.2f}.",
            ),
            Table(
                "By process, medians, ms per frame",
                ("", *STAGES),
                tuple(
                    (name, *(median(one.cpu_ms[stage] for one in runs) for stage in STAGES))
                    for name, runs in measured.items()
                ),
            ),
            calls,
        ),
        (
            Plot(
                "Processor time per frame",
                "round",
                "ms",
                {
                    name: [(number + 1, one.whole_ms) for number, one in enumerate(runs)]
                    for name, runs in measured.items()
                },
            ),
        ),
    )


def _row(name: str, runs: list[Measured]) -> tuple[object, ...]:
    whole = [one.whole_ms for one in runs]
    frames, spans = sum(one.frames for one in runs), sum(one.spans for one in runs)
    return (name, min(whole), median(whole), max(whole), frames, spans, median(one.pss for one in runs) / 1e6)


def copy(folder: Path, *, strip: bool) -> int:
    """Copy the packages to there; return how many of telemetry's calls were taken out on the way."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name)
    return sum(_strip(path) for path in sorted((folder / "appliance").rglob("*.py"))) if strip else 0


def _strip(path: Path) -> int:
    without = _Without()
    tree = without.visit(ast.parse(path.read_text()))
    if without.taken_out:
        line = ast.parse(f"from appliance.messages import NO_TRACE as {NOTHING}").body
        future = max(
            (place for place, node in enumerate(tree.body) if getattr(node, "module", "") == "__future__"), default=0
        )
        tree.body[future + 1 : future + 1] = line
        path.write_text(ast.unparse(ast.fix_missing_locations(tree)))
    return without.taken_out


class _Without(ast.NodeTransformer):
    """`tracer.is_on` becomes False, whose branches the compiler leaves out; `begin` gives no trace, `beneath` what it
    was given; whatever only notes something is nothing.
    """

    def __init__(self) -> None:
        self.taken_out = 0

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        return self._instead(node, ast.Constant(value=False)) if _is_of(node, "tracer", {"is_on"}) else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if _is_of(node.func, "tracer", {"beneath"}):
            return self._instead(node, node.args[0])
        if _is_of(node.func, "tracer", {"begin"}):
            return self._instead(node, ast.Name(id=NOTHING, ctx=ast.Load()))
        if any(_is_of(node.func, whose, names) for whose, names in NOTED.items()):
            return self._instead(node, ast.Constant(value=None))
        return node

    def _instead(self, node: ast.expr, other: ast.expr) -> ast.expr:
        self.taken_out += 1
        return ast.copy_location(other, node)


def _is_of(node: ast.AST, whose: str, names: set[str]) -> bool:
    """Whether this is `tracer.name`, `self._tracer.name`, `context.tracer.name`."""
    if not isinstance(node, ast.Attribute) or node.attr not in names:
        return False
    owner = node.value
    word = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
    return word.lstrip("_") == whose
