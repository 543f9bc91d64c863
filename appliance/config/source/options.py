"""What stands behind a source's question mark: name=value, joined by &."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.config.problem import BadSettingError

if TYPE_CHECKING:
    from collections.abc import Collection

_SWITCH = ("true", "false")


@dataclass(frozen=True, slots=True)
class Options:
    """Options by name, each checked as it is asked for: BadSettingError names it, its value and what would be right."""

    given: dict[str, str]

    def __contains__(self, name: str) -> bool:
        return name in self.given

    def switch(self, name: str) -> bool | None:
        chosen = self.choice(name, _SWITCH)
        return None if chosen is None else chosen == "true"

    def number(
        self, name: str, default: float, low: float, high: float, *, whole: bool = False, unit: str = ""
    ) -> float:
        """Return a number from `low` to `high`; `unit` may stand behind it."""
        value = self.given.get(name)
        if value is None:
            return default
        digits = value.removesuffix(unit)
        if (
            re.fullmatch(r"[0-9]{1,12}" if whole else r"[0-9]{1,12}(\.[0-9]{1,12})?", digits)
            and low <= float(digits) <= high
        ):
            return float(digits)
        kind = "a whole number" if whole else "a number"
        raise BadSettingError(
            f'has {name}="{value}"', f"write {kind} from {low} to {high}, such as {name}={default:g}{unit}"
        )

    def size(self, smallest: tuple[int, int], largest: tuple[int, int]) -> tuple[int, int]:
        """Return width and height, even and within the bounds; 1280x720 where none is given."""
        value = self.given.get("size", "1280x720")
        if match := re.fullmatch(r"([0-9]{2,4})x([0-9]{2,4})", value):
            width, height = int(match[1]), int(match[2])
            within = smallest[0] <= width <= largest[0] and smallest[1] <= height <= largest[1]
            if within and not (width % 2 or height % 2):
                return width, height
        low, high = ("{}x{}".format(*bound) for bound in (smallest, largest))
        raise BadSettingError(
            f'has size="{value}"', f"write width x height, even numbers from {low} to {high}, such as size=1280x720"
        )

    def choice(self, name: str, right: tuple[str, ...]) -> str | None:
        value = self.given.get(name)
        if value is None or value in right:
            return value
        *others, last = (f"{name}={one}" for one in right)
        raise BadSettingError(f'has {name}="{value}"', f"write {', '.join(others)} or {last}")


def split(query: str, scheme: str, known: Collection[str]) -> Options:
    """Return what stands behind the question mark. BadSettingError: a name is not known, or stands there twice."""
    given: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if name not in known:
            *others, last = known
            raise BadSettingError(
                f'has an unknown option "{name}"', f"{scheme}:// knows {', '.join(others)} and {last}"
            )
        if name in given:
            raise BadSettingError(f'has the option "{name}" twice', "keep one of them")
        given[name] = value
    return Options(given)
