"""Notices that the settings file was edited, and whether the edit can be used."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from appliance.config.loading import load
from appliance.config.problem import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from appliance.config.settings import Settings

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0


class Watch:
    """Looks at the file once a second: at its name, so that an editor's rename and a ConfigMap's link are seen too.

    An edit counts when the file has stayed the same for two looks; one that cannot be used is reported once, and what
    was last good goes on.
    """

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self.path = path
        self._environ = environ
        self._read = self._seen = self._stamp()
        self._due_s = 0.0

    def look(self) -> Settings | None:
        """Return new settings, once; None while there are none."""
        now = time.monotonic()
        if now < self._due_s:
            return None
        self._due_s = now + LOOK_EVERY_S
        before, self._seen = self._seen, self._stamp()
        if self._seen in (self._read, None) or self._seen != before:
            return None
        self._read = self._seen
        try:
            return load(self.path, self._environ)
        except ConfigError as error:
            log.error("the edited settings cannot be used, so nothing is changed: %s", error)  # noqa: TRY400
            return None

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            stat = self.path.stat()
        except OSError:  # an editor is at work, or the file is gone: what was read stays
            return None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size
