"""Basic and Digest: what a camera asks for, what it gets, and that nobody else does."""

from __future__ import annotations

import base64
import hashlib
import logging
from typing import TYPE_CHECKING
from urllib.request import parse_http_list, parse_keqv_list

import pytest

from appliance.capture.http_mjpeg.login import Challenge, authorization, challenges
from tests.capture.clips import jpeg, noise
from tests.capture.odd_camera import MULTIPART, Call, head, part, serving, viewing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

USER, PASSWORD = "porch", 'gr"ün: 7\\x'
PICTURE = jpeg(noise(1))

BASIC = 'Basic realm="camera"'
MD5 = 'Digest realm="camera", nonce="bm9uY2U=", qop="auth", algorithm=MD5, opaque="0f1e"'
SHA_256 = 'Digest qop="auth-int, auth" , algorithm=SHA-256,nonce="a,b=\\"c\\"",realm="camera"'
OLD = 'Digest realm="camera", nonce="1234"'
SESSION = 'Digest realm="camera", nonce="1234", algorithm=MD5-sess, qop=auth'

RFC_7616 = {
    "MD5": "8ca523f5e9506fed4657c9700eebdbec",
    "SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
}


def said(header: str) -> dict[str, str]:
    return parse_keqv_list(parse_http_list(header.removeprefix("Digest ")))


def is_right(call: Call) -> bool:
    """Whether the camera knows who calls, by arithmetic of its own."""
    scheme, _, rest = call.headers.get("authorization", "").partition(" ")
    if scheme == "Basic":
        return base64.b64decode(rest).decode() == f"{USER}:{PASSWORD}"
    if scheme != "Digest":
        return False
    told = said(rest)
    kind = hashlib.sha256 if told.get("algorithm") == "SHA-256" else hashlib.md5

    def hashed(text: str) -> str:
        return kind(text.encode()).hexdigest()

    secret, what = hashed(f"{USER}:{told['realm']}:{PASSWORD}"), hashed(f"GET:{call.path}")
    nonce = told["nonce"].replace('\\"', '"')
    if told.get("algorithm") == "MD5-sess":
        secret = hashed(f"{secret}:{nonce}:{told['cnonce']}")
    middle = f"{told['nc']}:{told['cnonce']}:auth:" if told.get("qop") == "auth" else ""
    return told["response"] == hashed(f"{secret}:{nonce}:{middle}{what}") and told["uri"] == call.path


def asking(*asked: str) -> Callable[[Call], None]:
    """Let in who is right; ask everybody else."""

    def script(call: Call) -> None:
        if is_right(call):
            call.send(MULTIPART, part(PICTURE))
            call.hold()
        headers = [f"WWW-Authenticate: {one}" for one in asked]
        call.send(head(*headers, "Content-Length: 4", status="401 Unauthorized"), b"Who?")

    return script


def schemes(calls: Iterable[Call]) -> list[str]:
    return [call.headers.get("authorization", "nobody").split(" ")[0] for call in calls]


@pytest.mark.parametrize("algorithm", RFC_7616)
def test_a_digest_is_that_of_the_rfcs_own_example(algorithm: str) -> None:
    asked = {
        "realm": "http-auth@example.org",
        "qop": "auth, auth-int",
        "algorithm": algorithm,
        "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "opaque": "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
    }
    header = Challenge("digest", asked).digest(
        "Mufasa", "Circle of Life", "/dir/index.html", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    )
    told = said(header)
    assert told["response"] == RFC_7616[algorithm]
    assert (told["nc"], told["qop"], told["opaque"]) == ("00000001", "auth", asked["opaque"])


def test_one_header_may_hold_several_challenges() -> None:
    found = challenges([f"Negotiate, {MD5}, {BASIC}", SHA_256])
    assert [one.scheme for one in found] == ["negotiate", "digest", "basic", "digest"]
    assert found[1].parameters == {
        "realm": "camera",
        "nonce": "bm9uY2U=",
        "qop": "auth",
        "algorithm": "MD5",
        "opaque": "0f1e",
    }
    assert found[3].parameters["nonce"] == 'a,b="c"'


