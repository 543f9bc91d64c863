"""What is in the store, and what can be had: as a table, and as one JSON document."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from appliance.inference.store.catalogue import VARIANTS, WHY_REFUSED
from appliance.inference.store.progress import megabytes
from appliance.inference.store.source import DEFAULT_FILE, DEFAULT_REPOSITORY, without_query

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from appliance.inference.store.shelf import Item

_SHA = 12
"""Letters of a hash that tell two models apart for people."""
_DEFAULT = "RF-DETR small, as the author of detr-mmap publishes it"


def table(folder: Path, items: Sequence[Item]) -> str:
    """Return it for a terminal."""
    lines = [f"In the store ({folder}):"]
    if items:
        head = ("name", "size", "sha256", "as recorded?", "got", "from")
        lines += _columns([head, *(_row(item) for item in items)])
    else:
        lines.append("  nothing yet")
    lines += ["", "What can be had (AP on COCO, latency on a T4 with TensorRT FP16: as published, not measured here):"]
    rows = [
        (f"porchlight model export {v.name}", f"{v.side} x {v.side}", f"AP {v.ap}", f"{v.t4_ms} ms", "Apache-2.0")
        for v in VARIANTS.values()
    ]
    lines += _columns(rows)
    lines += [f"  porchlight model get  {_DEFAULT} ({DEFAULT_REPOSITORY}, {DEFAULT_FILE})"]
    return "\n".join([*lines, "", f"What cannot: {WHY_REFUSED}."])


def document(folder: Path, items: Sequence[Item]) -> str:
    """Return it as JSON."""
    return json.dumps(
        {
            "folder": str(folder),
            "models": [
                {
                    "name": item.name,
                    "path": str(item.path),
                    "state": item.state,
                    "bytes": item.size,
                    "sha256": item.sha256 or None,
                    "record": asdict(item.record) if item.record else None,
                }
                for item in items
            ],
            "export": [asdict(variant) for variant in VARIANTS.values()],
            "get": {"repository": DEFAULT_REPOSITORY, "file": DEFAULT_FILE},
            "refused": WHY_REFUSED,
        },
        indent=2,
    )


def _row(item: Item) -> tuple[str, ...]:
    known = item.record
    return (
        item.name,
        megabytes(item.size),
        item.sha256[:_SHA] or "-",
        item.state,
        known.at[:10] if known else "-",
        without_query(known.source) if known else "-",
    )


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
