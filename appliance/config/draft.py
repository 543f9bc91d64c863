"""Settings before they are checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from appliance.config.names import SettingPath
    from appliance.config.problem import Origin, Problem


@dataclass(slots=True)
class Draft:
    """Values, where each was read, and what was wrong on the way. `origins[()]` stands for all the rest.

    `refused` are the paths whose value could not be taken at all; `broken` says that the file could not be
    read to its end, so that its values are not worth checking.
    """

    values: dict[str, Any]
    origins: dict[SettingPath, Origin]
    problems: list[Problem] = field(default_factory=list)
    refused: set[SettingPath] = field(default_factory=set)
    broken: bool = False

    def origin(self, path: SettingPath) -> Origin:
        """Return where `path` was read, or else the nearest group that it belongs to."""
        while path not in self.origins:
            path = path[:-1]
        return self.origins[path]

    def break_off(self, problem: Problem) -> None:
        self.problems.append(problem)
        self.broken = True
