"""The words of the command `porchlight`."""

from __future__ import annotations

import argparse
from pathlib import Path

from appliance import __version__, health
from appliance.inference.store import arguments as model_arguments
from appliance.running import STAGES


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line; what each command takes is in the names of its options."""
    words = argparse.ArgumentParser(prog="porchlight", description="Tells Home Assistant when somebody is there.")
    words.add_argument("--version", action="version", version=f"porchlight {__version__}")
    commands = words.add_subparsers(dest="command", required=True, metavar="COMMAND")

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
    return words


def _add_doctor_camera(doctor: argparse.ArgumentParser) -> None:
    text = "Open one camera, say what it gives and what is wrong, and write one picture of it."
    of = doctor.add_subparsers(dest="of", metavar="camera URL").add_parser("camera", help=text, description=text)
    of.add_argument("url", metavar="URL", help="as in the settings: v4l2:///dev/video0, rtsp://..., http://...")
    of.add_argument("--seconds", type=float, default=5.0, help="how long to watch it (5)")
    of.add_argument("--picture", type=Path, default=Path("porchlight-camera.jpg"), metavar="FILE")
    of.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
