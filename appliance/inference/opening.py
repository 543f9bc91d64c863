"""Opens the detector: the best backend that passed its trial, and the next one when that fails."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING

from appliance.inference.backends import BACKENDS, REFERENCE, open_backend
from appliance.inference.choice import problems, ranked
from appliance.inference.detector import BackendError
from appliance.inference.verdicts import Trials

if TYPE_CHECKING:
    from appliance.inference.detector import Detector
    from appliance.stage import StageContext

log = logging.getLogger(__name__)

STRIKES = "inference.strikes"
_IN_BACKEND = re.compile(r'backends/(\w+)\.py", line \d+ in (?:detect|__init__)')
_IN_CARD = re.compile(r'(?s)inference/gpu/cupy_device\.py", line \d+ in .*?backends/(\w+)\.py", line \d+ in ')
OPENING_S = 50.0
"""Loading a large model on a small board; the supervisor's own patience is a little longer."""


class Detectors:
    """The detector in use, and who takes over.

    What failed since the appliance was started is struck from the list, and stays so when this process is replaced:
    strikes lie in the run folder.
    """

    def __init__(self, context: StageContext) -> None:
        """Try the backends, where that was not done before, and open the best. ModelError: the model cannot be used."""
        model = context.settings.model
        if model.path is None:
            raise ValueError("settings without a model are refused when they are loaded")
        self._path = model.path
        self._wanted = model.backend
        self._context = context
        self._strikes_file = context.folder.path / STRIKES
        self._strikes = self._read_strikes()
        self._blame_the_dead()
        self._trials = Trials(self._path, model, context.settings.state_path)
        self._info, self._verdicts = self._trials.run(self._keep_going)
        self.current: Detector = self._open_best()
        self._is_open = True

    @property
    def problems(self) -> list[str]:
        """What the owner should know: who was refused, and who has failed since."""
        failed = [f"backend {name} has failed: {why}" for name, why in self._strikes.items()]
        return [*problems(self._verdicts, self._wanted), *failed]

    def replace(self, error: BackendError) -> None:
        """The current one has failed: open the next. BackendError: it was the last."""
        if self.current.backend == REFERENCE:
            raise error
        log.error("%s; another backend takes over", error)
        self._strike(self.current.backend, str(error))
        self.close()
        self.current = self._open_best()
        self._is_open = True

    def close(self) -> None:
        """Close the one in use; once, also where no other could be opened after it."""
        if self._is_open:
            self._is_open = False
            self.current.close()

    def _open_best(self) -> Detector:
        if self._context.pulse.watchdog is not None:
            self._context.pulse.watchdog.feed(OPENING_S)  # a backend that hangs while it loads must leave its name
        for candidate in ranked(self._verdicts, self._wanted, self._strikes):
            try:
                file = self._trials.file(candidate.backend)
                return open_backend(candidate.backend, file, self._info, candidate.threads)
            except BackendError as error:
                if candidate.backend == REFERENCE:
                    raise
                log.error("%s; another backend takes over", error)  # noqa: TRY400 -- its text says all
                self._strike(candidate.backend, str(error))
        raise BackendError("no backend is left")

    def _keep_going(self) -> bool:
        self._context.pulse.beat()
        return not self._context.stop

    def _blame_the_dead(self) -> None:
        """If our predecessor hung or crashed inside of a backend, its last words name that file of ours."""
        watchdog = self._context.pulse.watchdog
        culprit = _culprit(watchdog.last_words) if watchdog is not None else ""
        for name, backend in BACKENDS.items():
            if backend.module == culprit and name != REFERENCE:
                log.error("backend %s hung or crashed; another one takes over", name)
                self._strike(name, "it hung or crashed")

    def _strike(self, backend: str, why: str) -> None:
        self._strikes.setdefault(backend, why)
        try:
            self._strikes_file.write_text(json.dumps(self._strikes))
        except OSError as error:
            log.warning("%s cannot be written: %s", self._strikes_file, error)

    def _read_strikes(self) -> dict[str, str]:
        try:
            strikes = json.loads(self._strikes_file.read_text())
        except (OSError, ValueError):
            return {}
        return (
            {name: str(why) for name, why in strikes.items() if name in BACKENDS} if isinstance(strikes, dict) else {}
        )


def _culprit(trace: str) -> str:
    """Return the module of the backend in which a process ended, by its stack, innermost first; empty: in none.

    The outermost counts: a form's frames lie around those of what it is made of. A picture that makes `take` hang is no
    backend's fault; a card that does not answer there is.
    """
    inside = _IN_BACKEND.findall(trace)
    card = _IN_CARD.search(trace)
    return inside[-1] if inside else card[1] if card else ""
