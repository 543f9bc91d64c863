"""How a server tells one version of a file from another, and which part of it an answer holds. Values only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_RANGE = re.compile(r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(\d{1,18}|\*)", re.ASCII)

_LENGTH = re.compile(r"\d{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Version:
    """What an answer's headers say of the whole file; `total` is its length in bytes. Empty: they do not say."""

    etag: str = ""
    modified: str = ""
    total: int | None = None

    @property
    def validator(self) -> str:
        """For If-Range; empty where nothing would tell two versions apart (a weak ETag does not, by its meaning)."""
        return self.modified if self.etag.startswith("W/") or not self.etag else self.etag

    @property
    def conditions(self) -> dict[str, str]:
        """The headers that ask for the file only if it is another; none where it cannot be asked so."""
        if self.etag:
            return {"If-None-Match": self.etag}
        return {"If-Modified-Since": self.modified} if self.modified else {}

    def may_be(self, other: Version) -> bool:
        """Whether nothing that both know contradicts that they are the same file."""
        pairs = ((self.etag, other.etag), (self.modified, other.modified), (self.total, other.total))
        return all(not ours or not theirs or ours == theirs for ours, theirs in pairs)


def of_whole(headers: Mapping[str, str]) -> Version:
    """Return the version of an answer that holds the whole file."""
    length = headers.get("Content-Length", "")
    return Version(*_marks(headers), int(length) if _LENGTH.fullmatch(length) else None)


def of_part(headers: Mapping[str, str]) -> tuple[int | None, Version]:
    """Return where the part in this answer begins, and the version that it is of. None: it holds none, or says it so
    that nobody understands.
    """
    match = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if match is None:
        return None, Version(*_marks(headers))
    first, total = match[1], match[2]
    return (None if first is None else int(first)), Version(*_marks(headers), None if total == "*" else int(total))


def _marks(headers: Mapping[str, str]) -> tuple[str, str]:
    return headers.get("ETag", "").strip(), headers.get("Last-Modified", "").strip()
