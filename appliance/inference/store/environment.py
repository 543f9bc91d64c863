"""A Python environment for the rfdetr package alone: torch is large, and the appliance needs none of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.inference.store.errors import RefusedError, StoreError
from appliance.inference.store.progress import megabytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VERSION = "1.11.2"
REQUIREMENT = f"rfdetr[onnx]=={VERSION}"
_PROGRAM = Path(__file__).parent / "outside" / "rfdetr_to_onnx.py"
_ASK_VERSION = "import importlib.metadata as m; print(m.version('rfdetr'))"
_LAST_LINES = 15
_NO_INDEX = (
    "NewConnectionError",
    "NameResolutionError",
    "Temporary failure in name resolution",
    "Network is unreachable",
    "from versions: none",
)
_NO_ROOM = "No space left on device"


@dataclass(frozen=True, slots=True)
class Environment:
    """The folder of a venv. `is_ours`: made here and filled by us; another one is only used."""

    folder: Path
    is_ours: bool

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def demand(self, say: Callable[[str], None]) -> None:
        """Have it there, with rfdetr in it. RefusedError, StoreError: it is not, and why."""
        if self.is_ours:
            if self._version() != VERSION:
                self._make(say)
        elif not self.python.exists():
            raise RefusedError(f"{self.folder} is no Python environment: there is no {self.python}")
        elif (version := self._version()) is None:
            raise RefusedError(
                f"{self.folder} has no rfdetr; install it there: {self.python} -m pip install '{REQUIREMENT}'"
            )
        elif version != VERSION:
            say(f"{self.folder} has rfdetr {version}; Porchlight was tried with {VERSION}")

    def export(self, class_name: str, folder: Path, weights: Path | None) -> str:
        """Run the export there; return its output. It leaves model.onnx and result.json in `folder`, if it can."""
        words = [class_name, str(folder), *([] if weights is None else [str(weights)])]
        _, output = self._run([str(_PROGRAM), *words])
        return output

    def room(self) -> str:
        above = next(folder for folder in (self.folder, *self.folder.parents) if folder.exists())
        return megabytes(shutil.disk_usage(above).free)

    def _version(self) -> str | None:
        if not self.python.exists():
            return None
        code, output = self._run(["-c", _ASK_VERSION])
        return output.split()[-1] if code == 0 and output.split() else None

    def _make(self, say: Callable[[str], None]) -> None:
        say(f"making an environment for rfdetr in {self.folder}; torch is large, so this takes a while")
        code, output = _run([sys.executable, "-m", "venv", "--clear", str(self.folder)])
        if code:
            lacks_venv = "ensurepip is not available" in output
            why = "Debian has it in python3-venv" if lacks_venv else f"{self.room()} are free there"
            raise StoreError(f"{self.folder}: no environment could be made ({why}):\n{last_lines(output)}")
        code, output = self._run(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", REQUIREMENT])
        if code:
            raise StoreError(f"{self._why_not(output)}:\n{last_lines(output)}")

    def _why_not(self, output: str) -> str:
        if _NO_ROOM in output:
            return (
                f"{self.folder}: not enough room for rfdetr and torch: {self.room()} are free, and they take 6 GB "
                "where torch comes with its graphics libraries, else 2 GB; make room, or name another environment with "
                "--environment"
            )
        if any(sign in output for sign in _NO_INDEX):
            return (
                f"{REQUIREMENT} could not be downloaded: pip reaches no package index from here; make the environment "
                "where there is one, or name it with --environment"
            )
        return f"pip could not install {REQUIREMENT}"

    def _run(self, arguments: Sequence[str]) -> tuple[int, str]:
        return _run([str(self.python), *arguments])


def last_lines(output: str) -> str:
    """Return the end of what a program has written, indented."""
    lines = [line for line in output.splitlines() if line.strip()][-_LAST_LINES:]
    return "\n".join(f"    {line}" for line in lines)


def _run(command: Sequence[str]) -> tuple[int, str]:
    """Return a program's exit code and all that it wrote."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        return 1, f"{command[0]}: {error.strerror}"
    return done.returncode, done.stdout
