"""Why the broker cannot be had, in words: it says so itself, or a connection of our own finds out where paho tells only
that it failed.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING

from appliance.mqtt.tls import TlsError, context

if TYPE_CHECKING:
    from appliance.config import Mqtt

PATIENCE_S = 5.0
_CONNECT = b"\x10\x1a\x00\x04MQTT\x04\x02\x00\x0a\x00\x0eporchlight-why"
"""MQTT 3.1.1's CONNECT without credentials: any broker answers it, be it with a refusal."""
_ALERT = 0x15
_CERTIFICATES = {
    10: "has expired; renew it at the broker, or set this machine's clock right",
    9: "is not valid yet; set this machine's clock right",
    18: "is signed by itself; name it, or the authority behind it, in mqtt.tls.ca_file",
    19: "is of an authority that is not known here; name its certificate in mqtt.tls.ca_file",
    20: "is of an authority that is not known here; name its certificate in mqtt.tls.ca_file",
    21: "is of an authority that is not known here; name its certificate in mqtt.tls.ca_file",
    62: "is for another name; write the name that it was made for in mqtt.host",
    64: "is for another address; write the name that it was made for in mqtt.host",
}
"""By OpenSSL's number of the fault (X509_V_ERR_...)."""
_CLIENT_WANTED = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "BAD_CERTIFICATE", "UNKNOWN_CA", "CERTIFICATE_UNKNOWN",
                  "CERTIFICATE_EXPIRED", "CERTIFICATE_REVOKED", "UNSUPPORTED_CERTIFICATE", "DECRYPT_ERROR")  # fmt: skip
_CREDENTIALS = "; check mqtt.username and mqtt.password"
_REMEDIES = {
    "Not authorized": _CREDENTIALS,
    "Bad user name or password": _CREDENTIALS,
    "Bad authentication method": _CREDENTIALS,
    "Unsupported protocol version": "; set mqtt.protocol: auto",
    "Banned": "; ask whoever runs the broker",
    "Server busy": "; it is tried again",
    "Server unavailable": "; it is tried again",
}
"""By MQTT's name of the broker's reason."""


def refusal(reason: str) -> str:
    """Return that the broker's answer was this reason, in MQTT's words, and what to do."""
    return f"refuses us: {reason}{_REMEDIES.get(reason, '')}"


def why(settings: Mqtt) -> str:
    """Return why there is no connection, and what to do; waits for the network, PATIENCE_S at each step."""
    return obstacle(settings) or "took the connection and ended it again; the broker's log may say why"


def obstacle(settings: Mqtt) -> str:
    """Return what lies between us and an answer of the broker's, as `why`; empty: nothing, but maybe the password."""
    try:
        secure = context(settings.tls) if settings.tls.enabled else None
        plain = socket.create_connection((settings.host, settings.port), PATIENCE_S)
    except TlsError as error:
        return str(error)
    except UnicodeError:
        return f'there is no host "{settings.host}"; check mqtt.host'
    except OSError as error:
        return _unreached(error, settings)
    with plain:
        try:
            return _asked(plain if secure is None else secure.wrap_socket(plain, server_hostname=settings.host))
        except ssl.SSLCertVerificationError as error:
            told = _CERTIFICATES.get(error.verify_code, f"is not accepted ({error.verify_message})")
            return f"its certificate {told}"
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return _closed(settings)
        except ssl.SSLError as error:
            return _handshake(error, settings)
        except TimeoutError:
            return "takes the connection and says nothing; is it an MQTT broker" + ("'s TLS port?" if secure else "?")
        except OSError:
            return _closed(settings)


def _unreached(error: OSError, settings: Mqtt) -> str:
    match error:
        case socket.gaierror():
            return f'there is no host "{settings.host}"; check mqtt.host and the network\'s name service'
        case TimeoutError():
            return "does not answer; check mqtt.host, mqtt.port, and that no firewall is in between"
        case ConnectionRefusedError():
            return "nobody listens there; is the broker running, and mqtt.port right?"
    return f"cannot be reached ({error.strerror or error})"


def _asked(connection: socket.socket) -> str:
    with connection:
        with contextlib.suppress(ssl.SSLEOFError):  # hung up on, perhaps with a word that is still to be read
            connection.sendall(_CONNECT)
        answer = connection.recv(4)
    if not answer:
        raise ConnectionResetError
    if answer[0] == _ALERT:
        return "speaks TLS there; set mqtt.tls.enabled, or use its plain port (mostly 1883)"
    if answer[0] != 0x20:
        return "is no MQTT broker; check mqtt.port"
    return ""


def _handshake(error: ssl.SSLError, settings: Mqtt) -> str:
    reason = error.reason or str(error)
    if any(word in reason for word in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER")):
        return "speaks no TLS there; use its TLS port (mostly 8883), or set mqtt.tls.enabled: false"
    if any(word in reason for word in _CLIENT_WANTED):
        if settings.tls.cert_file is None:
            return "wants a client certificate; name it in mqtt.tls.cert_file, and its key in mqtt.tls.key_file"
        return f"does not accept our client certificate, {settings.tls.cert_file} ({reason})"
    return f"no TLS with it ({reason})"


def _closed(settings: Mqtt) -> str:
    if settings.tls.enabled:
        return (
            "ends the connection without a word; is it a plain port (then mqtt.tls.enabled: false), "
            "or does it want a client certificate (mqtt.tls.cert_file)?"
        )
    return "ends the connection without a word; does it speak TLS there (mqtt.tls.enabled)?"
