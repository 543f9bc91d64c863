"""Runs the appliance, or one stage of it, in the foreground."""

from __future__ import annotations

import functools
import logging
import os
import threading
from typing import TYPE_CHECKING

from appliance import __version__, needs, restart
from appliance.config import Watch
from appliance.edits import Edits
from appliance.ipc.errors import IpcError
from appliance.ipc.heartbeat import HeartbeatFile
from appliance.ipc.run_folder import RunFolder
from appliance.roster import Roster
from appliance.stage import (
    Pulse,
    StageContext,
    StageRefusedError,
    Watchdog,
    leave_last_words,
    stop_on_signals,
    stop_with_supervisor,
)
from appliance.supervisor import NESTED_STOP_PATIENCE_S, STOP_PATIENCE_S, Child, Supervisor
from appliance.telemetry import Tracer, set_up_logs
from appliance.telemetry.collector import collector, share
from appliance.telemetry.delivery import Delivery
from appliance.telemetry.tracing import OFF

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.config import Camera, Settings

STAGES = ("inference", "gateway", "controller", "capture")
FIRST = ("inference", "gateway")
"""These can be refused (a model, a taken port): they must be up before anything else starts."""

log = logging.getLogger(__name__)


def run(config: Path, settings: Settings, exit_after_s: float | None = None) -> None:
    """Run all stages, each a child of ours, until told to stop; nothing is left behind."""
    set_up_logs("porchlight", settings.telemetry.log_level, settings.telemetry.log_format)
    folder = RunFolder(settings.instance)
    folder.claim()
    try:
        need = needs.shared_memory(settings.cameras)
        folder.demand_room(need.start + need.renewal)
        context = _context("supervisor", settings, folder, supervised=False)
        log.info("porchlight %s, instance %s: watching %s", __version__, settings.instance, names(settings))
        if (to := collector(settings, os.environ)) is not None:
            log.info("traces and metrics go to %s", to.told)
        edits = Edits(config, settings, folder, os.environ)
        supervisor = _supervisor(context)
        for name in STAGES:
            supervisor.add(Child(name, ("stage", name, "--config", str(edits.copy))))
        if exit_after_s is not None:
            timer = threading.Timer(exit_after_s, context.stop.set)
            timer.daemon = True
            timer.start()

        def look() -> None:
            edits.look(supervisor)
            if restart.is_asked(folder):
                for name in STAGES:
                    supervisor.renew(name)

        supervisor.run(FIRST, at_each_look=look)
    finally:
        folder.remove()
    log.info("stopped")


def run_stage(stage: str, config: Path, settings: Settings, camera_id: str | None, *, supervised: bool) -> None:
    """Run one stage, or one camera's process of the capture stage, until told to stop.

    StageRefusedError: it cannot run with these settings; IpcError: with this machine, as it is.
    """
    camera = next((camera for camera in settings.cameras if camera.id == camera_id), None)
    if camera_id is not None and (camera is None or stage != "capture"):
        raise StageRefusedError(f"--camera {camera_id}: for stage capture, one of {names(settings)}")
    name = stage if camera is None else f"capture.{camera.id}"
    set_up_logs(name, settings.telemetry.log_level, settings.telemetry.log_format)
    folder = RunFolder(settings.instance)
    folder.create()
    watch = Watch(config, os.environ) if camera is None else None
    to = collector(settings, os.environ)
    delivery = Delivery(to, settings, name, os.environ) if to is not None and name != "capture" else None
    tracer = Tracer(delivery, share(settings, os.environ))
    context = _context(name, settings, folder, supervised=supervised, watch=watch, tracer=tracer)
    if delivery is not None:
        context.pulse.counters["spans_lost"] = 0
        delivery.on_lost = functools.partial(context.pulse.counters.__setitem__, "spans_lost")
    try:
        _work(stage, config, context, camera)
    except (StageRefusedError, IpcError) as error:
        leave_last_words(folder, name, str(error))
        raise
    finally:
        if delivery is not None:
            delivery.close()
        context.pulse.file.remove()


def _work(stage: str, config: Path, context: StageContext, camera: Camera | None) -> None:
    """Run a stage's service. Each is imported here, so that a process loads only its own stage's libraries."""
    if stage == "inference":
        from appliance.inference import service as inference

        inference.run(context)
    elif stage == "controller":
        from appliance.controller import service as controller

        controller.run(context)
    elif stage == "gateway":
        from appliance.gateway import service as gateway

        gateway.run(context)
    elif camera is not None:
        from appliance.capture import service as capture

        capture.run(context, camera)
    else:
        _supervise_cameras(config, context)


def _supervise_cameras(config: Path, context: StageContext) -> None:
    """The capture stage: a process for each camera, as the settings name them."""
    supervisor = _supervisor(context, NESTED_STOP_PATIENCE_S)

    def started(camera: Camera) -> Child:
        arguments = ("stage", "capture", "--config", str(config), "--camera", camera.id)
        child = Child(f"capture.{camera.id}", arguments)
        supervisor.add(child)
        return child

    children = Roster(started, supervisor.drop)
    children.follow(context.settings.cameras)

    def follow_settings() -> None:
        if (edited := context.edited()) is not None:
            children.follow(edited.cameras)

    supervisor.run(at_each_look=follow_settings)


def _context(
    name: str,
    settings: Settings,
    folder: RunFolder,
    *,
    supervised: bool,
    watch: Watch | None = None,
    tracer: Tracer = OFF,
) -> StageContext:
    stop = stop_on_signals()
    if supervised:
        stop_with_supervisor(stop)
    pulse = Pulse(HeartbeatFile(folder, name), name)
    if name != "supervisor":  # whose end would be everybody's, also where it only waits for the owner's disk
        pulse.watchdog = Watchdog(folder.path / f"{name}.hung", settings.supervisor.silence_seconds)
    pulse.beat(now=True)
    return StageContext(settings, folder, pulse, stop, watch, tracer)


def _supervisor(context: StageContext, stop_patience_s: float = STOP_PATIENCE_S) -> Supervisor:
    settings = context.settings.supervisor
    return Supervisor(
        context,
        restart_most_s=settings.restart_seconds_max,
        silence_s=settings.silence_seconds,
        stop_patience_s=stop_patience_s,
    )


def names(settings: Settings) -> str:
    """Return the cameras' ids, for people."""
    return ", ".join(camera.id for camera in settings.cameras)
