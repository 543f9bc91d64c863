"""What can be wrong with the settings, and how it is told to a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appliance.config.names import SettingPath


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a setting was read: a file and its line (from 1), or the name of an environment variable."""

    place: str
    line: int | None = None

    def __str__(self) -> str:
        return self.place if self.line is None else f"{self.place}:{self.line}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. Never holds a secret: `what` is safe to print and to log."""

    origin: Origin
    setting: str
    what: str
    hint: str

    def __str__(self) -> str:
        subject = f"{self.origin}: {self.setting}" if self.setting else str(self.origin)
        return _printable(f"{subject}: {self.what}; {self.hint}")


class ConfigError(Exception):
    """The settings cannot be used; `problems` holds everything that is wrong, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.origin.line or 0)
        super().__init__("\n".join(map(str, self.problems)))


class BadSettingError(ValueError):
    """One value is wrong in a way that its type alone does not tell.

    `at` is the path of the setting to blame, from the group that holds the refused one.
    """

    def __init__(self, what: str, hint: str, *, at: SettingPath | None = None) -> None:
        super().__init__(f"{what}; {hint}")
        self.what = what
        self.hint = hint
        self.at = at


def _printable(text: str) -> str:
    """Escape what would break the line, move the cursor or not encode as UTF-8."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
