"""The command `porchlight`: does what its words say."""

from __future__ import annotations

import contextlib
import getpass
import logging
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from appliance import arguments, health, running
from appliance.config import ConfigError, load
from appliance.ipc.errors import IpcError
from appliance.stage import StageRefusedError
from appliance.supervisor import REFUSED, ChildRefusedError
from appliance.telemetry import finish_logs
from appliance.telemetry.delivery import is_detained

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from pathlib import Path

FAILED = 1

log = logging.getLogger(__name__)


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line says. Return 0, 1 (failed) or 2 (refused: trying again changes nothing)."""
    options = arguments.parser().parse_args(words)
    if (without_settings := _WITHOUT_SETTINGS.get(options.command)) is not None:
        return without_settings(options)
    try:
        if options.command == "run" and "SUPERVISOR_TOKEN" in os.environ:
            options.config = _addon_settings(options.config)
        settings = load(options.config, os.environ)
    except (ConfigError, StageRefusedError) as error:
        print(error, file=sys.stderr)
        return REFUSED
    if options.command == "check":
        print(f"{options.config}: all settings are well; cameras: {running.names(settings) or 'none yet'}")
        return 0
    if not settings.cameras:
        print(
            f"{options.config}: cameras: there is none to watch; add one, with an id and a source",
            file=sys.stderr,
        )
        return REFUSED
    if options.command == "run":
        return _guarded(lambda: running.run(options.config, settings))
    return _guarded(
        lambda: running.run_stage(options.name, options.config, settings, options.camera, supervised=options.supervised)
    )


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


def _guarded(work: Callable[[], None]) -> int:
    """Do the work; turn what can go wrong on purpose into one line and an exit code."""
    try:
        work()
    except ChildRefusedError as error:
        log.error("%s refused to start, so nothing was started", error)  # noqa: TRY400 -- the child has said why
        return REFUSED
    except StageRefusedError as error:
        log.error("%s", error)  # noqa: TRY400 -- its text says all; a traceback would hide it
        return REFUSED
    except IpcError as error:
        log.error("%s", error)  # noqa: TRY400 -- likewise
        return FAILED
    return 0


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


def _pin(_options: argparse.Namespace) -> int:
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
        code = _guarded(lambda: running.run(options.config, settings, options.exit_after))
    if code == 0:
        demo.say(f"stopped; {narrator.events} MQTT events, {narrator.rounds} full rounds of the sentry")
    return code


_WITHOUT_SETTINGS: dict[str, Callable[[argparse.Namespace], int]] = {
    "demo": _demo,
    "doctor": _doctor,
    "model": _model,
    "pin": _pin,
    "health": lambda options: health.tell(options.stage, options.instance),
}
"""What does its work whatever the settings are; each loads its own part."""


if __name__ == "__main__":
    command()
