"""HTTP's two ways to ask for a user and a password: Basic (RFC 7617) and Digest (RFC 7616). Values in, values out.

aiohttp's digest middleware reads the first WWW-Authenticate header only. Cameras send one for each way, in any order;
where both are offered, the one that keeps the password to itself is taken.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WORD = r"[\w!#$%&'*+.^`|~-]+"
_PART = re.compile(rf'({_WORD})(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?')
_HASHES = {"md5": "md5", "sha-256": "sha256"}


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a 401 asks for; names in lower case."""

    scheme: str
    parameters: dict[str, str]

    @property
    def _algorithm(self) -> tuple[str, bool]:
        name = self.parameters.get("algorithm", "MD5").lower()
        return _HASHES.get(name.removesuffix("-sess"), ""), name.endswith("-sess")

    @property
    def is_digest_we_know(self) -> bool:
        qop = (self.parameters.get("qop") or "auth").lower()
        return (
            self.scheme == "digest"
            and bool(self._algorithm[0])
            and bool(self.parameters.get("nonce"))
            and "auth" in [one.strip() for one in qop.split(",")]
        )

    def digest(self, user: str, password: str, uri: str, cnonce: str) -> str:
        """Return the Authorization header of one GET for `uri` (path and query as sent)."""
        asked = self.parameters
        name, is_session = self._algorithm
        realm, nonce = asked.get("realm", ""), asked["nonce"]

        def hashed(*parts: str) -> str:
            return hashlib.new(name, ":".join(parts).encode(), usedforsecurity=False).hexdigest()

        secret, what = hashed(user, realm, password), hashed("GET", uri)
        if is_session:
            secret = hashed(secret, nonce, cnonce)
        said = {"username": user, "realm": realm, "nonce": nonce, "uri": uri}
        bare = {"algorithm": asked["algorithm"]} if "algorithm" in asked else {}
        if asked.get("qop"):
            said["response"] = hashed(secret, nonce, "00000001", cnonce, "auth", what)
            bare |= {"qop": "auth", "nc": "00000001"}
        else:
            said["response"] = hashed(secret, nonce, what)
        if asked.get("qop") or is_session:
            said["cnonce"] = cnonce
        if "opaque" in asked:
            said["opaque"] = asked["opaque"]
        quoted = [f'{key}="{_escaped(value)}"' for key, value in said.items()]
        return "Digest " + ", ".join(quoted + [f"{key}={value}" for key, value in bare.items()])


def challenges(headers: Iterable[str]) -> list[Challenge]:
    """Return what the WWW-Authenticate headers of an answer ask for; one header may hold several."""
    found: list[Challenge] = []
    for header in headers:
        fresh: Challenge | None = None
        for part in _PART.finditer(header):
            name, quoted, plain = part.groups()
            if quoted is None and plain is None:
                fresh = Challenge(name.lower(), {})
                found.append(fresh)
            elif fresh is not None:
                fresh.parameters.setdefault(name.lower(), plain if quoted is None else _unescaped(quoted))
    return found


def authorization(offered: Sequence[Challenge], user: str, password: str, uri: str) -> str | None:
    """Return the Authorization header that answers one of `offered`; None if none of them can be answered."""
    for challenge in offered:
        if challenge.is_digest_we_know:
            return challenge.digest(user, password, uri, secrets.token_hex(8))
    if any(challenge.scheme == "basic" for challenge in offered):
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    return None


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _unescaped(value: str) -> str:
    return value.replace("\\\\", "\\").replace('\\"', '"')
