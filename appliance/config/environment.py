"""Settings from the environment, over those of the file: PORCHLIGHT_MQTT__HOST, PORCHLIGHT_CAMERAS__0__ID.

A value reads as a YAML scalar; empty, ~ and null mean "not set". Where a setting is text, an unquoted value
counts letter for letter: the passwords 0123 and abc #1 lose nothing.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from appliance.config.document import read_scalar
from appliance.config.names import PREFIX, SettingPath, variable
from appliance.config.outline import Found, find, value_paths
from appliance.config.problem import Origin, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.config.draft import Draft

# Names with our prefix that are no settings: where config.yaml lies, and what the starting script logs.
RESERVED = frozenset({"PORCHLIGHT_CONFIG", "PORCHLIGHT_LOG"})

# Kubernetes tells every container of every service nearby; one called porchlight-gateway gives such names.
_KUBERNETES = re.compile(r"PORCHLIGHT(_\w+)?_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_KUBERNETES_PORT = re.compile(r"(tcp|udp|sctp)://")


def overlay(draft: Draft, environ: Mapping[str, str]) -> None:
    """Put every PORCHLIGHT_ variable into the draft; those that are no setting become problems in it."""
    settings: list[tuple[SettingPath, str]] = []
    for name in environ:
        if not name.startswith(PREFIX) or name in RESERVED:
            continue
        found = _named(name)
        if found is not None and found.is_value:
            settings.append((found.path, name))
        elif not _is_of_kubernetes(name, environ[name]):
            draft.problems.append(_unknown(name, found))
    # In order of their paths: camera 0 before camera 1, camera 2 before camera 10.
    for path, name in sorted(settings):
        _put(draft, path, _value(environ[name], find(path)), name)


def _named(name: str) -> Found | None:
    found: Found | None = Found()
    for part in name.removeprefix(PREFIX).split("__"):
        if found is None or part != part.upper():
            return None
        found = found.step(int(part) if re.fullmatch(r"0|[1-9][0-9]{0,2}", part) else part.lower())
    return found


def _unknown(name: str, found: Found | None) -> Problem:
    place = next((int(part) for part in name.split("__") if re.fullmatch(r"[0-9]{1,3}", part)), 0)
    known = [variable(path) for path in value_paths(place)]
    if found is not None:
        example = next(one for one in known if one.startswith(name))
        return Problem(Origin(name), "", "names a whole group of settings", f"set them one by one, as {example}")
    # Without the prefix, or every name with it would look much like every other.
    ends = [one.removeprefix(PREFIX) for one in known]
    near = get_close_matches(name.removeprefix(PREFIX).upper(), ends, n=1)
    hint = f'did you mean "{PREFIX}{near[0]}"?' if near else f"names look like {variable(('mqtt', 'host'))}"
    return Problem(Origin(name), "", "is no setting of Porchlight", hint)


def _value(raw: str, found: Found) -> Any:
    value, quoted = read_scalar(raw)
    if value is None or quoted or not found.is_text:
        return value
    return raw


def _put(draft: Draft, path: SettingPath, value: Any, name: str) -> None:
    """Set one value, making the groups above it. Where the file has something else, that is its own error."""
    node: Any = draft.values
    for depth, (part, below) in enumerate(zip(path, [*path[1:], None], strict=True), start=1):
        if isinstance(part, int) and isinstance(node, list):
            if part > len(node):
                what = "leaves a gap between the cameras"
                draft.problems.append(Problem(Origin(name), "", what, f"the next one is number {len(node)}"))
                return
            if part == len(node):
                node.append(None)
        elif not (isinstance(part, str) and isinstance(node, dict)):
            return
        draft.origins.setdefault(path[:depth], Origin(name))
        if below is None:
            node[part] = value
            draft.origins[path] = Origin(name)
            return
        current = node.get(part) if isinstance(node, dict) else node[part]
        if current is None:
            current = node[part] = [] if isinstance(below, int) else {}
        node = current


def _is_of_kubernetes(name: str, raw: str) -> bool:
    if _KUBERNETES.fullmatch(name):
        return True
    return name.endswith("_PORT") and _KUBERNETES_PORT.match(raw) is not None
