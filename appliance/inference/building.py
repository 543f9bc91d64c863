"""Builds the engines that are missing while another backend watches: in a child process, which a thread waits for."""

from __future__ import annotations

import logging
import queue
import threading
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from appliance.inference.backends import open_backend
from appliance.inference.choice import Verdict
from appliance.inference.detector import first_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.inference.choice import Candidate
    from appliance.inference.detector import Detector, ModelInfo
    from appliance.inference.verdicts import Trials

log = logging.getLogger(__name__)

_PARTING_S = 2.0


class Built(NamedTuple):
    """What came of one: the verdict of its trial, and the open detector where it passed and could be opened."""

    candidate: Candidate
    verdict: Verdict
    detector: Detector | None = None
    failure: str = ""


class Building:
    """Works through the candidates, one after another. Nobody waits for it; whoever has it looks now and then."""

    def __init__(self, trials: Trials, candidates: Sequence[Candidate], info: ModelInfo | None) -> None:
        self._trials = trials
        self._info = info
        self._left = list(candidates)
        self._results: queue.SimpleQueue[Built] = queue.SimpleQueue()
        self._is_stopped = threading.Event()
        self._looked_at = 0
        self.progress = ""
        """What is being done, for people; empty when all is done."""
        self._thread = threading.Thread(target=self._work, name="building", daemon=True)
        self._thread.start()

    def look(self) -> Built | None:
        """Return what was finished since the last look."""
        try:
            built = self._results.get_nowait()
        except queue.Empty:
            return None
        self._looked_at += 1
        return built

    @property
    def is_over(self) -> bool:
        """Whether all that was to be built has been looked at."""
        return self._looked_at == len(self._left)

    def close(self) -> None:
        """Break off. What was opened meanwhile is closed."""
        self._is_stopped.set()
        self._thread.join(_PARTING_S)  # the child is killed within a tenth of a second; a library that hangs is left
        while (built := self.look()) is not None:
            if built.detector is not None:
                built.detector.close()

    def _work(self) -> None:
        for candidate in self._left:
            built = self._built(candidate)
            if self._is_stopped.is_set():
                if built.detector is not None:
                    built.detector.close()
                return
            self.progress = ""
            self._results.put(built)

    def _built(self, candidate: Candidate) -> Built:
        """Build it, keep the verdict, and open it: here, and not where the cameras wait."""
        tell = partial(self._tell, candidate.backend)
        tell(0.0)
        verdict = None
        try:
            verdict = self._trials.build(candidate, lambda: not self._is_stopped.is_set(), tell)
            self._trials.keep(candidate, verdict)
            if verdict.refused:
                return Built(candidate, verdict)
            file = self._trials.file(candidate.backend)
            return Built(candidate, verdict, open_backend(candidate.backend, file, self._info, candidate.threads))
        except Exception as error:  # noqa: BLE001 -- a library's; unheard, it would end this thread and be told to nobody
            why = first_line(error)
            return Built(candidate, Verdict(refused=why)) if verdict is None else Built(candidate, verdict, failure=why)

    def _tell(self, backend: str, share: float) -> None:
        self.progress = f"the engine for {backend} is being built: {share:.0%}"
        log.info("%s", self.progress)
