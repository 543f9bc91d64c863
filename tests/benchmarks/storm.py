"""Chapter: full-size pictures under SIGKILL: is one ever torn? Beside the ancestor's one cell, and seqlocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.report import Chapter, Ratio, Table
from tests.ipc.storm import Outcome, storm

if TYPE_CHECKING:
    from pathlib import Path

READS = 100_000
KILLS = 1_500
CAMERA_FPS = 30


def run(folder: Path, quick: bool) -> Chapter:
    """Return the chapter; `quick` takes a tenth of the reads."""
    del folder
    part = 10 if quick else 1
    lent = storm(READS // part, kills=KILLS // part, at_most_s=1500 / part)
    outcomes = {
        "slots lent, flat out": lent,
        "the ancestor's one cell, flat out": storm(3000 // part, way="cell", at_most_s=60),
        f"the ancestor's one cell, {CAMERA_FPS} frames a second": storm(
            3000 // part, way="cell", fps=CAMERA_FPS, at_most_s=60
        ),
        "one seqlock, flat out": storm(3000 // part, way="seqlock", at_most_s=20),
        "a ring of seqlocks, flat out": storm(3000 // part, way="ring", at_most_s=20),
    }
    return Chapter(
        "The mailbox: a storm of kills",
        "1080p RGB pictures, stamped in every 4 KiB page; a writer as fast as it can, one steady reader, one that "
        "keeps each picture for some milliseconds, one that is killed up to 100 ms after its first read and started "
        "again; the writer is killed now and then. Each reader looks at every stamp twice.",
        (
            Ratio("torn reads of slots lent", float(lent.torn), 0.0),
            Ratio("reads of slots lent that were refused as damaged", float(lent.refused), 0.0),
            Ratio("times that the writer had no free slot", float(lent.no_free_slot), 0.0),
        ),
        (
            Table(
                "What came of it",
                ("", "reads", "torn", "given up", "slow reader read", "and gave up", "readers killed", "writers", "s"),
                tuple((name, *_row(outcome)) for name, outcome in outcomes.items()),
                "Given up: a seqlock's reader sees that it was overwritten and has nothing; who is slow is always "
                "overwritten.",
            ),
        ),
    )


def _row(outcome: Outcome) -> tuple[object, ...]:
    return (
        f"{outcome.total:,}",
        outcome.torn,
        sum(outcome.retries.values()),
        outcome.reads.get("slow", 0),
        outcome.retries.get("slow", 0),
        outcome.kills,
        outcome.writer_restarts,
        outcome.seconds,
    )
