"""What went wrong with a download, in words for whoever wanted the model; the address stands before them.

None of them is an exception's own text: aiohttp's repeat addresses with their signatures.
"""

from __future__ import annotations

import errno
import http
import os
import re
import ssl

import aiohttp

_MOST_SAID = 200


def of_status(status: int, said: str, *, is_hub: bool, had_token: bool) -> str:
    """Say what an answer without the file means; `said` is what the server wrote with it."""
    try:
        answer = f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        answer = str(status)
    if said:
        answer = f'{answer}: "{said}"'
    if status in {http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN}:
        if not is_hub:
            return f"it is not given without a login ({answer}); download it by hand, and name the file in model.path"
        if had_token:
            return f"the hub does not accept the token in HF_TOKEN for it ({answer})"
        return f"the hub does not give it ({answer}); is the name right? Where it needs a login, set HF_TOKEN"
    if status in {http.HTTPStatus.NOT_FOUND, http.HTTPStatus.GONE}:
        return f"there is no such file ({answer}); correct the name or the address"
    if status == http.HTTPStatus.TOO_MANY_REQUESTS or status >= 500:
        return f"the server cannot answer now ({answer}); try again later"
    return f"the server answers {answer}, which is no file"


def is_final(status: int) -> bool:
    """Whether trying again changes nothing."""
    return status < 500 and status not in {http.HTTPStatus.TOO_MANY_REQUESTS, http.HTTPStatus.REQUEST_TIMEOUT}


def of_failure(error: Exception, connect_s: float, silence_s: float) -> str:
    """Say what became of a connection."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            reason = getattr(error.certificate_error, "verify_message", "") or "it was not accepted"
            return (
                f"the server's certificate cannot be trusted ({reason}). Is this machine's clock right? For a server "
                "of your own add its certificate to those that are trusted (SSL_CERT_FILE names their file)"
            )
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            return "the server and this machine cannot agree on TLS"
        case aiohttp.ClientConnectorDNSError():
            return "no name server knows this host; is there a way to the internet from here, and the address right?"
        case aiohttp.ConnectionTimeoutError():
            return f"no connection within {connect_s:g} s; is there a way to the internet from here?"
        case TimeoutError():
            return f"the server has sent nothing for {silence_s:g} s"
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno
            why = "nothing answers at this port" if number == errno.ECONNREFUSED else os.strerror(number or 0).lower()
            return f"no connection ({why})"
        case aiohttp.ServerDisconnectedError():
            return "the server hangs up without an answer"
        case aiohttp.ClientResponseError():
            return "what answers there does not speak HTTP"
        case ValueError():
            return "this address cannot be asked for"
        case _:
            return "the connection broke off"


def quoted(body: bytes, content_type: str) -> str:
    """Return the beginning of what a server says with an error, fit for a terminal; nothing of a page for browsers."""
    if "html" in content_type:
        return ""
    text = re.sub(r"\s+", " ", body.decode(errors="replace")).strip()
    return "".join(letter for letter in text if letter.isprintable())[:_MOST_SAID]
