"""What is wrong with a camera, in words for its owner; the URL that may be shown and a colon stand before them.

None of them is an exception's own text: aiohttp's repeat URLs and headers.
"""

from __future__ import annotations

import errno
import http
import os
import re
import ssl
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Sequence

_STREAM = "write the URL of the camera's MJPEG stream"
_WITH_LOGIN = "http://user:password@host/..."
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|body|\?xml)", re.IGNORECASE)


def of_status(status: int) -> str:
    """Say what an answer means that is neither a stream, nor a redirect, nor asks for a password."""
    try:
        answer = f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        answer = str(status)
    if status == http.HTTPStatus.FORBIDDEN:
        return f"the camera does not allow it ({answer}); give the user in the URL the right to view, or write another"
    if status in {http.HTTPStatus.NOT_FOUND, http.HTTPStatus.GONE}:
        return f"the camera has nothing at this path ({answer}); {_STREAM}"
    if status >= 500:
        return f"the camera has failed ({answer}); it may have too many viewers, or need a restart"
    return f"the camera answers {answer}, which is no stream; {_STREAM}"


def of_login(*, has_user: bool, was_refused: bool, schemes: Sequence[str]) -> str:
    """Say why a 401 could not be answered."""
    if was_refused:
        return f"the camera refuses the user or the password in the URL; correct them: {_WITH_LOGIN}"
    if not has_user:
        return f"the camera asks for a user and a password; write them into the URL: {_WITH_LOGIN}"
    asked = ", ".join(sorted({scheme[:20] for scheme in schemes})[:5]) or "nothing"
    return f"the camera asks for a login that is neither basic nor digest ({asked}); set it to one of these"


def of_failure(error: Exception, connect_s: float, silence_s: float) -> str:
    """Say what became of a connection."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return _of_certificate(error.certificate_error)
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            return (
                "cannot agree on TLS with the camera; if it serves the stream without TLS, write http://, "
                "else renew its firmware"
            )
        case aiohttp.ClientConnectorDNSError():
            return "nobody in this network knows this host name; correct it, or write the camera's IP address"
        case aiohttp.ConnectionTimeoutError():
            return f"no connection within {connect_s:g} s; is the camera on, and the address right?"
        case TimeoutError():
            return f"the camera has sent nothing for {silence_s:g} s"
        case aiohttp.ClientConnectorError():
            return _of_refusal(error.os_error)
        case aiohttp.ServerDisconnectedError():
            return "the camera hangs up without an answer"
        case aiohttp.ClientResponseError():
            return "what answers there does not speak HTTP; correct the port"
        case aiohttp.ClientError() | OSError():
            return "the connection to the camera broke off"
        case _:
            return f"this URL cannot be asked for; {_STREAM}"


def of_redirect(why: str) -> str:
    return f"the camera redirects {why}; {_STREAM}"


def of_foreign_login(origin: str) -> str:
    return (
        f"the camera redirects to {origin}, which asks for a password; it does not get the one of this URL: "
        "write its own URL, with user and password"
    )


def of_barren_bytes(size: int, *, oversized: int, broken: int, max_jpeg_bytes: int) -> str:
    """Say what was wrong with `size` bytes that held no picture that could be taken."""
    if oversized:
        return (
            f"the camera's pictures are larger than max_jpeg_bytes ({max_jpeg_bytes:,}); raise it, or lower the "
            "camera's resolution or quality"
        )
    if broken:
        return f"all of the camera's pictures are broken; {_STREAM}, or restart the camera"
    return f"{size:,} bytes without a JPEG picture; {_STREAM}"


def of_page() -> str:
    return f"this is a web page, perhaps the camera's login page; {_STREAM}"


def of_end(*, pictures: int, is_multipart: bool, is_within_picture: bool) -> str:
    """Say what it means that the camera's answer has ended. `pictures`: how many it held."""
    if pictures == 1 and not is_multipart:
        return f"this is a single picture (a snapshot), not a stream; {_STREAM}"
    if is_within_picture:
        return "the camera ended the stream in the middle of a picture"
    if pictures:
        return "the camera ended the stream"
    return f"the camera's answer ended without a JPEG picture; {_STREAM}"


def is_page(content_type: str, beginning: bytes) -> bool:
    """Whether an answer is meant for a browser, whatever it calls itself."""
    return bool(_PAGE.match(beginning)) or (content_type == "text/html" and beginning.lstrip()[:1] == b"<")


def _of_certificate(error: Exception) -> str:
    reason = getattr(error, "verify_message", "") or "it was not accepted"
    return (
        f"the camera's certificate cannot be trusted ({reason}). There is no setting that skips this check: add the "
        "certificate to those that this machine trusts (SSL_CERT_FILE names their file), or write http:// where the "
        "camera allows it"
    )


def _of_refusal(error: OSError) -> str:
    if error.errno == errno.ECONNREFUSED:
        return "nothing answers at this port; correct it, or turn on the camera's HTTP server"
    why = os.strerror(error.errno).lower() if error.errno else "it was refused"
    return f"no connection ({why}); is the camera on, and the address right?"
