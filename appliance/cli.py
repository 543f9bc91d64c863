"""The command `porchlight`: run the appliance, run one stage, check the settings, examine the machine."""

from __future__ import annotations

import argparse
import contextlib
import functools
import getpass
import logging
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from appliance import __version__, health, needs, restart
from appliance.config import Camera, ConfigError, Settings, Watch, load
from appliance.edits import Edits
from appliance.inference.store import arguments as model_arguments
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
from appliance.supervisor import NESTED_STOP_PATIENCE_S, REFUSED, STOP_PATIENCE_S, Child, ChildRefusedError, Supervisor
from appliance.telemetry import Tracer, finish_logs, set_up_logs
from appliance.telemetry.collector import collector, share
from appliance.telemetry.delivery import Delivery, is_detained
from appliance.telemetry.tracing import OFF

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STAGES = ("inference", "gateway", "controller", "capture")
FIRST = ("inference", "gateway")
"""These can be refused (a model, a taken port): they must be up before anything else starts."""
FAILED = 1

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says. Return 0, 1 (failed) or 2 (refused: trying again changes nothing)."""
    options = _parser().parse_args(arguments)
    if options.command == "demo":
        return _demo(options)
    if options.command == "doctor":
        return _doctor(options)
    if options.command == "model":
        return _model(options)
    if options.command == "pin":
        return _pin()
    if options.command == "health":
        return health.tell(options.stage, options.instance)
    try:
        if options.command == "run" and "SUPERVISOR_TOKEN" in os.environ:
            options.config = _addon_settings(options.config)
        settings = load(options.config, os.environ)
    except (ConfigError, StageRefusedError) as error:
        print(error, file=sys.stderr)
        return REFUSED
    if options.command == "check":
        print(f"{options.config}: all settings are well; cameras: {_names(settings) or 'none yet'}")
        return 0
    if not settings.cameras:
        print(
            f"{options.config}: cameras: there is none to watch; add one, with an id and a source",
            file=sys.stderr,
        )
        return REFUSED
    return _guarded(lambda: _run(options, settings) if options.command == "run" else _stage(options, settings))


def _addon_settings(config: Path) -> Path:
    """Return the settings that the add-on's options make; StageRefusedError where they cannot be used."""
    from appliance import addon

    return addon.prepare(os.environ) if addon.is_here(os.environ) else config


def command() -> NoReturn:
    """Do what the command line says, and end the process: a collector that keeps a thread of ours does not keep it."""
    code = main()
    if is_detained():
        finish_logs()
        os._exit(code)
    sys.exit(code)


def _guarded(work: Callable[[], int]) -> int:
    """Do the work; turn what can go wrong on purpose into one line and an exit code."""
    try:
        return work()
    except ChildRefusedError as error:
        log.error("%s refused to start, so nothing was started", error)  # noqa: TRY400 -- the child has said why
        return REFUSED
    except StageRefusedError as error:
        log.error("%s", error)  # noqa: TRY400 -- its text says all; a traceback would hide it
        return REFUSED
    except IpcError as error:
        log.error("%s", error)  # noqa: TRY400 -- likewise
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="porchlight", description="Tells Home Assistant when somebody is there.")
    parser.add_argument("--version", action="version", version=f"porchlight {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("--config", type=Path, default=Path("config.yaml"), help="the settings (config.yaml)")
        return sub

    command("run", "Run the appliance: all stages, until Ctrl-C.")
    text = "Show it working: a painted porch, its own detector and MQTT broker, the live view."
    demo = commands.add_parser("demo", help=text, description=text)
    demo.add_argument("--exit-after", type=float, metavar="S", help="stop by itself after so many seconds")
    demo.add_argument("--port", type=int, default=8099, help="of the live view (8099; 0: any free one)")
    demo.add_argument("--clip", type=Path, metavar="FILE", help="your own footage instead of the painted porch")
    demo.add_argument("--camera", metavar="URL", help="another camera; needs --model")
    demo.add_argument("--model", type=Path, metavar="FILE", help="an RF-DETR model instead of the demo's own detector")
    command("check", "Check the settings and say what is wrong with them.")
    doctor = command("doctor", "Find out why it does not start, and what a killed one has left.")
    doctor.add_argument("--json", action="store_true", help="one JSON document instead of lines")
    _add_doctor_camera(doctor)
    doctor.add_argument("--sweep", action="store_true", help="first remove what killed instances have left")
    model_arguments.add(command)
    text = "Is it well? 0 if it is, else 1 and what is wrong; for HEALTHCHECK and probes."
    health.add_arguments(commands.add_parser("health", help=text, description=text))
    text = "Ask for a PIN and print its hash, for alarm.pin in the settings."
    commands.add_parser("pin", help=text, description=text)
    stage = command("stage", "Run one stage in the foreground, as a container of k3s does.")
    stage.add_argument("name", choices=STAGES)
    stage.add_argument("--camera", help="capture: only this camera's process")
    stage.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)
    return parser


def _add_doctor_camera(doctor: argparse.ArgumentParser) -> None:
    text = "Open one camera, say what it gives and what is wrong, and write one picture of it."
    of = doctor.add_subparsers(dest="of", metavar="camera URL").add_parser("camera", help=text, description=text)
    of.add_argument("url", metavar="URL", help="as in the settings: v4l2:///dev/video0, rtsp://..., http://...")
    of.add_argument("--seconds", type=float, default=5.0, help="how long to watch it (5)")
    of.add_argument("--picture", type=Path, default=Path("porchlight-camera.jpg"), metavar="FILE")
    of.add_argument("--json", action="store_true", help=argparse.SUPPRESS)


