"""`porchlight demo`: the whole appliance on a painted porch, with a broker of its own, telling what happens.

Nothing here stands in for the real thing: the same stages run, with settings that need no camera, model or broker.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import logging
import socket
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from appliance.inference.demo import PORCH_DEMO
from appliance.mqtt import base_topic

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from appliance.config import Settings

INSTANCE = "demo"
CAMERA = "porch"
SCENE = "synthetic://porch?seed=12&hour=19&fps=12&people_per_minute=3"
"""Dusk; the first visitor comes within seconds and is gone within the half minute, so a minute shows a whole visit."""
FAVOURITE_PORT = 18883
_ARROW = "→"


_KNOWN = {"backend": "onnxruntime", "threads": 1}
"""The demo's detector takes 3 ms on one core: there is nothing to try, and nobody should wait for it."""


def settings_of(options: argparse.Namespace, broker_port: int | None) -> dict[str, Any]:
    """Return the demo's settings, as config.yaml would have them."""
    source = options.camera or (f"file://{options.clip}?loop=true" if options.clip else SCENE)
    settings: dict[str, Any] = {
        "instance": INSTANCE,
        "cameras": [{"id": CAMERA, "name": "Porch", "source": source}],
        "model": {"path": str(options.model)} if options.model else {"path": str(PORCH_DEMO), **_KNOWN},
        "gateway": {"port": options.port},
        "telemetry": {"log_level": "warning"},
    }
    if broker_port is not None:
        # amqtt knows nothing newer, and does not say so.
        settings["mqtt"] = {"host": "127.0.0.1", "port": broker_port, "protocol": "3.1.1"}
    return settings


@contextlib.contextmanager
def settings_file(settings: Mapping[str, Any]) -> Iterator[Path]:
    """A file with the settings, for the stages to read, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="porchlight-demo-") as folder:
        path = Path(folder) / "settings.yaml"
        path.write_text(yaml.safe_dump({"state_dir": f"{folder}/state", **settings}))
        yield path


@contextlib.contextmanager
def embedded_broker() -> Iterator[int]:
    """An MQTT broker in a thread of this process (amqtt), on loopback; yields its port.

    ModuleNotFoundError: amqtt is not installed (it comes with the `demo` extra).
    """
    from amqtt.broker import Broker  # an extra: only a demo without a broker needs it

    for chatty in ("amqtt", "transitions"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
    port = _free_port()
    config = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="broker", daemon=True)
    thread.start()

    def run(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(10)

    async def make() -> Broker:
        broker = Broker(config)
        await broker.start()
        return broker

    async def cancel_the_rest() -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    broker = run(make())
    try:
        yield port
    finally:
        for leave in (broker.shutdown, cancel_the_rest):
            with contextlib.suppress(Exception):  # whatever amqtt cannot end, the process's end does
                run(leave())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        if not thread.is_alive():
            loop.close()


def banner(settings: Settings, *, embedded: bool) -> str:
    """Return what a newcomer reads first."""
    gateway, mqtt, camera = settings.gateway, settings.mqtt, settings.cameras[0]
    listen = f"mosquitto_sub -p {mqtt.port} -t 'porchlight/demo/#' -v -T '+/+/+/camera'"
    whose = f"built in; try: {listen}" if embedded else "yours"
    demo_model = settings.model.path == PORCH_DEMO
    model = "porch_demo.onnx: knows only the demo scene" if demo_model else str(settings.model.path)
    return f"""
Porchlight demo

  live view   http://{gateway.host}:{gateway.port}/
  MQTT        {mqtt.host}:{mqtt.port} ({whose})
  camera      {camera.source if camera.source.startswith("synthetic:") else "yours"}
  detector    {model}

Starting (a few seconds). Each change of the sentry is told below; Ctrl-C stops.
"""


@dataclass
class Narrator:
    """Hears the appliance's own MQTT messages and prints each transition and event as it happens."""

    settings: Settings
    states: list[str] = field(default_factory=list)
    events: int = 0
    watching: bool = False

    def __post_init__(self) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2)
        mqtt = self.settings.mqtt
        if mqtt.username is not None:
            password = mqtt.password.get_secret_value() if mqtt.password is not None else None
            self._client.username_pw_set(mqtt.username, password)
        self._base = f"{base_topic(self.settings.instance)}/{CAMERA}"
        self._client.on_connect = lambda client, *_: client.subscribe([(f"{self._base}/{t}", 1) for t in _TOPICS])
        self._client.on_message = lambda _c, _u, message: self._tell(message)

    def start(self) -> None:
        self._client.connect_async(self.settings.mqtt.host, self.settings.mqtt.port)
        self._client.loop_start()

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def rounds(self) -> int:
        """Full rounds: standby, validation, tracking, and standby again."""
        path = ["standby", "validation", "tracking", "standby"]
        return sum(self.states[i : i + len(path)] == path for i in range(len(self.states)))

    def _tell(self, message: MQTTMessage) -> None:
        text = message.payload.decode(errors="replace")
        what = message.topic.rsplit("/", 1)[1]
        if what == "status":
            if text == "online" or self.watching:
                self.watching = text == "online"
                say("watching" if self.watching else "cannot see any more")
        elif what == "event":
            event = json.loads(text)
            self.events += 1
            say(f"MQTT event {event['event_type']} on {message.topic}")
        elif not message.retain:
            self._tell_state(json.loads(text))

    def _tell_state(self, state: dict[str, Any]) -> None:
        if not self.states:
            self.states.append(state.get("previous_state") or state["state"])
        if state["state"] == self.states[-1]:
            return
        line = f"{self.states[-1]} {_ARROW} {state['state']}"
        self.states.append(state["state"])
        facts = []
        if "timestamp" in state:
            pictured = dt.datetime.fromisoformat(state["timestamp"]).astimezone()
            facts.append(f"picture of {pictured:%H:%M:%S.%f}"[:-3])
        if state.get("latency_ms") is not None:
            facts.append(f"{state['latency_ms']:.0f} ms later")
        if "confidence" in state:
            facts.append(f"{state['confidence']:.0%}")
        say(f"{line:<24}  {', '.join(facts)}")


_TOPICS = ("state", "event", "status")


def say(line: str) -> None:
    """Print a line with the time of day, at once."""
    print(f"{dt.datetime.now().astimezone():%H:%M:%S}  {line}", flush=True)


def _free_port() -> int:
    for port in (FAVOURITE_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise OSError("no free port on loopback")
