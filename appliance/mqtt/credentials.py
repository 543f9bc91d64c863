"""The password at the broker: from the settings, or from a file that is read anew at each start."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appliance.config import Mqtt

LONGEST = 4096


class CredentialsError(ValueError):
    """There is no password to be had; the text says why, and nothing of what was found."""


def password_of(settings: Mqtt) -> str | None:
    """Return the password; None: there is none. CredentialsError where its file cannot be used."""
    if settings.password is not None:
        return settings.password.get_secret_value()
    if settings.password_file is None:
        return None
    where = f"mqtt.password_file: {settings.password_file}"
    try:
        if settings.password_file.exists() and not settings.password_file.is_file():
            raise CredentialsError(f"{where} is no file")
        with settings.password_file.open("rb") as file:
            first = file.readline(LONGEST + 1).decode().rstrip("\r\n")
    except OSError as error:
        raise CredentialsError(f"{where}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CredentialsError(f"{where} is no text") from None
    if len(first) > LONGEST:
        raise CredentialsError(f"{where}: its first line has more than {LONGEST} characters")
    if not first:
        raise CredentialsError(f"{where}: its first line is empty")
    return first