@pytest.mark.parametrize(
    "header", ["", " ", ",,", "=", 'realm="x"', 'Digest realm="unended', "Digest", "\\", 'Basic "']
)
def test_a_challenge_that_makes_no_sense_is_no_error(header: str) -> None:
    answer = authorization(challenges([header]), USER, PASSWORD, "/")
    assert answer is None or answer.startswith("Basic ")


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ([BASIC], "Basic"),
        ([MD5], "Digest"),
        ([SHA_256], "Digest"),
        ([OLD], "Digest"),
        ([SESSION], "Digest"),
        ([BASIC, MD5], "Digest"),
        ([MD5, BASIC], "Digest"),
        ([f"{BASIC}, {SHA_256}"], "Digest"),
        (['Digest realm="x", nonce="y", algorithm=TIGER', OLD], "Digest"),
        (['Digest realm="x", nonce="y", algorithm=TIGER', BASIC], "Basic"),
    ],
)
def test_the_camera_gets_what_it_asks_for_and_the_password_itself_only_where_it_must(
    asked: list[str], given: str
) -> None:
    with serving(asking(*asked)) as camera:
        with viewing(camera.url("/video.cgi?size=1&name=a%20b"), camera, USER, PASSWORD) as viewer:
            assert viewer.see()[1] == PICTURE
        assert schemes(camera.calls) == ["nobody", given]


def test_a_camera_that_does_not_ask_is_told_nothing() -> None:
    with serving(lambda call: call.send(MULTIPART, part(PICTURE))) as camera:
        with viewing(camera.url(), camera, USER, PASSWORD) as viewer:
            assert viewer.see()[1] == PICTURE
        assert schemes(camera.calls) == ["nobody"]


@pytest.mark.parametrize("asked", [BASIC, MD5, SHA_256])
@pytest.mark.parametrize("password", ["wrong", None])
def test_a_wrong_password_is_tried_once_and_named(asked: str, password: str | None) -> None:
    with serving(asking(asked)) as camera:
        with viewing(camera.url(), camera, USER, password) as viewer:
            assert "refuses the user or the password in the URL" in viewer.fault()
        assert len(camera.calls) == 2


def test_a_camera_that_asks_for_a_password_where_there_is_none_says_where_to_write_it() -> None:
    with serving(asking(MD5)) as camera, viewing(camera.url()) as viewer:
        assert "write them into the URL: http://user:password@host" in viewer.fault()


@pytest.mark.parametrize("asked", ["Negotiate", "Bearer realm=x", 'Digest realm="x", nonce="y", algorithm=TIGER'])
def test_a_login_that_cannot_be_answered_is_named(asked: str) -> None:
    with serving(asking(asked)) as camera, viewing(camera.url(), camera, USER, PASSWORD) as viewer:
        assert f"neither basic nor digest ({asked.partition(' ')[0].lower()})" in viewer.fault()


def test_a_redirect_within_the_camera_is_followed_and_logged_in_to() -> None:
    right = asking(MD5)

    def script(call: Call) -> None:
        if call.path == "/stream.mjpeg":
            call.send(head("Location: live/1?stream=a", "Content-Length: 0", status="302 Found"))
        else:
            right(call)

    with serving(script) as camera:
        with viewing(camera.url(), camera, USER, PASSWORD) as viewer:
            assert viewer.see()[1] == PICTURE
        assert [call.path for call in camera.calls] == ["/stream.mjpeg", "/live/1?stream=a", "/live/1?stream=a"]


@pytest.mark.parametrize("asks", [False, True])
def test_another_host_is_never_told_the_password(asks: bool) -> None:
    stream = asking(BASIC, MD5) if asks else lambda call: call.send(MULTIPART, part(PICTURE))
    with serving(stream) as other:
        elsewhere = other.url().replace("//", "//thief:secret@")
        first = asking(BASIC)

        def script(call: Call) -> None:
            if is_right(call):
                call.send(head(f"Location: {elsewhere}", "Content-Length: 0", status="307 Temporary Redirect"))
            else:
                first(call)

        with serving(script) as camera, viewing(camera.url(), other, USER, PASSWORD) as viewer:
            if asks:
                fault = viewer.fault()
                assert f"redirects to {other.url('')}, which asks for a password" in fault
                assert "secret" not in fault
            else:
                assert viewer.see()[1] == PICTURE
        assert schemes(other.calls) == ["nobody"]


@pytest.mark.parametrize("asked", [BASIC, MD5, "Bearer", None])
def test_no_secret_is_in_any_error_or_log(asked: str | None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    script = asking(asked) if asked else lambda call: call.reset()
    with serving(script) as camera, viewing(camera.url("/s?pwd=sesame"), camera, "mallory", "open!") as viewer:
        error = viewer.error()
        shown = f"{error} {error!r} {vars(viewer.source)} {viewer.source._client!r} {caplog.text}"
    assert error.__cause__ is None
    assert error.__context__ is None
    for secret in ("mallory", "open!", "sesame", base64.b64encode(b"mallory:open!").decode()):
        assert secret not in shown
