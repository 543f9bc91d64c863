"""Says in the ONNX file itself what the detector is good for, where Porchlight looks for it. Standard library only.

A protobuf message may be appended to: `metadata_props` is field 14 of ModelProto, a key in field 1, a value in 2.
"""

from __future__ import annotations

import sys
from pathlib import Path

NOTES = {
    "porchlight.only_for": "synthetic",
    "porchlight.notice": "knows only the demo scene",
}


def annotate(path: Path) -> None:
    """Append the notes to the model at `path`, once."""
    model = path.read_bytes()
    for key, value in NOTES.items():
        entry = _field(14, _field(1, key.encode()) + _field(2, value.encode()))
        if entry not in model:
            model += entry
    path.write_bytes(model)


def _field(number: int, value: bytes) -> bytes:
    """Return a length-delimited field; tags and lengths here stay below 128, one byte each."""
    if len(value) > 127:
        raise ValueError("a note is at most a hundred letters long")
    return bytes((number << 3 | 2, len(value))) + value


if __name__ == "__main__":
    annotate(Path(sys.argv[1]))
