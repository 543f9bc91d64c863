"""Finds out what each backend makes of a model: in a trial, or from what an earlier start has found out."""

from __future__ import annotations

import contextlib
import logging
import os
from functools import cached_property, partial
from typing import TYPE_CHECKING

from appliance.inference import engines, int8, kept, selftest, trial
from appliance.inference.backends import BACKENDS, REFERENCE
from appliance.inference.choice import Candidate, Verdict, candidates
from appliance.inference.detector import AbsentError, BackendError, EngineError, ModelError
from appliance.inference.digest import sha256
from appliance.inference.verdict_file import VerdictFile

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from appliance.config import Model
    from appliance.inference.detector import ModelInfo

log = logging.getLogger(__name__)


def report(
    path: Path, settings: Model, state_folder: Path, *, attempt: Callable[..., trial.Result] = trial.attempt
) -> Iterator[str]:
    """Try a model with every backend that is installed, anew, and say how each did, a line each."""
    trials = Trials(path, settings, state_folder, attempt=attempt)
    cores = len(os.sched_getaffinity(0))
    for candidate in candidates("auto", settings.threads, cores, installed(trials.forms)):
        verdict = trials.try_one(candidate, lambda: True)
        what = (
            f"refused: {verdict.refused}" if verdict.refused else f"passed, {verdict.latency_ms:.1f} ms for a picture"
        )
        yield f"self-test  {candidate.backend}, threads {candidate.threads}: {what}"


def built(
    path: Path,
    settings: Model,
    state_folder: Path,
    say: Callable[[str], None],
    *,
    again: bool = False,
    attempt: Callable[..., trial.Result] = trial.attempt,
) -> Iterator[tuple[str, str]]:
    """Have every engine of a model, building those that are missing. Yield each backend and why it has none, or "".

    What was refused in the last day is built once more where `again` says so. What the trials find out is kept, so that
    the next start has nothing to wait for. ModelError: no backend can use the model.
    """
    trials = Trials(path, settings, state_folder, attempt=attempt)
    _, verdicts = trials.run(lambda: True)
    refused = [one for one, verdict in verdicts.items() if verdict.refused and not trials.is_built(one.backend)]
    repeated = refused if again else []
    for candidate, verdict in verdicts.items():
        if BACKENDS[candidate.backend].builds and candidate not in repeated:
            yield candidate.backend, verdict.refused
    for candidate in (*repeated, *trials.unbuilt):
        say(f"{candidate.backend}: building its engine of {path.name}; this takes minutes")
        verdict = trials.build(candidate, lambda: True, partial(_tell, say, candidate.backend))
        trials.keep(candidate, verdict)
        yield candidate.backend, verdict.refused


def _tell(say: Callable[[str], None], backend: str, share: float) -> None:
    say(f"{backend}: {share:.0%}")


def installed(forms: Collection[str] = ()) -> list[str]:
    """Return the backends whose package is there, and the model's int8 form (`forms`) where they run one."""
    return [
        name
        for name, backend in BACKENDS.items()
        if backend.version is not None and (name in forms or not backend.form_of)
    ]


