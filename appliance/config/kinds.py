"""The kinds of values that settings are made of."""

import unicodedata
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from appliance.config.problem import BadSettingError


@dataclass(frozen=True, slots=True)
class Hint:
    """What would be right for a text, in words that end the sentence "write ..."."""

    text: str


def _clean(text: str) -> str:
    """Refuse control characters, among them a line's end, and halves of characters: MQTT carries neither."""
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
        raise BadSettingError("has a character that cannot be used", "write it on one line, in plain letters")
    return text


def _clean_secret(secret: SecretStr) -> SecretStr:
    _clean(secret.get_secret_value())
    return secret


def _resolvable(host: str) -> str:
    """Refuse what no name service can be asked for: an empty part between dots, or one of more than 63 letters."""
    try:
        host.encode("idna")
    except UnicodeError:
        raise BadSettingError(f'"{host}" cannot be a host name', "check its dots") from None
    return host


def _address(text: str) -> str:
    """Refuse what is no IP address; return it in its usual spelling."""
    try:
        return str(ip_address(text))
    except ValueError:
        raise BadSettingError(f'"{text}" is no IP address', "write one such as 172.30.32.2") from None


def _words(value: object) -> object:
    """Take "person, dog" for a list of two: an environment variable has no other way to be one."""
    return [word.strip() for word in value.split(",")] if isinstance(value, str) else value


def _from_home(path: Path) -> Path:
    """Return `path` with a leading ~ replaced by the home folder."""
    try:
        full = path.expanduser()
    except RuntimeError:
        raise BadSettingError("starts with the home folder of nobody known here", "write it out") from None
    return Path(_clean(str(full)))


Word = Annotated[
    str,
    Field(pattern=r"^[a-z0-9_]+$", max_length=32),
    Hint("1 to 32 of a-z, 0-9 and _, such as front_door"),
]
Title = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_clean), Hint("text of 1 to 64 characters")]
Host = Annotated[
    str,
    Field(pattern=r"^[^\s/@]+$", max_length=253),
    AfterValidator(_resolvable),
    Hint("a host name or an address alone, without mqtt:// or http://"),
]
Topic = Annotated[
    str,
    Field(pattern=r"^[a-zA-Z0-9_-]+(/[a-zA-Z0-9_-]+)*$", max_length=128),
    Hint("words of a-z, A-Z, 0-9, _ and - with / between them"),
]
Text = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_clean), Hint("text of 1 to 256 characters")]
Secret = Annotated[
    SecretStr,
    Field(min_length=1, max_length=256),
    AfterValidator(_clean_secret),
    Hint("text of 1 to 256 characters"),
]
LongSecret = Annotated[
    SecretStr,
    Field(min_length=1, max_length=8192),
    AfterValidator(_clean_secret),
    Hint("text of 1 to 8192 characters"),
]
Token = Annotated[
    SecretStr,
    Field(min_length=16, max_length=256),
    AfterValidator(_clean_secret),
    Hint("text of 16 to 256 characters"),
]
Url = Annotated[
    str, Field(min_length=1, max_length=2048), AfterValidator(_clean), Hint("a URL such as file:///clip.mp4")
]
ClassNames = Annotated[
    tuple[Title, ...],
    BeforeValidator(_words),
    Field(min_length=1, max_length=100),
    Hint("class names such as person, dog"),
]
Addresses = Annotated[
    tuple[Annotated[str, AfterValidator(_address)], ...],
    BeforeValidator(_words),
    Field(max_length=16),
    Hint("addresses such as 172.30.32.2"),
]
LocalPath = Annotated[Path, AfterValidator(_from_home), Hint("a path")]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)
