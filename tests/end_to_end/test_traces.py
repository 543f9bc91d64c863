"""Why did it ring, and why so late: one trace from the camera's frame to the broker's answer, over four processes."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest

from tests.end_to_end.receiver import PROTOCOLS, Receiver, Seen
from tests.rig import CLIP, MODEL, Appliance, Broker, Ear, clip_settings, need, wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

Start = Callable[[dict[str, Any]], Appliance]
Figure = Callable[[str, str], None]
STAGES = {"capture", "inference", "controller", "gateway"}
ABOVE = {
    "capture": None,
    "inference": "capture",
    "decode": "inference",
    "detect": "inference",
    "postprocess": "inference",
    "decision": "inference",
    "publish": "decision",
    "encode": "capture",
}
"""The span above each; what waits has three that it can be under."""
WAITS = {"inference": "capture", "gateway": "capture", "controller": "inference"}
IN_ORDER = ("capture", "decode", "detect", "postprocess", "decision")
"""Each begins when the one before it has ended, whatever process they are of."""


@pytest.fixture(params=sorted(PROTOCOLS))
def collector(request: pytest.FixtureRequest) -> Iterator[tuple[str, Receiver]]:
    with PROTOCOLS[request.param]() as receiver:
        yield request.param, receiver


@pytest.fixture
def watching() -> Iterator[Callable[[str], None]]:
    """Somebody looks at the live picture: only then has the gateway anything to do with a frame."""
    stop = threading.Event()
    threads: list[threading.Thread] = []

    async def watch(url: str) -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws", max_msg_size=0) as socket:
            while not stop.is_set():
                await asyncio.wait_for(socket.receive(), 30)

    def start(url: str) -> None:
        threads.append(threading.Thread(target=lambda: asyncio.run(watch(url))))
        threads[-1].start()

    yield start
    stop.set()
    for thread in threads:
        thread.join(35)


def test_a_transition_is_one_whole_trace_of_all_four_stages(
    broker: Broker,
    ear: Ear,
    appliance: Start,
    collector: tuple[str, Receiver],
    watching: Callable[[str], None],
    figure: Figure,
) -> None:
    need(CLIP, MODEL)
    protocol, receiver = collector
    telemetry = {
        "otlp_endpoint": receiver.url,
        "otlp_protocol": protocol,
        "otlp_headers": "x-tenant=home,authorization=Bearer of good news",
        "trace_url": "http://jaeger.example/trace/{trace_id}",
    }
    porch = appliance(clip_settings(broker.port, f"file://{CLIP}", telemetry=telemetry))
    wait_for("the clip has begun", 30, lambda: "I420" in porch.log_text())
    watching(porch.url)
    wait_for("somebody came", 40, lambda: ear.all("/front_door/event"))
    event = ear.all("/front_door/event")[0].json()
    trace_id = event["trace_id"]

    wait_for("its trace", 20, lambda: {span.stage for span in receiver.trace(trace_id)} >= STAGES)
    wait_for("all of it", 10, lambda: {span.name for span in receiver.trace(trace_id)} >= set(ABOVE))
    spans = receiver.trace(trace_id)
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans), "no span came twice"
    for span in spans:
        above = WAITS[span.attributes["porchlight.consumer"]] if span.name == "wait" else ABOVE[span.name]
        assert (by_id[span.parent].name if span.parent else None) == above, span
        assert span.start_ns <= span.end_ns, span
        if span.parent:
            assert span.start_ns >= by_id[span.parent].start_ns, span
    line = [next(span for span in spans if span.name == name) for name in IN_ORDER]
    assert all(before.end_ns <= after.start_ns for before, after in itertools.pairwise(line)), line
    assert line[0].attributes["porchlight.frame_number"] == event["frame_number"]
    assert _one(spans, "decision").attributes["porchlight.incident"] == event["incident"]
    publish = _one(spans, "publish")
    assert publish.attributes["messaging.destination.name"].endswith("/front_door/event")
    assert all(headers["x-tenant"] == "home" for headers in receiver.headers)
    figure(
        f"trace of an entry by {protocol}, ms",
        ", ".join(f"{span.name} {(span.end_ns - span.start_ns) / 1e6:.1f}" for span in line)
        + f"; whole {(publish.end_ns - line[0].start_ns) / 1e6:.1f}",
    )

    # Its way into everything else that names it.
    transitions = porch.status()["cameras"][0]["transitions"]
    assert trace_id in {change["trace_id"] for change in transitions}
    assert porch.status()["trace_url"].endswith("{trace_id}")
    assert f"trace {trace_id}" in porch.log_text()
    assert "good news" not in porch.log_text()

    # And nothing of frames that decided nothing: each trace that came is of some transition.
    decided = {change["trace_id"] for change in transitions}
    assert {span.trace_id for span in receiver.spans} <= decided


def _one(spans: list[Seen], name: str) -> Seen:
    found = [span for span in spans if span.name == name]
    assert len(found) == 1, found
    return found[0]