class Trials:
    """Finds out what each backend makes of a model, or remembers it."""

    def __init__(
        self,
        path: Path,
        settings: Model,
        state_folder: Path,
        *,
        attempt: Callable[..., trial.Result] = trial.attempt,
    ) -> None:
        self._path = path
        self._settings = settings
        self._state_folder = state_folder
        self._attempt = attempt
        self._reference: trial.Result | None = None
        self._kept: VerdictFile | None = None
        self.forms: dict[str, int8.Form] = {}
        """The model's int8 forms, by the backend that runs them."""
        self._engines: dict[str, Path] = {}
        self._loads: dict[str, str] = {}
        """What distinguishes what a backend loads, where that is not the model itself."""
        self._info: ModelInfo | None = None
        with contextlib.suppress(OSError):
            self._find()  # whoever loads the model, or writes the verdicts, says what cannot be read
        self.unbuilt: list[Candidate] = []
        """What is wanted, and could not be tried yet: its engine has to be built."""

    @cached_property
    def digest(self) -> str:
        """The model's SHA-256. OSError: it cannot be read."""
        return sha256(self._path)

    def file(self, backend: str) -> Path:
        """Return what this backend loads: the model, its int8 form, or its engine."""
        return self._engines.get(backend) or self._source(backend)

    def forget(self, backend: str) -> None:
        """This backend's engine cannot be loaded: it is built anew, at the next start."""
        if self._engines.pop(backend, None) is not None:
            self._loads.pop(backend, None)
            engines.discard(self._engine_folder(backend))

    def run(self, keep_going: Callable[[], bool]) -> tuple[ModelInfo | None, dict[Candidate, Verdict]]:
        """Return what the model is, and the verdict on each candidate. ModelError: no backend can use the model.

        Where there is nothing to choose, nothing is tried, and the model speaks for itself when it is opened.
        """
        cores = len(os.sched_getaffinity(0))
        wanted = candidates(self._settings.backend, self._settings.threads, cores, installed(self.forms))
        if len(wanted) == 1:
            return None, {wanted[0]: Verdict()}
        try:
            self._kept = VerdictFile(self._state_folder, self.digest, self._loads)
        except OSError as error:
            raise ModelError(f"{self._path} cannot be read: {error.strerror}") from None
        self._info = self._kept.info()
        verdicts = {one: known for one in wanted if self._info is not None and (known := self._kept.get(one))}
        untried = [one for one in wanted if one not in verdicts and self.is_built(one.backend)]
        if untried:
            log.info("trying %d ways to run %s, once; this takes a moment", len(untried), self._path.name)
        for candidate in untried:
            verdict = self.try_one(candidate, keep_going)
            if self.is_built(candidate.backend):  # else the trial has shown that its engine is worthless
                verdicts[candidate] = verdict
                self.keep(candidate, verdict)  # after each: a stop in between loses nothing
        self.unbuilt = [one for one in wanted if one not in verdicts]
        return self._info, {one: verdicts[one] for one in wanted if one in verdicts}

    def keep(self, candidate: Candidate, verdict: Verdict) -> None:
        """Remember it for the next start."""
        if self._kept is None:
            raise ValueError("nothing is kept before `run`")
        self._kept.put(candidate, verdict)
        if self._reference is not None:
            self._kept.put_info(self._reference.info)
        self._kept.write()

    def try_one(self, candidate: Candidate, keep_going: Callable[[], bool]) -> Verdict:
        """Return what comes of it, whatever is known already. ModelError: no backend can use the model."""
        if candidate.backend != REFERENCE:
            self._ask_reference(candidate.threads, keep_going)
        return self._verdict(candidate, keep_going, lambda: self._ask(candidate, keep_going))

    def build(self, candidate: Candidate, keep_going: Callable[[], bool], tell: Callable[[float], None]) -> Verdict:
        """Build the engine of one of `unbuilt`, try it, and keep it where it passes.

        `tell` hears how much is done, 0..1. ModelError: no backend can use the model.
        """
        backend, nice = candidate.backend, trial.BUILD_NICENESS
        source, folder = self._source(backend), self._engine_folder(backend)
        if self._info is None:
            self._ask_reference(candidate.threads, keep_going, nice)

        def ask(making: Path) -> trial.Result:
            request = trial.Request(backend, str(source), candidate.threads, self._info, str(making), nice)
            result = self._attempt(request, keep_going, trial.BUILD_PATIENCE_S, tell)
            self._ask_reference(
                candidate.threads, keep_going, nice
            )  # after it: where there is no card, it is not needed
            return result

        try:
            with kept.workplace(folder.parent) as making:
                verdict = self._verdict(candidate, keep_going, lambda: ask(making))
                if not verdict.refused:
                    engines.place(making, folder, backend, source)
        except OSError as error:
            verdict = Verdict(refused=f"its engine cannot be made or kept: {error.strerror or error}")
        self._find_engine(backend)
        engines.tidy(self._state_folder)
        return verdict

    def _ask_reference(self, threads: int, keep_going: Callable[[], bool], niceness: int = 0) -> trial.Result:
        """Have its answer, which all the others are held against. ModelError, BackendError."""
        if self._reference is None:
            request = trial.Request(REFERENCE, str(self._path), threads, niceness=niceness)
            self._reference = self._attempt(request, keep_going)
            self._info = self._reference.info
        return self._reference

    def _ask(self, candidate: Candidate, keep_going: Callable[[], bool]) -> trial.Result:
        backend = candidate.backend
        if backend == REFERENCE and self._reference is None:
            return self._ask_reference(candidate.threads, keep_going)
        if BACKENDS[backend].form_of and backend not in self.forms:
            raise AbsentError("there is no int8 form of this model; `porchlight model quantize` makes one")
        if not self.is_built(backend):
            raise AbsentError("its engine is not built yet; `porchlight model build` does that, or the next start")
        info = None if backend == REFERENCE else self._info
        return self._attempt(trial.Request(backend, str(self.file(backend)), candidate.threads, info), keep_going)

    def _verdict(
        self, candidate: Candidate, keep_going: Callable[[], bool], ask: Callable[[], trial.Result]
    ) -> Verdict:
        try:
            result = ask()
            verdict = Verdict(result.latency_ms, self._complaint(candidate.backend, result))
        except BackendError as error:
            if not keep_going():
                raise
            if isinstance(error, EngineError):
                self.forget(candidate.backend)
            verdict = Verdict(refused=str(error), absent=isinstance(error, AbsentError))
        what = verdict.refused or f"{verdict.latency_ms:.1f} ms for a picture"
        log.info("trial of %s, threads %d: %s", candidate.backend, candidate.threads, what)
        return verdict

    def _complaint(self, backend: str, result: trial.Result) -> str:
        """Return in what way it is wrong; empty where it is right."""
        if backend == REFERENCE:
            return ""
        if self._reference is None:
            raise ValueError("the reference goes first")
        tolerance = selftest.EXACT if BACKENDS[backend].exact else selftest.ROUNDED
        form = self.forms.get(backend)
        return selftest.complaint(form.golden if form else self._reference.answer, result.answer, tolerance)

    def _find(self) -> None:
        """Look for forms and engines of exactly this model. Its hash takes time: it is made where it may matter."""
        if (self._state_folder / int8.FOLDER).is_dir():
            home = int8.home(self._state_folder, self.digest)
            found = {name: int8.read(home / name) for name, backend in BACKENDS.items() if backend.form_of}
            self.forms = {name: form for name, form in found.items() if form is not None}
            self._loads = {name: form.digest for name, form in self.forms.items()}
        if (self._state_folder / engines.FOLDER).is_dir():
            for name, backend in BACKENDS.items():
                if backend.builds:
                    self._find_engine(name)

    def _find_engine(self, backend: str) -> None:
        if (found := engines.find(self._engine_folder(backend), backend)) is not None:
            form = self.forms.get(backend)
            self._engines[backend] = found.file
            self._loads[backend] = f"{form.digest} {found.digest}" if form is not None else found.digest

    def _engine_folder(self, backend: str) -> Path:
        form = self.forms.get(backend)
        return engines.place_of(self._state_folder, backend, form.sha256 if form is not None else self.digest)

    def _source(self, backend: str) -> Path:
        form = self.forms.get(backend)
        return form.file if form is not None else self._path

    def is_built(self, backend: str) -> bool:
        """Whether it can be tried as it is. What is not installed can: the trial says what is missing."""
        one = BACKENDS[backend]
        has_source = not one.form_of or backend in self.forms
        return not (one.builds and one.version is not None and has_source) or backend in self._engines
