"""Opens the detector: the best backend that passed its trial, and the next one when that fails."""

from __future__ import annotations

import contextlib
import json
import logging
import re
from typing import TYPE_CHECKING

from appliance.inference.backends import BACKENDS, REFERENCE, open_backend
from appliance.inference.building import Building
from appliance.inference.choice import problems, ranked
from appliance.inference.detector import BackendError, EngineError
from appliance.inference.verdicts import Trials

if TYPE_CHECKING:
    from appliance.inference.detector import Detector
    from appliance.stage import StageContext

log = logging.getLogger(__name__)

STRIKES = "inference.strikes"
BUILDING = "inference.building"
KILLED = "the detector was killed while its engine was being built; `porchlight model build` builds it"
_IN_BACKEND = re.compile(r'backends/(\w+)\.py", line \d+ in (?:detect|__init__)')
_IN_CARD = re.compile(r'(?s)inference/gpu/cupy_device\.py", line \d+ in .*?backends/(\w+)\.py", line \d+ in ')
_THREAD = re.compile(r"^(?=(?:Current t|T)hread 0x)", re.MULTILINE)
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
        self._mark_file = context.folder.path / BUILDING
        self._trials = Trials(self._path, model, context.settings.state_path)
        self._info, self._verdicts = self._trials.run(self._keep_going)
        self.current: Detector = self._open_best()
        self._is_open = True
        if self._mark_file.exists():
            for one in self._trials.unbuilt:
                self._strike(one.backend, KILLED)
        unbuilt = [one for one in self._trials.unbuilt if one.backend not in self._strikes]
        self._building = Building(self._trials, unbuilt, self._info) if unbuilt else None
        self._mark(bool(unbuilt))

    @property
    def problems(self) -> list[str]:
        """What the owner should know: who was refused, and who has failed since."""
        failed = [f"backend {name} has failed: {why}" for name, why in self._strikes.items()]
        return [*problems(self._verdicts, self._wanted), *failed]

    @property
    def building(self) -> str:
        """What is being built meanwhile, for people; empty: nothing is."""
        progress = self._building.progress if self._building is not None else ""
        return f"{progress}; {self.current.backend} watches meanwhile" if progress else ""

    def follow(self) -> bool:
        """Change over to a backend whose engine was built meanwhile, where it is the best. It is open already.

        Return whether one was built, or failed.
        """
        if self._building is None or self._building.is_over or (built := self._building.look()) is None:
            return False
        self._verdicts[built.candidate] = built.verdict
        self._mark(not self._building.is_over)
        if built.failure:
            self._strike(built.candidate.backend, built.failure)
        if built.detector is not None:
            unused = built.detector
            if ranked(self._verdicts, self._wanted, self._strikes)[0] == built.candidate:
                self.current, unused = built.detector, self.current
            unused.close()
        return True

    def replace(self, error: BackendError) -> None:
        """The current one has failed: open the next. BackendError: it was the last."""
        if self.current.backend == REFERENCE:
            raise error
        why = str(error)  # a log may keep what it is given, and with an error the card's memory
        log.error("%s; another backend takes over", why)
        self._strike(self.current.backend, why)
        self.close()
        self.current = self._open_best()
        self._is_open = True

    def close(self) -> None:
        """Close the one in use; once, also where no other could be opened after it."""
        if self._is_open:
            self._is_open = False
            self.current.close()

    def stop(self) -> None:
        """Close all there is, also what is being built."""
        if self._building is not None:
            self._building.close()
        self._mark(False)
        self.close()

    def _mark(self, is_building: bool) -> None:
        """Leave a mark for as long as an engine is built: what takes this process along must not be begun again."""
        with contextlib.suppress(OSError):
            self._mark_file.touch() if is_building else self._mark_file.unlink(missing_ok=True)

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
                why = str(error)
                log.error("%s; another backend takes over", why)  # noqa: TRY400 -- its text says all
                self._strike(candidate.backend, why)
                if isinstance(error, EngineError):
                    self._trials.forget(candidate.backend)
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
    threads = _THREAD.split(trace)
    # Of a crash the thread is named that did it, and may be the one that builds. A hang is the main thread's, the last;
    # or that of the one that opens what was built, if its library lets nobody else run.
    opens = next((one for one in threads if "/building.py" in one and _IN_BACKEND.search(one)), threads[-1])
    ended = next((one for one in threads if one.startswith("Current")), opens)
    inside = _IN_BACKEND.findall(ended)
    card = _IN_CARD.search(ended)
    return inside[-1] if inside else card[1] if card else ""
