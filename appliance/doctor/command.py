"""The command: examine, print, and say by the exit code whether there is a problem."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING

from appliance import __version__
from appliance.doctor.examination import examine
from appliance.doctor.finding import Finding, Level, several

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path


def run(config: Path, environ: Mapping[str, str], *, sweep: bool, as_json: bool) -> int:
    """Examine the machine; print what is found, to standard output. Return 1 where there is a problem, else 0."""
    return _print(examine(config, environ, first_sweep=sweep), as_json=as_json)


def run_camera(url: str, *, seconds: float, picture: Path, as_json: bool) -> int:
    """Examine one camera; otherwise as `run`."""
    from appliance.doctor import camera  # noqa: PLC0415 -- it alone needs the pictures' libraries

    return _print(camera.examine(url, seconds, picture), as_json=as_json)


def _print(found: Iterable[Finding], *, as_json: bool) -> int:
    findings = [_printable(finding) for finding in found]
    text = document(findings) if as_json else report(findings)
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(f"{text.encode(encoding, 'backslashreplace').decode(encoding)}\n")
    return int(any(finding.level is Level.PROBLEM for finding in findings))


def report(findings: Sequence[Finding]) -> str:
    """Return the findings for a terminal, in columns, and a last line that counts them."""
    width = max(len(finding.subject) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.level:<8} {finding.subject:<{width}}  {finding.text}")
        if finding.remedy:
            lines.append(f"{'':<8} {'':<{width}}  do: {finding.remedy}")
    return "\n".join([*lines, "", _total(findings)])


def document(findings: Sequence[Finding]) -> str:
    """Return the findings as one JSON document."""
    counted = Counter(finding.level for finding in findings)
    return json.dumps(
        {
            "version": __version__,
            "problems": counted[Level.PROBLEM],
            "warnings": counted[Level.WARNING],
            "findings": [
                {
                    "level": finding.level,
                    "subject": finding.subject,
                    "text": finding.text,
                    "remedy": finding.remedy or None,
                }
                for finding in findings
            ],
        },
        indent=2,
    )


def _total(findings: Sequence[Finding]) -> str:
    counted = Counter(finding.level for finding in findings)
    said = [several(counted[level], level.value) for level in (Level.PROBLEM, Level.WARNING) if counted[level]]
    return ", ".join(said) if said else "all is well"


def _printable(finding: Finding) -> Finding:
    """Escape what moves the cursor or is no text: file names and errors' words hold anything."""
    return Finding(finding.level, finding.subject, _escaped(finding.text), _escaped(finding.remedy))


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
