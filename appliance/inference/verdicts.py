"""Finds out what each backend makes of a model: in a trial, or from what an earlier start has found out."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from appliance.inference import int8, selftest, trial
from appliance.inference.backends import BACKENDS, REFERENCE
from appliance.inference.choice import Candidate, Verdict, candidates
from appliance.inference.detector import AbsentError, BackendError, ModelError
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


def installed(forms: Collection[str] = ()) -> list[str]:
    """Return the backends whose package is there, and the model's int8 form (`forms`) where they run one."""
    return [
        name
        for name, backend in BACKENDS.items()
        if backend.version is not None and (name in forms or not backend.takes_form)
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
        self.forms = self._find_forms()
        """The model's int8 forms, by the backend that runs them."""

    def file(self, backend: str) -> Path:
        """Return what this backend loads: the model, or its int8 form."""
        form = self.forms.get(backend)
        return form.file if form is not None else self._path

    def run(self, keep_going: Callable[[], bool]) -> tuple[ModelInfo | None, dict[Candidate, Verdict]]:
        """Return what the model is, and the verdict on each candidate. ModelError: no backend can use the model.

        Where there is nothing to choose, nothing is tried, and the model speaks for itself when it is opened.
        """
        cores = len(os.sched_getaffinity(0))
        wanted = candidates(self._settings.backend, self._settings.threads, cores, installed(self.forms))
        if len(wanted) == 1:
            return None, {wanted[0]: Verdict()}
        try:
            kept = VerdictFile(self._state_folder, self._path, {name: form.digest for name, form in self.forms.items()})
        except OSError as error:
            raise ModelError(f"{self._path} cannot be read: {error.strerror}") from None
        info = kept.info()
        verdicts = {one: verdict for one in wanted if info is not None and (verdict := kept.get(one))}
        untried = [one for one in wanted if one not in verdicts]
        if untried:
            log.info("trying %d ways to run %s, once; this takes a moment", len(untried), self._path.name)
        for candidate in untried:
            verdicts[candidate] = self.try_one(candidate, keep_going)
            kept.put(candidate, verdicts[candidate])
            if self._reference is not None:
                info = self._reference.info
                kept.put_info(info)
            kept.write()  # after each: a stop in between loses nothing
        return info, {one: verdicts[one] for one in wanted}

    def try_one(self, candidate: Candidate, keep_going: Callable[[], bool]) -> Verdict:
        """Return what comes of it, whatever is known already. ModelError: no backend can use the model."""
        if self._reference is None and candidate.backend != REFERENCE:
            self._ask(Candidate(REFERENCE, candidate.threads), keep_going)
        try:
            verdict = self._ask(candidate, keep_going)
        except BackendError as error:
            if not keep_going():
                raise
            verdict = Verdict(refused=str(error), absent=isinstance(error, AbsentError))
        what = verdict.refused or f"{verdict.latency_ms:.1f} ms for a picture"
        log.info("trial of %s, threads %d: %s", candidate.backend, candidate.threads, what)
        return verdict

    def _ask(self, candidate: Candidate, keep_going: Callable[[], bool]) -> Verdict:
        info = None if candidate.backend == REFERENCE or self._reference is None else self._reference.info
        if BACKENDS[candidate.backend].takes_form and candidate.backend not in self.forms:
            raise AbsentError("there is no int8 form of this model; `porchlight model quantize` makes one")
        file = str(self.file(candidate.backend))
        result = self._attempt(trial.Request(candidate.backend, file, candidate.threads, info), keep_going)
        if candidate.backend == REFERENCE:
            self._reference = self._reference or result
            return Verdict(result.latency_ms)
        if self._reference is None:
            raise ValueError("the reference goes first")
        tolerance = selftest.EXACT if BACKENDS[candidate.backend].exact else selftest.ROUNDED
        form = self.forms.get(candidate.backend)
        wrong = selftest.complaint(form.golden if form else self._reference.answer, result.answer, tolerance)
        return Verdict(result.latency_ms, wrong)

    def _find_forms(self) -> dict[str, int8.Form]:
        """Look for forms of exactly this model. Its hash takes time, and is not made where nobody has quantized."""
        try:
            if not (self._state_folder / int8.FOLDER).is_dir():
                return {}
            home = int8.home(self._state_folder, sha256(self._path))
        except OSError:
            return {}  # whoever loads the model, or writes the verdicts, says what cannot be read
        found = {name: int8.read(home / name) for name, backend in BACKENDS.items() if backend.takes_form}
        return {name: form for name, form in found.items() if form is not None}
