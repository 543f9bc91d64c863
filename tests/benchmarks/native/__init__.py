"""Builds the native references that benches compare with, from the sources beside this file."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES = "g++, libflatbuffers-dev and flatbuffers-compiler"


class NoCompilerError(Exception):
    """What the references are built with is not there."""


def library(name: str, into: Path) -> ctypes.CDLL:
    """Build NAME.cpp as a shared library into the folder and load it. NoCompilerError: what is missing."""
    _generate(into)
    return ctypes.CDLL(str(_build(name, into / f"{name}.so", into, ["-shared", "-fPIC"])))


def program(name: str, into: Path) -> Path:
    """Build NAME.cpp as a program into the folder; return its path. NoCompilerError: what is missing."""
    return _build(name, into / name, into, [])


def _generate(into: Path) -> None:
    for schema in HERE.glob("*.fbs"):
        _run(["flatc", "--cpp", "-o", str(into), str(schema)])


def _build(name: str, made: Path, includes: Path, options: list[str]) -> Path:
    flags = ("-std=c++17", "-O2", "-Wall", f"-I{includes}", *options)
    _run(["g++", *flags, "-o", str(made), str(HERE / f"{name}.cpp"), "-lrt"])
    return made


def _run(command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        raise NoCompilerError(f"{command[0]} is not there; on Debian: apt install {PACKAGES}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoCompilerError(f"{' '.join(command[:2])} failed: {done.stderr.strip()[-2000:]}")
