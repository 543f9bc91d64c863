"""What one look at the machine found, in words for the appliance's owner."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It runs, but something is to be known."""
    PROBLEM = "problem"
    """It does not start, or not with everything it was told to watch."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`text` says in one line what is; `remedy`, where not all is well, in another what to do."""

    level: Level
    subject: str
    text: str
    remedy: str = ""


def ok(subject: str, text: str) -> Finding:
    return Finding(Level.OK, subject, text)


def warning(subject: str, text: str, remedy: str) -> Finding:
    return Finding(Level.WARNING, subject, text, remedy)


def problem(subject: str, text: str, remedy: str) -> Finding:
    return Finding(Level.PROBLEM, subject, text, remedy)


def amount(size: int) -> str:
    """Return a number of bytes as people say it."""
    if size < 100_000:
        return f"{size:,} bytes"
    return f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.1f} GB"


def several(number: int, one: str) -> str:
    """Return a number of things: 1 file, 2 files."""
    return f"{number:,} {one}" if number == 1 else f"{number:,} {one}s"
