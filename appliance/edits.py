"""What the supervisor does when the settings are edited while the appliance runs."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING

from appliance import needs
from appliance.config import ConfigError, Watch, load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from appliance.config import Settings
    from appliance.ipc.run_folder import RunFolder
    from appliance.supervisor import Supervisor

log = logging.getLogger(__name__)

READERS = {
    "model": ("inference", "controller"),
    "sentry": ("controller",),
    "alarm": ("controller",),
    "mqtt": ("controller", "gateway"),
    "gateway": ("gateway",),
    "telemetry": ("inference", "controller", "gateway", "capture"),
}
"""Which stages start anew when a section changes. Cameras come, change and go without that."""


class Edits:
    """Follows the owner's file. The stages read a copy in the run folder, which holds only what can be used: a stage
    that is started again while the file is in a bad state has the last good settings.
    """

    def __init__(self, path: Path, settings: Settings, folder: RunFolder, environ: Mapping[str, str]) -> None:
        self.copy = folder.path / "settings.yaml"
        self._settings = settings
        self._folder = folder
        self._environ = environ
        self._watch = Watch(path, environ)
        self._take_over()

    def look(self, supervisor: Supervisor) -> None:
        """Take over an edit, if there is one that can be used, and start anew the stages that it concerns."""
        edited = self._watch.look()
        if edited is None or edited == self._settings:
            return
        if edited.instance != self._settings.instance:
            log.error("the edited settings name another instance: that takes a restart; nothing is changed")
            return
        if not self._take_over():
            return
        changed = [name for name in type(edited).model_fields if getattr(edited, name) != getattr(self._settings, name)]
        log.info("settings edited: %s", ", ".join(changed))
        if "supervisor" in changed:
            log.warning("what was edited under supervisor takes a restart")
        free = os.statvfs(self._folder.path)
        new = needs.shared_memory(edited.cameras)
        more = new.start + new.renewal - needs.shared_memory(self._settings.cameras).start
        if more > free.f_bavail * free.f_frsize:
            log.error("the added cameras may need %s bytes of shared memory more than there are", f"{more:,}")
        self._settings = edited
        for stage in {reader for name in changed for reader in READERS.get(name, ())}:
            supervisor.renew(stage)

    def _take_over(self) -> bool:
        """Copy the file, if what was copied can be used: it may have been edited again in this moment."""
        candidate = self.copy.with_suffix(".new")
        with contextlib.suppress(OSError):
            fd = os.open(candidate, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(self._watch.path.read_bytes())
            try:
                load(candidate, self._environ)
            except ConfigError:
                return False
            candidate.rename(self.copy)
            return True
        log.error("the settings cannot be copied to %s; nothing is changed", self.copy)
        return False
