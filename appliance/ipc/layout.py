"""A finished FlatBuffer that is laid out once and patched in place ever after.

The official builder makes one buffer at its largest size, with every scalar given a place (ForceDefaults). From then on
nothing is serialised: the scalars and the one vector's length are packed in one call at the places that the buffer's
own vtable names. Any FlatBuffers reader in any language can read the result.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from appliance.ipc.errors import CorruptError

if TYPE_CHECKING:
    from collections.abc import Callable

_UOFFSET = struct.Struct("<I")
_SOFFSET = struct.Struct("<i")
_VOFFSET = struct.Struct("<H")
_SEQUENCE = struct.Struct("<Q")
_IDENTIFIER = slice(4, 8)
UNFINISHED = 0
"""The sequence of a slot that is being written, or never was."""
_LARGEST_GAP = 64
"""Between the scalars and the vector's length: alignment, no more."""


@dataclass(frozen=True, slots=True)
class TableSpec:
    """What one channel's table looks like, as far as patching needs to know.

    `scalars` are (field id in the schema, struct code) in the order in which they lie and in which values are given,
    behind `sequence`, which is field 0. `vector` is the field of the one vector; its elements have `element_bytes`.
    """

    identifier: bytes
    scalars: tuple[tuple[int, str], ...]
    vector: int
    element_bytes: int


class Layout:
    """Where the fields of one finished buffer lie: one block from the sequence to the vector's length, so that all of
    it is written or read in one call. CorruptError where the buffer has something else.
    """

    __slots__ = ("_read_sequence", "_unpack", "capacity", "commit", "pack", "vector_at")

    def __init__(self, buffer: memoryview, spec: TableSpec, source: str) -> None:
        """Find every field through the vtable; `source` names the file and slot in errors."""
        if len(buffer) < 16:
            raise CorruptError(f"{source}: {len(buffer)} bytes are no FlatBuffer")
        identifier = bytes(buffer[_IDENTIFIER])
        if identifier != spec.identifier:
            raise CorruptError(f"{source}: holds {identifier!r}, this version reads {spec.identifier!r}")
        places = _Places(buffer, source)
        at = places.of(0, _SEQUENCE.size)
        code = "<Q"
        for field_id, kind in spec.scalars:
            place = places.of(field_id, struct.calcsize(f"<{kind}"))
            gap = place - at - struct.calcsize(code)
            if gap < 0:
                raise CorruptError(f"{source}: field {field_id} is not in its order: laid out by something else")
            code += "x" * gap + kind
        vector_field = places.of(spec.vector, _UOFFSET.size)
        length_at = _follow(buffer, vector_field, source)
        gap = length_at - at - struct.calcsize(code)
        if vector_field + _UOFFSET.size > at or not 0 <= gap < _LARGEST_GAP:
            raise CorruptError(f"{source}: its vector does not follow its scalars: laid out by something else")
        block = struct.Struct(code + "x" * gap + "I")
        self.pack: Callable[..., None] = partial(block.pack_into, buffer, at, UNFINISHED)
        """Called with the scalars in their order and the vector's length: patches them in, and marks the slot as
        UNFINISHED. The elements must have been written before; whoever wrote them knows that they fit.
        """
        self.commit: Callable[[int], None] = partial(_SEQUENCE.pack_into, buffer, at)
        """Called with the sequence, last: a slot whose publisher was killed before is UNFINISHED."""
        self._unpack = partial(block.unpack_from, buffer, at)
        self._read_sequence = partial(_SEQUENCE.unpack_from, buffer, at)
        self.vector_at = length_at + _UOFFSET.size
        self.capacity = (len(buffer) - self.vector_at) // spec.element_bytes

    def read(self) -> tuple[Any, ...]:
        """Return sequence, scalars in their order, the vector's length. CorruptError: a length beyond the capacity."""
        values = self._unpack()
        if values[-1] > self.capacity:
            raise CorruptError(f"a vector claims {values[-1]} elements where {self.capacity} were laid out")
        return values

    @property
    def sequence(self) -> int:
        value: int = self._read_sequence()[0]
        return value


class _Places:
    """A buffer's root table and the places of its fields, as its vtable names them."""

    def __init__(self, buffer: memoryview, source: str) -> None:
        self._buffer = buffer
        self._source = source
        self._table = _follow(buffer, 0, source)
        self._vtable = self._table - _SOFFSET.unpack_from(buffer, self._table)[0]
        if not 0 <= self._vtable <= len(buffer) - 4:
            raise CorruptError(f"{source}: its vtable lies outside of the buffer")
        self._vtable_bytes = _VOFFSET.unpack_from(buffer, self._vtable)[0]
        if self._vtable + self._vtable_bytes > len(buffer):
            raise CorruptError(f"{source}: its vtable ends outside of the buffer")

    def of(self, field_id: int, size: int) -> int:
        """Return where `size` bytes of a field lie."""
        entry = 4 + 2 * field_id
        offset = 0
        if entry + 2 <= self._vtable_bytes:
            offset = int(_VOFFSET.unpack_from(self._buffer, self._vtable + entry)[0])
        if offset == 0:
            raise CorruptError(f"{self._source}: field {field_id} has no place (was it built without ForceDefaults?)")
        if self._table + offset + size > len(self._buffer):
            raise CorruptError(f"{self._source}: field {field_id} lies outside of the buffer")
        return self._table + offset


def _follow(buffer: memoryview, at: int, source: str) -> int:
    """Return where the offset at `at` points: four bytes there lie inside of the buffer."""
    target = at + int(_UOFFSET.unpack_from(buffer, at)[0])
    if target > len(buffer) - _UOFFSET.size:
        raise CorruptError(f"{source}: an offset points outside of the buffer")
    return target
