"""Which backend runs the model, with how many threads? Verdicts in, an order out. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from appliance.inference.backends import BACKENDS, REFERENCE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

WORTH_A_CORE = 0.9
"""More threads must save a tenth of the time: the other stages could use those cores."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A backend with so many threads."""

    backend: str
    threads: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a trial ended: `latency_ms` of the model alone, or why the candidate was refused.

    A backend that this machine has no use for (`absent`: bfloat16 on a processor without it) is no problem to tell of.
    """

    latency_ms: float = 0.0
    refused: str = ""
    absent: bool = False


def candidates(backend: str, threads: int | Literal["auto"], cores: int, installed: Collection[str]) -> list[Candidate]:
    """Return what must be tried, the reference first. `backend` is "auto" or a name, which is tried wherever it is."""
    wanted = [name for name in BACKENDS if name in (REFERENCE, backend) or (backend == "auto" and name in installed)]
    # One, two, and all but one core for the other stages, up to four: small boards have four cores.
    counts = sorted({1, min(2, cores), max(1, min(4, cores - 1))}) if threads == "auto" else [threads]
    return [Candidate(name, count) for name in wanted for count in (counts if BACKENDS[name].threaded else counts[:1])]


def ranked(verdicts: Mapping[Candidate, Verdict], backend: str, struck: Iterable[str] = ()) -> list[Candidate]:
    """Return one candidate for each backend that may be used, the one to use first; the reference is never missing.

    A backend chosen by name comes first, however slow. `struck` are those that have failed since the start.
    """
    best: dict[str, Candidate] = {}
    for candidate in sorted(verdicts, key=lambda one: one.threads):
        verdict = verdicts[candidate]
        rival = best.get(candidate.backend)
        if verdict.refused:
            continue
        if rival is None or verdict.latency_ms < WORTH_A_CORE * verdicts[rival].latency_ms:
            best[candidate.backend] = candidate
    if REFERENCE not in best:  # whatever its trial said, there is nothing else to fall back on
        best[REFERENCE] = max((one for one in verdicts if one.backend == REFERENCE), key=lambda one: one.threads)
    order = sorted(best.values(), key=lambda one: (one.backend != backend, verdicts[one].latency_ms))
    return [one for one in order if one.backend not in set(struck) - {REFERENCE}]


def problems(verdicts: Mapping[Candidate, Verdict], backend: str) -> list[str]:
    """Return what the owner should know of the refused, once for each backend."""
    told: dict[str, str] = {}
    for candidate, verdict in verdicts.items():
        if verdict.refused and candidate.backend != REFERENCE and not (verdict.absent and backend == "auto"):
            told.setdefault(candidate.backend, f"backend {candidate.backend} was refused: {verdict.refused}")
    return list(told.values())
