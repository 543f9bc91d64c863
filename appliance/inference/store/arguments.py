"""The words of `porchlight model`. Every process reads this, so it loads nothing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_STORE = "the models' folder (models, in the state folder)"


def add(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the sub-command. `command` makes one of a name and a sentence, with --config."""
    model = command("model", "Get a model, make one, look at those that are there.")
    model.add_argument("--store", type=Path, metavar="DIR", help=_STORE)
    of = model.add_subparsers(dest="of", required=True, metavar="list | get | export | check | quantize | build")
    listing = _sub(of, "list", "Show what is in the store, and what can be had.")
    listing.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    _add_get(_sub(of, "get", "Download a model; a download that was cut goes on where it ended."))
    _add_quantize(_sub(of, "quantize", "Make a model's int8 forms, kept where they see the same in less time."))
    _add_export(_sub(of, "export", "Make a model with the rfdetr package, in a Python environment of its own."))
    check = _sub(of, "check", "Say what a model is, whether it is whole, and how it does on this machine.")
    check.add_argument("model", nargs="?", metavar="FILE|NAME", help="a file, or a name in the store (model.path)")
    build = _sub(of, "build", "Build TensorRT's engine of a model now, and not while cameras are watched.")
    build.add_argument("model", nargs="?", metavar="FILE|NAME", help="a file, or a name in the store (model.path)")
    text = "tensorrt or tensorrt_int8, also where it was refused in the last day (all that are installed)"
    build.add_argument("--backend", choices=("tensorrt", "tensorrt_int8"), help=text)


def _add_quantize(quantize: argparse.ArgumentParser) -> None:
    quantize.add_argument("model", nargs="?", metavar="FILE|NAME", help="a file, or a name in the store (model.path)")
    text = "JPEG or PNG files of what your cameras see; without it, from the cameras of the Porchlight that is running"
    quantize.add_argument("--pictures", type=Path, metavar="DIR", help=text)
    quantize.add_argument("--count", type=int, default=150, metavar="N", help="how many pictures (150)")
    quantize.add_argument("--seconds", type=float, default=900.0, metavar="S", help="for how long (900)")
    text = "openvino_int8, onnxruntime_int8 or tensorrt_int8; may be given again (all that are installed)"
    choices = ("openvino_int8", "onnxruntime_int8", "tensorrt_int8")
    quantize.add_argument("--backend", dest="backends", action="append", choices=choices, help=text)
    text = "TensorRT's calibration cache of this model, from elsewhere: for tensorrt_int8, instead of calibrating"
    quantize.add_argument("--calibration-cache", type=Path, metavar="FILE", help=text)


def _sub(of: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str) -> argparse.ArgumentParser:
    sub = of.add_parser(name, help=text, description=text)
    # Suppressed: the words before NAME have been read by then, and a default here would undo them.
    for what, metavar, which in (("--config", "FILE", "the settings (config.yaml)"), ("--store", "DIR", _STORE)):
        sub.add_argument(what, type=Path, default=argparse.SUPPRESS, metavar=metavar, help=which)
    return sub


def _add_get(get: argparse.ArgumentParser) -> None:
    text = (
        "an address (https://...), or a repository on the hub (owner/name); default: RF-DETR small, as detr-mmap has it"
    )
    get.add_argument("what", nargs="?", metavar="URL|OWNER/NAME", help=text)
    get.add_argument("--file", default="inference_model.onnx", help="of the repository (inference_model.onnx)")
    get.add_argument("--revision", default="main", help="of the repository: a branch, a tag or a commit (main)")
    get.add_argument("--sha256", default="", metavar="HEX", help="what the file must be; else it is recorded at first")
    get.add_argument("--max-bytes", type=int, default=1 << 30, metavar="N", help="the most that is taken (1 GiB)")
    _add_placing(get)


def _add_export(export: argparse.ArgumentParser) -> None:
    export.add_argument("variant", metavar="VARIANT", help="nano, small, medium or large")
    export.add_argument("--weights", type=Path, metavar="FILE", help="your own (.pth) instead of the published ones")
    export.add_argument("--environment", type=Path, metavar="DIR", help="one that has rfdetr, instead of our own")
    _add_placing(export)


def _add_placing(to: argparse.ArgumentParser) -> None:
    to.add_argument("--name", help="what to call it in the store: a-z, 0-9, _, . and -")
    to.add_argument("--replace", action="store_true", help="put it in the place of one that is there")
