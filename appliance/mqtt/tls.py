"""TLS to the broker, from the settings; what cannot work is said in words."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.config import Tls


class TlsError(ValueError):
    """These settings make no TLS; the text says which one and what would."""


def context(settings: Tls) -> ssl.SSLContext:
    """Return what a connection is wrapped in. TlsError; reads the files that are named."""
    made = ssl.create_default_context()
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if not settings.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if settings.ca_file is not None:
        _load_authorities(made, settings.ca_file)
    if settings.cert_file is not None:
        _load_certificate(made, settings, settings.cert_file)
    return made


def _load_authorities(made: ssl.SSLContext, file: Path) -> None:
    try:
        made.load_verify_locations(cafile=file)
    except ssl.SSLError:
        raise TlsError(f"mqtt.tls.ca_file: {file} holds no certificate in PEM form") from None
    except OSError as error:
        raise TlsError(f"mqtt.tls.ca_file: {file}: {error.strerror}") from None


def _load_certificate(made: ssl.SSLContext, settings: Tls, file: Path) -> None:
    secret = settings.key_password
    # A callable, or OpenSSL would ask at the terminal, and wait there.
    password = secret.get_secret_value() if secret is not None else ""
    try:
        made.load_cert_chain(file, settings.key_file, password=lambda: password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError(f"mqtt.tls.key_file is not the key of {file}") from None
        key = settings.key_file or file
        if "PASS" in (error.reason or "") or "DECRYPT" in (error.reason or "") or error.reason is None:
            raise TlsError(f"mqtt.tls.key_password does not open {key}, or one of the two files is broken") from None
        raise TlsError(f"mqtt.tls.cert_file: {file} and its key cannot be used ({error.reason})") from None
    except OSError as error:
        lacks_key = file.exists() and settings.key_file is not None
        which = f"key_file: {settings.key_file}" if lacks_key else f"cert_file: {file}"
        raise TlsError(f"mqtt.tls.{which}: {error.strerror}") from None
    except ValueError:  # longer than OpenSSL takes
        raise TlsError("mqtt.tls.key_password cannot be a password") from None