def _doctor(options: argparse.Namespace) -> int:
    """An examination of the machine or of a camera: 0, or 1 where it found a problem."""
    from appliance.doctor import command

    if options.of == "camera":
        return command.run_camera(options.url, seconds=options.seconds, picture=options.picture, as_json=options.json)
    return command.run(options.config, os.environ, sweep=options.sweep, as_json=options.json)


def _model(options: argparse.Namespace) -> int:
    """The models' store: 0, or 1 (failed), or 2 (refused)."""
    from appliance.inference.store import command

    return command.run(options, os.environ)


def _pin() -> int:
    """The hash of a PIN that is typed unseen, or comes on standard input: 0, or 2 where it can be none."""
    from appliance.controller.alarm import pin

    typed = getpass.getpass("PIN: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    try:
        print(pin.hash_pin(typed))
    except pin.BadPinError as error:
        print(error, file=sys.stderr)
        return REFUSED
    return 0


def _demo(options: argparse.Namespace) -> int:
    """The appliance with settings that need nothing, and a narrator on its MQTT messages."""
    from appliance import demo

    if (options.clip or options.camera) and options.model is None:
        print(
            "demo: the demo's detector knows only its painted porch; name an RF-DETR model with --model",
            file=sys.stderr,
        )
        return REFUSED
    with contextlib.ExitStack() as stack:
        embedded = "PORCHLIGHT_MQTT__HOST" not in os.environ
        try:
            port = stack.enter_context(demo.embedded_broker()) if embedded else None
        except ModuleNotFoundError:
            print("demo: its MQTT broker is not installed: ./script/demo does that", file=sys.stderr)
            return REFUSED
        options.config = stack.enter_context(demo.settings_file(demo.settings_of(options, port)))
        try:
            settings = load(options.config, os.environ)
        except ConfigError as error:
            print(error, file=sys.stderr)
            return REFUSED
        print(demo.banner(settings, embedded=embedded), flush=True)
        narrator = demo.Narrator(settings)
        narrator.start()
        stack.callback(narrator.stop)
        code = _guarded(lambda: _run(options, settings, exit_after_s=options.exit_after))
    if code == 0:
        demo.say(f"stopped; {narrator.events} MQTT events, {narrator.rounds} full rounds of the sentry")
    return code


def _run(options: argparse.Namespace, settings: Settings, exit_after_s: float | None = None) -> int:
    """All stages, each a child of ours; nothing is left behind."""
    set_up_logs("porchlight", settings.telemetry.log_level, settings.telemetry.log_format)
    folder = RunFolder(settings.instance)
    folder.claim()
    try:
        need = needs.shared_memory(settings.cameras)
        folder.demand_room(need.start + need.renewal)
        context = _context("supervisor", settings, folder, supervised=False)
        log.info("porchlight %s, instance %s: watching %s", __version__, settings.instance, _names(settings))
        if (to := collector(settings, os.environ)) is not None:
            log.info("traces and metrics go to %s", to.told)
        edits = Edits(options.config, settings, folder, os.environ)
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
    return 0


def _stage(options: argparse.Namespace, settings: Settings) -> int:
    """One stage, or one camera's process of the capture stage."""
    camera = next((camera for camera in settings.cameras if camera.id == options.camera), None)
    if options.camera is not None and (camera is None or options.name != "capture"):
        print(f"--camera {options.camera}: for stage capture, one of {_names(settings)}", file=sys.stderr)
        return REFUSED
    name = options.name if camera is None else f"capture.{camera.id}"
    set_up_logs(name, settings.telemetry.log_level, settings.telemetry.log_format)
    folder = RunFolder(settings.instance)
    folder.create()
    watch = Watch(options.config, os.environ) if camera is None else None
    to = collector(settings, os.environ)
    delivery = Delivery(to, settings, name, os.environ) if to is not None and name != "capture" else None
    tracer = Tracer(delivery, share(settings, os.environ))
    context = _context(name, settings, folder, supervised=options.supervised, watch=watch, tracer=tracer)
    if delivery is not None:
        context.pulse.counters["spans_lost"] = 0
        delivery.on_lost = functools.partial(context.pulse.counters.__setitem__, "spans_lost")
    try:
        _work(options, context, camera)
    except (StageRefusedError, IpcError) as error:
        leave_last_words(folder, name, str(error))
        raise
    finally:
        if delivery is not None:
            delivery.close()
        context.pulse.file.remove()
    return 0


def _work(options: argparse.Namespace, context: StageContext, camera: Camera | None) -> None:
    """Run a stage's service. Each is imported here, so that a process loads only its own stage's libraries."""
    if options.name == "inference":
        from appliance.inference import service as inference

        inference.run(context)
    elif options.name == "controller":
        from appliance.controller import service as controller

        controller.run(context)
    elif options.name == "gateway":
        from appliance.gateway import service as gateway

        gateway.run(context)
    elif camera is not None:
        from appliance.capture import service as capture

        capture.run(context, camera)
    else:
        _supervise_cameras(options, context)


def _supervise_cameras(options: argparse.Namespace, context: StageContext) -> None:
    """The capture stage: a process for each camera, as the settings name them."""
    supervisor = _supervisor(context, NESTED_STOP_PATIENCE_S)

    def started(camera: Camera) -> Child:
        arguments = ("stage", "capture", "--config", str(options.config), "--camera", camera.id)
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


def _names(settings: Settings) -> str:
    return ", ".join(camera.id for camera in settings.cameras)


if __name__ == "__main__":
    command()
