"""Where the bench hears an alarm go by: the mailbox, from a seat of its own, and the broker, as any subscriber does."""

from __future__ import annotations

import contextlib
import itertools
import json
import queue
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from appliance.controller.discovery.household import ENTERED
from appliance.ipc.mailbox import subscribe_detections, subscribe_frames
from tests.rig import wait_for

if TYPE_CHECKING:
    from appliance.ipc.run_folder import RunFolder

SEAT = "gateway"
"""The bench sits in the gateway's place: a channel has no seat for a stranger."""
BARE_TOPIC = "bench/bare"
PATIENCE_S = 60.0
ACKNOWLEDGED_S = 0.5


class Passed(NamedTuple):
    """A frame that came by: three moments (CLOCK_MONOTONIC), and how long inference took; in nanoseconds."""

    captured: int
    seen: int
    found: int
    inference: int


class Alarm(NamedTuple):
    """One alarm's way in milliseconds, part after part: they add up to the whole."""

    capture: float
    wait: float
    inference: float
    decision: float
    publish: float

    @classmethod
    def of(cls, frame: Passed, decided_after_ms: float, heard_ns: int) -> Alarm:
        """Split the way. On a busy machine the watch wakes later than the stage that is next: then that one's own time
        counts, for it cannot have begun before what it worked on was there.
        """
        decided = frame.captured + round(decided_after_ms * 1e6)
        found = min(frame.found, decided)
        taken = found - frame.inference
        way = (frame.captured, min(frame.seen, taken), taken, found, decided, heard_ns)
        return cls(*((end - begin) / 1e6 for begin, end in itertools.pairwise(way)))

    @property
    def whole(self) -> float:
        return sum(self)

    @property
    def ours(self) -> float:
        """Everything but inference."""
        return self.whole - self.inference


class Watch:
    """Sits at the mailbox and notes when each frame, and what was found in it, could be taken (CLOCK_MONOTONIC)."""

    def __init__(self, folder: RunFolder, camera: str) -> None:
        self._frames_seen: dict[int, tuple[int, int]] = {}
        """By frame number: captured, seen."""
        self._found: dict[int, tuple[int, int]] = {}
        """By frame number: seen, and how long inference took, in ns."""
        self._news = threading.Event()
        self._frames = subscribe_frames(folder, camera, SEAT)
        self._detections = subscribe_detections(folder, camera, SEAT)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def passed(self, frame_number: int) -> Passed:
        """Return how a frame came by. It may have to be waited for: others may be woken before this one is."""
        seen = wait_for("its detections are seen", PATIENCE_S, lambda: self._found.get(frame_number))
        return Passed(*self._frames_seen[frame_number], *seen)

    def wait_for_detections(self) -> None:
        """Wait until those of one more frame are out."""
        self._news.clear()
        assert self._news.wait(PATIENCE_S), "nothing comes through the mailbox"

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._frames.close()
        self._detections.close()

    def _serve(self) -> None:
        poller = select.poll()
        for end in (self._frames, self._detections):
            poller.register(end.fileno(), select.POLLIN)
        while not self._stop.is_set():
            ready = {fd for fd, _ in poller.poll(200)}
            now_ns = time.monotonic_ns()
            if self._detections.fileno() in ready and (detections := self._detections.take()) is not None:
                self._found[detections.frame.frame_number] = now_ns, detections.infer_ns
                self._news.set()
            if self._frames.fileno() in ready and (loan := self._frames.receive()) is not None:
                with loan as frame:
                    self._frames_seen[frame.info.frame_number] = frame.info.captured_ns, now_ns


class Ear:
    """A subscriber that notes when its callback was called; and a client beside it that sends bare messages."""

    def __init__(self, port: int, camera_topic: str) -> None:
        self._said: dict[str, queue.SimpleQueue[tuple[int, bytes]]] = {}
        topics = {what: f"{camera_topic}/{what}" for what in ("event", "latency", "status")}
        for topic in (*topics.values(), BARE_TOPIC):
            self._said[topic] = queue.SimpleQueue()
        self._topics = topics
        self._latency_ms: float | None = None
        subscribed, connected = threading.Event(), threading.Event()
        self._clients = [Client(CallbackAPIVersion.VERSION2) for _ in range(2)]
        ear, self._mouth = self._clients
        ear.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in self._said])
        ear.on_subscribe = lambda *_: subscribed.set()
        ear.on_message = self._hear
        self._mouth.on_connect = lambda *_: connected.set()
        for client in self._clients:
            client.on_socket_open = _without_delay
            client.connect("127.0.0.1", port)
            client.loop_start()
        assert subscribed.wait(10), "the broker does not answer"
        assert connected.wait(10), "the broker does not answer"

    def next(self, what: str) -> tuple[int, bytes]:
        """Wait for a message of the camera; return when it was heard, and its payload. queue.Empty: none came."""
        return self._said[self._topics[what]].get(timeout=PATIENCE_S)

    def next_entry(self) -> tuple[int, dict[str, Any]]:
        """Wait for somebody to come in; return when it was heard, and the event, with its size as `bytes`."""
        while True:
            heard_ns, payload = self.next("event")
            event = json.loads(payload)
            if event["event_type"] == ENTERED:
                return heard_ns, event | {"bytes": len(payload)}

    def next_latency_ms(self) -> float:
        """Return the controller's word of how long the newest alarm took until the broker's PUBACK.

        It is a fact, and not said again where it is the same as before: one in some hundred times.
        """
        patience_s = PATIENCE_S if self._latency_ms is None else ACKNOWLEDGED_S  # the first is always said
        with contextlib.suppress(queue.Empty):
            _, said = self._said[self._topics["latency"]].get(timeout=patience_s)
            self._latency_ms = float(json.loads(said)["last"])
        assert self._latency_ms is not None, "the controller does not say how long its alarms take"
        return self._latency_ms

    def forget(self) -> None:
        for said in self._said.values():
            while not said.empty():
                said.get()

    def bare_ms(self, size: int) -> float:
        """Return what a message of so many bytes takes from `publish` to the subscriber's callback."""
        payload = bytes(size)
        began_ns = time.monotonic_ns()
        self._mouth.publish(BARE_TOPIC, payload, qos=1)
        heard_ns, _ = self._said[BARE_TOPIC].get(timeout=10)
        return (heard_ns - began_ns) / 1e6

    def close(self) -> None:
        for client in self._clients:
            client.disconnect()
            client.loop_stop()

    def _hear(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self._said[message.topic].put((time.monotonic_ns(), bytes(message.payload)))


def _without_delay(_client: Client, _data: object, sock: Any) -> None:
    """As the appliance's own connection does."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
