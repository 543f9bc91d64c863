"""A finished FlatBuffer that is laid out once and patched in place ever after.

The official builder makes one buffer at its largest size, with every scalar given a place (ForceDefaults). From then on
nothing is serialised: the scalars are packed in one call at the places that the buffer's own vtable names, and the one
vector's length is patched. Any FlatBuffers reader in any language can read the result.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from appliance.ipc.errors import CorruptError

_UOFFSET = struct.Struct("<I")
_SOFFSET = struct.Struct("<i")
_VOFFSET = struct.Struct("<H")
_SEQUENCE = struct.Struct("<Q")
_IDENTIFIER = slice(4, 8)


@dataclass(frozen=True, slots=True)
class TableSpec:
    """What one channel's table looks like, as far as patching needs to know.

    `scalars` are (field id in the schema, struct code), in the order in which values are given; field 0 is `sequence`
    and not among them. `vector` is the field id of the one vector, whose elements have `element_bytes`.
    """

    identifier: bytes
    scalars: tuple[tuple[int, str], ...]
    vector: int
    element_bytes: int


class Layout:
    """Where the fields of one finished buffer lie. CorruptError where they would lie outside of it."""

    __slots__ = (
        "_order",
        "_pack",
        "_scalars_at",
        "_sequence_at",
        "_unorder",
        "capacity",
        "length_at",
        "vector_at",
    )

    def __init__(self, buffer: memoryview, spec: TableSpec, source: str) -> None:
        """Find every field through the vtable; `source` names the file and slot in errors."""
        if len(buffer) < 16:
            raise CorruptError(f"{source}: {len(buffer)} bytes are no FlatBuffer")
        identifier = bytes(buffer[_IDENTIFIER])
        if identifier != spec.identifier:
            raise CorruptError(f"{source}: holds {identifier!r}, this version reads {spec.identifier!r}")
        table = self._follow(buffer, 0, source)
        vtable = table - _SOFFSET.unpack_from(buffer, table)[0]
        if not 0 <= vtable <= len(buffer) - 4:
            raise CorruptError(f"{source}: its vtable lies outside of the buffer")
        vtable_bytes = _VOFFSET.unpack_from(buffer, vtable)[0]
        if vtable + vtable_bytes > len(buffer):
            raise CorruptError(f"{source}: its vtable ends outside of the buffer")

        def place(field_id: int, size: int) -> int:
            entry = 4 + 2 * field_id
            offset = _VOFFSET.unpack_from(buffer, vtable + entry)[0] if entry + 2 <= vtable_bytes else 0
            if offset == 0:
                raise CorruptError(f"{source}: field {field_id} has no place (was it built without ForceDefaults?)")
            if table + offset + size > len(buffer):
                raise CorruptError(f"{source}: field {field_id} lies outside of the buffer")
            return table + offset

        self._sequence_at = place(0, _SEQUENCE.size)
        vector_field = place(spec.vector, _UOFFSET.size)
        places = [(place(i, struct.calcsize(f"<{code}")), code) for i, code in spec.scalars]
        self._lay_out_scalars(places, (self._sequence_at, vector_field), source)
        self.length_at = self._follow(buffer, vector_field, source)
        self.vector_at = self.length_at + _UOFFSET.size
        self.capacity = (len(buffer) - self.vector_at) // spec.element_bytes

    def write(self, buffer: memoryview, values: tuple[object, ...], length: int, sequence: int) -> None:
        """Patch everything in: length, scalars, and the sequence last, so that a half-written slot says 0."""
        if length > self.capacity:
            raise ValueError(f"{length} elements do not fit a vector laid out for {self.capacity}")
        _SEQUENCE.pack_into(buffer, self._sequence_at, 0)
        _UOFFSET.pack_into(buffer, self.length_at, length)
        order = self._order
        self._pack.pack_into(buffer, self._scalars_at, *[values[i] for i in order])
        _SEQUENCE.pack_into(buffer, self._sequence_at, sequence)

    def read(self, buffer: memoryview) -> tuple[int, int, list[object]]:
        """Return sequence, vector length and scalars in their order. CorruptError: a length beyond the capacity."""
        length = _UOFFSET.unpack_from(buffer, self.length_at)[0]
        if length > self.capacity:
            raise CorruptError(f"a vector claims {length} elements where {self.capacity} were laid out")
        raw = self._pack.unpack_from(buffer, self._scalars_at)
        return self.sequence(buffer), length, [raw[i] for i in self._unorder]

    def sequence(self, buffer: memoryview) -> int:
        value: int = _SEQUENCE.unpack_from(buffer, self._sequence_at)[0]
        return value

    def _follow(self, buffer: memoryview, at: int, source: str) -> int:
        target = at + int(_UOFFSET.unpack_from(buffer, at)[0])
        if target > len(buffer) - _UOFFSET.size:
            raise CorruptError(f"{source}: an offset points outside of the buffer")
        return target

    def _lay_out_scalars(self, places: list[tuple[int, str]], others: tuple[int, ...], source: str) -> None:
        """One struct over all scalars, in the order in which they lie, with the gaps as padding (which packs as zeros,
        so nothing else may lie there).
        """
        by_place = sorted(range(len(places)), key=lambda i: places[i][0])
        code = "<"
        at = start = places[by_place[0]][0]
        for i in by_place:
            position, kind = places[i]
            if position < at or any(at <= other < position for other in others):
                raise CorruptError(f"{source}: its scalars are not one block: laid out by something else")
            code += "x" * (position - at) + kind
            at = position + struct.calcsize(f"<{kind}")
        self._scalars_at = start
        self._pack = struct.Struct(code)
        self._order = tuple(by_place)
        unorder = [0] * len(by_place)
        for rank, i in enumerate(by_place):
            unorder[i] = rank
        self._unorder = tuple(unorder)
