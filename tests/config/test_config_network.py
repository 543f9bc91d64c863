"""rtsp:// and http://: what goes to the camera, what may be shown, and that a refusal keeps the password to itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from appliance.config import Camera, HttpSettings, RtspSettings, parse_source
from appliance.config.problem import BadSettingError


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("rtsp://camera", RtspSettings("rtsp://camera", "rtsp://camera")),
        ("RTSP://camera/a", RtspSettings("rtsp://camera/a", "rtsp://camera/a")),
        ("rtsps://me:pw@10.0.0.2:322/a/b", RtspSettings("rtsps://me:pw@10.0.0.2:322/a/b", "rtsps://10.0.0.2:322/a/b")),
        ("rtsp://me@camera/a", RtspSettings("rtsp://me@camera/a", "rtsp://camera/a")),
        ("rtsp://me:p%40ss@cam/a?b=c&d", RtspSettings("rtsp://me:p%40ss@cam/a?b=c&d", "rtsp://cam/a")),
        ("rtsp://me:p@ss@cam/a", RtspSettings("rtsp://me:p@ss@cam/a", "rtsp://cam/a")),
        ("rtsp://[fe80::1]:554/a", RtspSettings("rtsp://[fe80::1]:554/a", "rtsp://[fe80::1]:554/a")),
        ("rtsp://cam/a#", RtspSettings("rtsp://cam/a", "rtsp://cam/a")),
        ("rtsp://cam/a#transport=tcp", RtspSettings("rtsp://cam/a", "rtsp://cam/a", "tcp")),
        ("rtsp://me:pw@cam/a?b#transport=udp", RtspSettings("rtsp://me:pw@cam/a?b", "rtsp://cam/a", "udp")),
        (
            "rtsp://cam/user=me&password=pw&a.sdp",
            RtspSettings("rtsp://cam/user=me&password=pw&a.sdp", "rtsp://cam/..."),
        ),
    ],
)
def test_an_rtsp_url_goes_to_the_camera_whole_and_is_shown_without_its_secrets(
    url: str, settings: RtspSettings
) -> None:
    assert parse_source(url) == settings
    assert Camera(id="a", source=url).parsed == settings


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("http://camera", HttpSettings("http://camera", "http://camera")),
        ("HTTPS://cam:81/a.mjpeg?b=c", HttpSettings("https://cam:81/a.mjpeg?b=c", "https://cam:81/a.mjpeg")),
        ("http://me:pw@cam/a", HttpSettings("http://cam/a", "http://cam/a", "me", "pw")),
        ("http://me@cam/a", HttpSettings("http://cam/a", "http://cam/a", "me", None)),
        ("http://me:@cam/a", HttpSettings("http://cam/a", "http://cam/a", "me", "")),
        ("http://@cam/a", HttpSettings("http://cam/a", "http://cam/a")),
        ("http://m%40e:p%2F%3a%C3%BC@cam/a%20b", HttpSettings("http://cam/a%20b", "http://cam/a%20b", "m@e", "p/:ü")),
        ("http://me:a:b@cam/", HttpSettings("http://cam/", "http://cam/", "me", "a:b")),
        ("http://cam/a#", HttpSettings("http://cam/a", "http://cam/a")),
    ],
)
def test_an_http_url_goes_to_the_camera_without_user_and_password(url: str, settings: HttpSettings) -> None:
    assert parse_source(url) == settings
    assert Camera(id="a", source=url).parsed == settings


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "http", "https"])
@pytest.mark.parametrize(
    ("rest", "what"),
    [
        ("", "has no host and port that can be read"),
        ("//", "has no host and port that can be read"),
        ("//me:hunter2@", "has no host and port that can be read"),
        ("//me:hunter2@/a", "has no host and port that can be read"),
        ("//me:hunter2@cam:hunter2/a", "has no host and port that can be read"),
        ("//me:hunter2/@cam/a", "has no host and port that can be read"),
        ("//me:hunter2?@cam/a", "has no host and port that can be read"),
        ("//me:hunter2#@cam/a", "has no host and port that can be read"),
        ("cam/hunter2", "has no host and port that can be read"),
        ("//[hunter2]/a", "has no host and port that can be read"),
        ("//me:hunter2@cam:0/a", "has a port that cannot be"),
        ("//cam:65536/hunter2", "has a port that cannot be"),
        ("//me:20/hunter2@cam/a", "has an @ behind its host name"),
        ("//me:20?hunter2@cam/a", "has an @ behind its host name"),
        ("//me:a@b/hunter2@cam/a", "has an @ behind its host name"),
        ("//me:20#hunter2@cam/a", "has something behind #"),
        ("//cam/a#hunter2", "has something behind #"),
        ("//cam/a#transport=hunter2", "has something behind #"),
        ("//me:hunter 2@cam/a", "has a character that no URL has"),
        ("//me:hunter2@cam/a\n", "has a character that no URL has"),
        ("//me:hunter2%0d%0a@cam/a", "has a character in its user name or password that cannot be used"),
        ("//me:hunter2%ff@cam/a", "has a character in its user name or password that cannot be used"),
    ],
)
def test_a_network_camera_that_cannot_be_reached_is_refused_without_repeating_its_url(
    scheme: str, rest: str, what: str
) -> None:
    url = f"{scheme}:{rest}"
    with pytest.raises(BadSettingError) as caught:
        parse_source(url)
    assert caught.value.what.startswith(what)
    assert caught.value.hint
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ValidationError) as refused:
        Camera(id="a", source=url)
    assert "hunter2" not in str(refused.value)


def test_http_has_no_option_to_put_behind_a_hash() -> None:
    with pytest.raises(BadSettingError, match="no option can stand there"):
        parse_source("http://cam/a#transport=udp")


@pytest.mark.parametrize("kind", ["rtsp", "http"])
def test_neither_secret_nor_query_shows_in_a_log_line(kind: str) -> None:
    source = parse_source(f"{kind}://hunter2:hunter2@cam/a?hunter2=hunter2")
    assert "hunter2" not in repr(source)
    assert isinstance(source, RtspSettings | HttpSettings)
    assert source.shown == f"{kind}://cam/a"


SECRET = "hunter2"
odd = st.text(st.sampled_from("ab1@:/?#%[]=& "), max_size=4)


@given(
    scheme=st.sampled_from(["rtsp", "https"]),
    before=odd,
    after=odd,
    rest=st.sampled_from(["@cam", "@cam:80/a", "@cam/a?b=c", "@[::1]/a#transport=udp"]),
)
def test_whatever_stands_around_a_password_it_is_never_shown(scheme: str, before: str, after: str, rest: str) -> None:
    said = ""
    try:
        said = repr(parse_source(f"{scheme}://me:{before}{SECRET}{after}{rest}"))
    except BadSettingError as error:
        said = str(error)
    assert said
    assert SECRET not in said
