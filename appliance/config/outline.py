"""The tree of settings, to be walked by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import SecretStr

from appliance.config.kinds import Section
from appliance.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic.fields import FieldInfo

    from appliance.config.names import SettingPath


@dataclass(frozen=True, slots=True)
class Found:
    """Where a walk ended: `section` where that is a group, `items` where it is a list of groups."""

    path: SettingPath = ()
    field: FieldInfo | None = None
    section: type[Section] | None = Settings
    items: type[Section] | None = None

    @property
    def is_value(self) -> bool:
        return self.section is None and self.items is None

    @property
    def is_private(self) -> bool:
        """Whether the value must not be shown: a secret, or a URL that may hold one."""
        return self.field is not None and (not self.field.repr or SecretStr in _kinds(self.field.annotation))

    @property
    def is_text(self) -> bool:
        """Whether any text may stand here, not only certain words."""
        return self.field is not None and not {str, Path, SecretStr}.isdisjoint(_kinds(self.field.annotation))

    def step(self, name: str | int) -> Found | None:
        """Return what lies below under `name`, None if nothing does."""
        if self.items is not None and isinstance(name, int):
            return Found((*self.path, name), None, self.items)
        if self.section is None or not isinstance(name, str) or name not in self.section.model_fields:
            return None
        field = self.section.model_fields[name]
        item = next(iter(get_args(field.annotation)), None)
        return Found((*self.path, name), field, _section(field.annotation), _section(item))


def find(path: Sequence[str | int]) -> Found:
    """Walk as far along `path` as there are settings."""
    found = Found()
    for name in path:
        below = found.step(name)
        if below is None:
            break
        found = below
    return found


def value_paths(camera: int = 0, found: Found | None = None) -> Iterator[SettingPath]:
    """Yield the path of every single setting; those of a camera as the one at place `camera`."""
    found = found or Found()
    if found.is_value:
        yield found.path
    place = camera if len(found.path) == 1 else 0
    names: Sequence[str | int] = list(found.section.model_fields) if found.section else [place]
    for name in names if not found.is_value else ():
        if below := found.step(name):
            yield from value_paths(camera, below)


def _kinds(annotation: Any) -> list[Any]:
    """Return the plain types that a type is made of."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [kind for one in get_args(annotation) for kind in _kinds(one)]
    return [annotation]


def _section(annotation: object) -> type[Section] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None
