"""What is known of a model in the store: a JSON file beside it. The one door to that file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Record:
    """`sha256` is what the file must have, also when it is downloaded again. `at` is UTC, ISO 8601."""

    name: str
    source: str
    sha256: str
    bytes: int
    at: str
    licence: str
    etag: str = ""
    modified: str = ""


def read(path: Path) -> Record | None:
    """Return the record; None where there is none that can be read."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return Record(**{field.name: _checked(said[field.name], str(field.type)) for field in fields(Record)})
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def text(record: Record) -> str:
    return json.dumps(asdict(record), indent=2, ensure_ascii=False) + "\n"


def _checked(value: Any, kind: str) -> Any:
    if type(value).__name__ != kind:
        raise TypeError(kind)
    return value
