"""The gateway's process: one asyncio loop for viewers, page and picture bridge."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from appliance.gateway.bridge import Bridge
from appliance.gateway.live import Live
from appliance.gateway.metrics import Reporter
from appliance.gateway.web import Web
from appliance.gateway.witness import Witness
from appliance.ipc.heartbeat import read_heartbeats
from appliance.messages import Health
from appliance.roster import Roster
from appliance.stage import StageRefusedError
from appliance.telemetry.collector import collector

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appliance.stage import StageContext

log = logging.getLogger(__name__)

BEAT_S = 0.5
SHUTDOWN_S = 1.0
PREDECESSOR_S = 3.0
"""How long a gateway that is just ending (its supervisor was killed, say) may still hold the port."""


def run(context: StageContext) -> None:
    """Serve until told to stop. StageRefusedError: the address cannot be listened on."""
    asyncio.run(_Gateway(context).serve())


class _Gateway:
    """The cameras' live pictures, the web server, and what goes to the broker and to a collector."""

    def __init__(self, context: StageContext) -> None:
        self._context = context
        self._lives: dict[str, Live] = {}
        self._roster = Roster(partial(Live.attached, context.folder, tracer=context.tracer), Live.close)

    async def serve(self) -> None:
        context, settings = self._context, self._context.settings
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(context.stop.fileno(), stopped.set)
        self._roster.follow(settings.cameras)
        self._lives.update(_by_id(self._roster))
        application = Web(settings, context.folder, self._lives).application()
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        bridge = Bridge(settings) if settings.mqtt.enabled else None
        witness = Witness(bridge.say_of_controller, loop.time()) if bridge is not None else None
        to = collector(settings, os.environ, "metrics")
        reporter = Reporter(to, settings, context.folder) if to is not None else None
        try:
            address = await _listen(runner, settings.gateway.host, settings.gateway.port)
            log.info("live view at %s", address)
            context.pulse.facts["address"] = address
            context.pulse.health = Health.RUNNING
            if bridge is not None:
                bridge.start()
                bridge.follow(self._roster)
            while not stopped.is_set():
                self._follow_settings(bridge)
                self._count(bridge)
                if witness is not None:
                    witness.look(read_heartbeats(context.folder), loop.time())
                context.pulse.beat()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopped.wait(), BEAT_S)
        finally:
            loop.remove_reader(context.stop.fileno())
            leaving = [asyncio.to_thread(reporter.close)] if reporter is not None else []
            await asyncio.gather(*leaving, *([bridge.stop()] if bridge is not None else []))
            await runner.cleanup()
            self._roster.close()

    def _follow_settings(self, bridge: Bridge | None) -> None:
        edited = self._context.edited()
        if not (self._roster.retry() if edited is None else self._roster.follow(edited.cameras)):
            return
        there = _by_id(self._roster)
        for gone in self._lives.keys() - there.keys():
            self._context.pulse.forget(gone)
        self._lives.clear()
        self._lives.update(there)
        if bridge is not None:
            bridge.follow(self._roster)

    def _count(self, bridge: Bridge | None) -> None:
        counters = self._context.pulse.counters
        counters.update({f"viewers.{name}": live.viewers for name, live in self._lives.items()})
        if bridge is not None:
            counters["mqtt_connected"], counters["mqtt_connections"] = bridge.connected, bridge.connections


def _by_id(lives: Iterable[Live]) -> dict[str, Live]:
    return {live.camera.id: live for live in lives}


async def _listen(runner: web.AppRunner, host: str, port: int) -> str:
    deadline = asyncio.get_running_loop().time() + PREDECESSOR_S
    while True:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
            break
        except OSError as error:
            await site.stop()
            if error.errno == errno.EADDRINUSE and asyncio.get_running_loop().time() < deadline:
                await asyncio.sleep(0.2)
                continue
            is_port = error.errno in (errno.EADDRINUSE, errno.EACCES)
            hint = "gateway.port, 0 finds a free one" if is_port else "gateway.host to an address of this machine"
            raise StageRefusedError(
                f"gateway: cannot listen on {host}:{port} ({error.strerror}); set {hint}"
            ) from error
    bound = runner.addresses[0][1]
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{bound}/"
