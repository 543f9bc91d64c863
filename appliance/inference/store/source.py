"""Where a model is downloaded from: an address, or a file of a repository on the hub. Values only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import quote

from yarl import URL

from appliance.inference.store.catalogue import APACHE, VARIANTS, refuse_platform_models
from appliance.inference.store.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

HUB = "https://huggingface.co"
DEFAULT_REPOSITORY = "jordandelbar/rf-detr-s-int8"
"""RF-DETR small, as the author of detr-mmap, the ancestor, publishes it."""
DEFAULT_FILE = "inference_model.onnx"
DEFAULT_REVISION = "main"

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_NAME = re.compile(r"[a-z0-9_][a-z0-9_.-]*\.onnx", re.ASCII)
_MOST_NAME = 100
_NAMELESS = {"inference_model", "model", "download", ""}
"""What files are called that have nothing to say."""


@dataclass(frozen=True, slots=True)
class Source:
    """One place. Two places are the same where `id` is; it goes into the record."""

    id: str
    url: URL
    name: str
    """What the model is called in the store, unless somebody wants it otherwise."""
    licence: str

    @property
    def shown(self) -> str:
        """For people: without what may be a signature or a password in the query."""
        return without_query(self.id)


@dataclass(frozen=True, slots=True)
class Hub:
    """The hub and, where one is given, the token for it. HF_ENDPOINT and HF_TOKEN are the hub's own variables."""

    url: URL
    token: str = ""

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Hub:
        """RefusedError: the variables cannot be used."""
        token = environ.get("HF_TOKEN", "").strip()
        if not (token.isascii() and token.isprintable()):
            raise RefusedError("HF_TOKEN holds characters that no token has; correct or unset it")
        return cls(address(environ.get("HF_ENDPOINT", "").strip() or HUB, "HF_ENDPOINT: "), token)

    def token_for(self, url: URL) -> str:
        """Return the token where `url` is the hub's, and nobody between can read it; else nothing."""
        is_private = url.scheme == "https" or is_loopback(url)
        return self.token if is_private and url.origin() == self.url.origin() else ""


def source(what: str | None, file: str, revision: str, hub: Hub) -> Source:
    """Return the place that the words of the command line mean. RefusedError: none, and what would be right."""
    if what is None:
        what = DEFAULT_REPOSITORY
    refuse_platform_models(what)
    if "://" in what:
        return _of_address(what)
    if what.lower() in VARIANTS:
        raise RefusedError(f"{what} is not published as an ONNX file; make one: porchlight model export {what.lower()}")
    if not _REPOSITORY.fullmatch(what):
        raise RefusedError(
            f"{what!r} is neither an address (https://...) nor a repository on the hub (owner/name); without it, "
            f"{DEFAULT_REPOSITORY} is meant"
        )
    return _of_hub(what, file, revision, hub)


def valid_name(name: str) -> str:
    """Return a name in the store, with its ending. RefusedError: it cannot be one."""
    full = name if name.endswith(".onnx") else f"{name}.onnx"
    if not _NAME.fullmatch(full) or len(full) > _MOST_NAME:
        raise RefusedError(f"{name!r} is no name for a model; write a-z, 0-9, _, . and -, such as porch-small.onnx")
    return full


def address(text: str, before: str = "") -> URL:
    """Return an address to download from. RefusedError: it is none."""
    try:
        url = URL(text).with_fragment(None)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise RefusedError(f"{before}{text!r} is no address; write https://host/path/model.onnx")
    if url.raw_user is not None or url.raw_password is not None:
        shown = without_query(str(url.with_user(None)))
        raise RefusedError(f"{before}{shown} comes with a user or password; the store keeps addresses, not passwords")
    return url


def is_loopback(url: URL) -> bool:
    try:
        return ip_address(url.host or "").is_loopback
    except ValueError:
        return url.host == "localhost"


def without_query(text: str) -> str:
    path, mark, _ = text.partition("?")
    return f"{path}?..." if mark else path


def _of_hub(repository: str, file: str, revision: str, hub: Hub) -> Source:
    refuse_platform_models(file)
    if not revision or not file or any(part in {"", ".", ".."} for part in file.split("/")):
        raise RefusedError(f"{file!r} at {revision!r} is no file of a repository on the hub")
    parts = (*repository.split("/"), "resolve", revision, *file.split("/"))
    url = hub.url.joinpath(*(quote(part, safe="") for part in parts), encoded=True)
    stem = _stem(file)
    name = repository.rpartition("/")[2] + (f"-{stem}" if stem not in _NAMELESS else "")
    licence = f"unknown; the page of {repository} on the hub has it"
    if repository == DEFAULT_REPOSITORY:
        licence = f"{APACHE.format(name='small')}; this file by the author of detr-mmap, see its page on the hub"
    return Source(f"hub:{repository}/{file}@{revision}", url, derived_name(name), licence)


def _of_address(text: str) -> Source:
    url = address(text)
    stem = _stem(url.name)
    name = stem if stem not in _NAMELESS else f"{url.host}-model"
    return Source(str(url), url, derived_name(name), f"unknown; {url.host} may have it")


def _stem(file: str) -> str:
    return file.rpartition("/")[2].removesuffix(".onnx")


def derived_name(name: str) -> str:
    """Return a name in the store that is like this one, whatever it holds."""
    plain = re.sub(r"[^a-z0-9_.-]+", "-", name.lower()).lstrip(".-")[: _MOST_NAME - len(".onnx")]
    return valid_name(plain or "model")
