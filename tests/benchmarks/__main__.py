"""The bench: `./script/bench [CHAPTER...]`, a report in reports/bench.html and bench.json."""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

import pytest

from tests.benchmarks import machine, report
from tests.benchmarks.native import NoCompilerError

CHAPTERS = (
    "mailbox",
    "handover",
    "storm",
    "jpegpath",
    "arithmetic",
    "inference",
    "alarm",
    "cameras",
    "telemetry",
    "soak",
)
"""Modules of this package, each with `run(folder, quick)`."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("chapters", nargs="*", metavar="CHAPTER", help=f"of {', '.join(CHAPTERS)}; default: all")
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the rounds: to see that it works, not to quote"
    )
    parser.add_argument("--out", type=Path, default=Path("reports"), help="folder of the report (default: reports)")
    chosen = parser.parse_args()
    if unknown := set(chosen.chapters) - set(CHAPTERS):
        parser.error(f"no chapter {', '.join(sorted(unknown))}; there are {', '.join(CHAPTERS)}")
    described = machine.describe()
    print("\n".join(f"{key}: {value}" for key, value in described.items()))
    chapters, left_out = [], False
    for name in chosen.chapters or CHAPTERS:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            try:
                chapter = importlib.import_module(f"tests.benchmarks.{name}").run(Path(folder), chosen.quick)
            except (NoCompilerError, pytest.skip.Exception) as error:  # a program, or a file of ../shared, is not here
                print(f"{name} is left out: {error}", file=sys.stderr)
                left_out = True
                continue
        print(f"\n{report.as_text(chapter)}", flush=True)
        chapters.append(chapter)
        report.write(chosen.out, described, chapters)  # after each: what was measured is not lost with the next one
    if chapters:
        print(f"\n{chosen.out / 'bench.html'}")
    return 1 if left_out else 0


if __name__ == "__main__":
    sys.exit(main())
