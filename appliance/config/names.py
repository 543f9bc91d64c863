"""How a setting is called: by its path, in the file's words, in the environment."""

from __future__ import annotations

PREFIX = "PORCHLIGHT_"

SettingPath = tuple[str | int, ...]


def dotted(path: SettingPath) -> str:
    """Return cameras.0.id for ("cameras", 0, "id")."""
    return ".".join(map(str, path))


def variable(path: SettingPath) -> str:
    """Return PORCHLIGHT_CAMERAS__0__ID for ("cameras", 0, "id")."""
    return PREFIX + "__".join(str(part).upper() for part in path)
