"""http(s):// -- cameras that refuse, are elsewhere, are not there, or cannot be trusted: each says so in words."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from appliance.capture.http_mjpeg import client
from tests.capture.clips import jpeg, noise
from tests.capture.odd_camera import (
    MULTIPART,
    PATIENCE_S,
    Call,
    answering,
    head,
    part,
    serving,
    streaming,
    viewing,
    watching,
)

if TYPE_CHECKING:
    from pathlib import Path

PICTURES = [jpeg(noise(seed)) for seed in range(2)]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("403 Forbidden", "does not allow it (403 Forbidden)"),
        ("404 Not Found", "nothing at this path (404 Not Found)"),
        ("500 Whatever", "has failed (500 Internal Server Error)"),
        ("503 Busy", "too many viewers"),
        ("400 Bad Request", "answers 400 Bad Request, which is no stream"),
        ("204 No Content", "answers 204 No Content, which is no stream"),
        ("799 Odd", "(799)"),
    ],
)
def test_a_refusal_is_told_in_words(status: str, words: str) -> None:
    with watching(answering(head("Content-Length: 0", status=status))) as viewer:
        assert words in viewer.fault()


def test_what_does_not_speak_http_is_called_that() -> None:
    with watching(answering(b"SSH-2.0-OpenSSH_9.6\r\n")) as viewer:
        assert "does not speak HTTP" in viewer.fault()


def test_a_camera_that_hangs_up_without_an_answer_is_called_that() -> None:
    with watching(answering()) as viewer:
        assert "hangs up without an answer" in viewer.fault()


def redirecting(location: str, status: str = "301 Moved Permanently") -> Any:
    return answering(head(*([f"Location: {location}"] if location else []), "Content-Length: 0", status=status))


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_five_redirects_are_followed_and_a_sixth_is_not(status: str) -> None:
    def script(call: Call) -> None:
        steps = int(call.path.rpartition("/")[2])
        if steps:
            redirecting(f"/{steps - 1}", status)(call)
        else:
            call.send(MULTIPART, part(PICTURES[0]))

    with serving(script) as camera:
        with viewing(camera.url("/5"), camera) as viewer:
            assert viewer.see()[1] == PICTURES[0]
        with viewing(camera.url("/6"), camera) as viewer:
            assert "more than 5 times" in viewer.fault()


@pytest.mark.parametrize("location", ["rtsp://127.0.0.1/live", "file:///etc/passwd", "", "http://[bad/"])
def test_a_redirect_to_nowhere_is_refused(location: str) -> None:
    with watching(redirecting(location)) as viewer:
        assert "to something that is no address in HTTP" in viewer.fault()


def test_a_port_where_nothing_listens_is_told_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with viewing(f"http://127.0.0.1:{port}/") as viewer:
        assert "nothing answers at this port" in viewer.fault()


def test_a_host_name_that_nobody_knows_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(client, "socket", SimpleNamespace(getaddrinfo=unknown))
    with viewing("http://porch-camera.local/stream.mjpeg") as viewer:
        assert "nobody in this network knows this host name" in viewer.fault()


def test_a_host_name_is_looked_up() -> None:
    with serving(streaming([part(PICTURES[0])])) as camera, viewing(camera.url(host="localhost"), camera) as viewer:
        assert viewer.see()[1] == PICTURES[0]


def test_a_url_that_cannot_be_asked_for_is_told_in_words() -> None:
    with viewing("http://a..b/stream.mjpeg") as viewer:
        assert "cannot be asked for" in viewer.fault()


def silent(call: Call) -> None:
    call.hold()


@pytest.mark.parametrize("script", [silent, streaming([b"--frame\r\n"]), streaming([PICTURES[0][:99]])])
def test_a_camera_that_falls_silent_is_given_up(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "SILENCE_S", 0.1)
    with watching(script) as viewer:
        assert "has sent nothing for 0.1 s" in viewer.fault()


def test_a_camera_that_sends_byte_by_byte_is_waited_for() -> None:
    picture = part(PICTURES[0])

    def script(call: Call) -> None:
        call.send(MULTIPART)
        for at in range(len(picture)):
            call.send(picture[at : at + 1])
        call.hold()

    with watching(script) as viewer:
        assert viewer.see()[1] == PICTURES[0]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A camera's own certificate, signed by itself; the key is in the same file."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is missing")
    folder = tmp_path_factory.mktemp("tls")
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=camera", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        ["openssl", "req", "-x509", *kind, *name, "-keyout", "key.pem", "-out", "camera.pem"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    with (folder / "camera.pem").open("a") as both:
        both.write((folder / "key.pem").read_text())
    return folder / "camera.pem"


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


def test_a_camera_that_signed_its_own_certificate_is_refused_with_what_can_be_done(tls: ssl.SSLContext) -> None:
    with serving(streaming([part(PICTURES[0])]), tls) as camera:
        with viewing(camera.url(), camera) as viewer:
            fault = viewer.fault()
        assert camera.calls == []
    assert "certificate cannot be trusted (self-signed certificate)" in fault
    assert "no setting that skips this check" in fault
    assert "SSL_CERT_FILE" in fault


def test_a_certificate_that_this_machine_trusts_is_accepted(
    tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(streaming([part(one) for one in PICTURES]), tls) as camera:
        for _ in range(3):
            with viewing(camera.url(), camera) as viewer:
                assert viewer.pictures(2) == PICTURES


def test_a_certificate_for_another_name_is_refused(
    tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(streaming([part(PICTURES[0])]), tls) as camera, viewing(camera.url(host="localhost")) as viewer:
        assert "certificate cannot be trusted (Hostname mismatch" in viewer.fault()


@pytest.mark.parametrize("length", [4, 99], ids=["whole answers", "half answers"])
def test_a_camera_that_does_not_hang_up_in_tls_leaves_nothing_open(
    length: int, tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    def script(call: Call) -> None:
        first = "Location: /there" if call.path == "/" else "WWW-Authenticate: Basic"
        status = "302 Found" if call.path == "/" else "401 Unauthorized"
        call.send(head(first, f"Content-Length: {length}", status=status), b"wait")
        camera.closing.wait(PATIENCE_S)  # reads nothing, and so hears no goodbye

    with serving(script, tls) as camera, viewing(camera.url("/"), camera, "porch", "wrong") as viewer:
        assert "refuses the user or the password" in viewer.fault()


def test_from_https_to_http_no_redirect_is_followed(
    tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(streaming([part(PICTURES[0])])) as plain:
        with serving(redirecting(plain.url()), tls) as camera, viewing(camera.url()) as viewer:
            assert "from https to http" in viewer.fault()
        assert plain.calls == []


def test_a_port_that_does_not_speak_tls_is_told_in_words() -> None:
    with serving(silent) as camera, viewing(camera.url().replace("http:", "https:")) as viewer:
        assert "cannot agree on TLS" in viewer.fault()


def test_a_connection_that_does_not_come_about_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CONNECT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with viewing(f"https://127.0.0.1:{port}/") as viewer:  # nobody accepts, so nobody answers in TLS
            assert "no connection within 0.1 s" in viewer.fault()
