"""TLS to a real mosquitto: each way in which it can fail has its own words, and is over by itself once it is mended."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.mqtt.certificates import EVER, FUTURE, PAST, Authority, Certificate
from tests.mqtt.visit import Visit, visit
from tests.rig import Broker, free_port

pytestmark = [
    pytest.mark.real,
    # paho leaves the socket of a failed handshake to the garbage collector; test_leaving counts what stays open.
    pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"),
]

SECRET = "opens-the-key-7319"


class Stand:
    """A broker that can be put up anew, in another way, on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ours = Authority(folder, "ours")
        self.right = self.ours.certify("right")
        self.port = free_port()
        self.trusting = {"enabled": True, "ca_file": str(self.ours.file)}
        self._broker: Broker | None = None

    def put_up(self, certificate: Certificate | None, *, asks: Authority | None = None) -> None:
        """With this certificate, or plain; `asks`: clients must show a certificate of that authority's."""
        self.take_down()
        lines = [f"certfile {certificate.file}", f"keyfile {certificate.key}"] if certificate else []
        if asks is not None:
            lines += ["require_certificate true", f"cafile {asks.file}"]
        self._broker = Broker(self.folder, self.port, extra="\n".join(lines))
        self._broker.start()

    def take_down(self) -> None:
        if self._broker is not None:
            self._broker.stop()
            self._broker = None


@pytest.fixture
def stand(tmp_path: Path) -> Any:
    one = Stand(tmp_path)
    yield one
    one.take_down()


def told_then_mended(stand: Stand, tls: dict[str, Any], words: str | tuple[str, ...], mend: Callable[[], None]) -> None:
    """The problem has these words; and once it is mended, there is a connection and no problem."""

    async def script(one: Visit) -> None:
        await one.told(*([words] if isinstance(words, str) else words))
        assert not one.connection.connected
        mend()
        await one.connected()
        assert one.problem == ""

    visit(script, stand.port, tls=tls)


def test_a_broker_of_our_own_authority_is_trusted(stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    async def script(one: Visit) -> None:
        await one.connected()

    stand.put_up(stand.right)
    visit(script, stand.port, tls=stand.trusting)
    assert not [line for line in caplog.records if line.levelname == "WARNING"]


def test_a_client_certificate_is_shown_and_its_locked_key_opened(stand: Stand) -> None:
    async def script(one: Visit) -> None:
        await one.connected()

    shown = stand.ours.certify("shown", lock=SECRET)
    stand.put_up(stand.right, asks=stand.ours)
    ours = {"cert_file": str(shown.file), "key_file": str(shown.key), "key_password": SECRET}
    visit(script, stand.port, tls={**stand.trusting, **ours})


def test_without_verification_any_certificate_will_do(stand: Stand) -> None:
    async def script(one: Visit) -> None:
        await one.connected()

    stand.put_up(stand.ours.certify("old", where="DNS:elsewhere.lan", when=PAST))
    visit(script, stand.port, tls={"enabled": True, "verify": False})


@pytest.mark.parametrize(
    ("where", "when", "words"),
    [
        (
            "IP:127.0.0.1",
            PAST,
            "its certificate has expired; renew it at the broker, or set this machine's clock right",
        ),
        ("IP:127.0.0.1", FUTURE, "its certificate is not valid yet; set this machine's clock right"),
        (
            "IP:10.0.0.9",
            EVER,
            "its certificate is for another address; write the name that it was made for in mqtt.host",
        ),
        ("DNS:broker.lan", EVER, "its certificate is for another"),
    ],
)
def test_a_brokers_certificate_that_does_not_hold(
    stand: Stand, where: str, when: tuple[str, str], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    stand.put_up(stand.ours.certify("wrong", where=where, when=when))
    told_then_mended(stand, stand.trusting, words, lambda: stand.put_up(stand.right))
    assert words in caplog.text


def test_a_certificate_for_another_name(stand: Stand) -> None:
    async def script(one: Visit) -> None:
        await one.told("its certificate is for another name; write the name that it was made for in mqtt.host")
        stand.put_up(stand.ours.certify("named", where="DNS:localhost"))
        await one.connected()

    stand.put_up(stand.right)
    visit(script, stand.port, host="localhost", tls=stand.trusting)


def test_an_authority_that_is_not_known_here(stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    stand.put_up(Authority(stand.folder, "theirs").certify("foreign"))
    words = "is of an authority that is not known here; name its certificate in mqtt.tls.ca_file"
    told_then_mended(stand, stand.trusting, words, lambda: stand.put_up(stand.right))
    assert words in caplog.text


def test_a_certificate_that_is_signed_by_itself(stand: Stand) -> None:
    itself = Authority(stand.folder, "itself")
    stand.put_up(Certificate(itself.file, itself.file.with_name("ca.key")))
    words = "is signed by itself; name it, or the authority behind it, in mqtt.tls.ca_file"
    told_then_mended(stand, stand.trusting, words, lambda: stand.put_up(stand.right))


def test_a_client_certificate_that_is_wanted_and_absent(stand: Stand) -> None:
    stand.put_up(stand.right, asks=stand.ours)
    words = "wants a client certificate; name it in mqtt.tls.cert_file, and its key in mqtt.tls.key_file"
    told_then_mended(stand, stand.trusting, words, lambda: stand.put_up(stand.right))


@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
def test_a_client_certificate_of_another_authority(stand: Stand, protocol: str) -> None:
    async def script(one: Visit) -> None:
        await one.told("does not accept our client certificate", str(foreign.file))
        stand.put_up(stand.right)
        await one.connected()

    foreign = Authority(stand.folder, "theirs").certify("foreign")
    stand.put_up(stand.right, asks=stand.ours)
    ours = {**stand.trusting, "cert_file": str(foreign.file), "key_file": str(foreign.key)}
    visit(script, stand.port, tls=ours, protocol=protocol)


def test_tls_on_a_plain_port(stand: Stand) -> None:
    stand.put_up(None)
    told_then_mended(stand, stand.trusting, "mqtt.tls.enabled: false", lambda: stand.put_up(stand.right))


def test_plain_on_a_tls_port(stand: Stand) -> None:
    stand.put_up(stand.right)
    told_then_mended(stand, {}, "mqtt.tls.enabled", lambda: stand.put_up(None))


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file or directory"), ("garbage", "holds no certificate in PEM form"), ("", "PEM form")],
)
def test_an_authoritys_file_that_is_no_use(
    stand: Stand, content: str | None, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = stand.folder / "ca.pem"
    if content is not None:
        file.write_text(content)
    stand.put_up(stand.right)
    mine = {"enabled": True, "ca_file": str(file)}
    told_then_mended(stand, mine, words, lambda: mend(stand.ours.file, file))
    assert f"mqtt.tls.ca_file: {file}" in caplog.text


def test_a_key_that_is_another_certificates(stand: Stand) -> None:
    mine, other = stand.ours.certify("mine"), stand.ours.certify("other")
    key = stand.folder / "key.pem"
    shutil.copy(other.key, key)
    stand.put_up(stand.right, asks=stand.ours)
    told_then_mended(
        stand,
        {**stand.trusting, "cert_file": str(mine.file), "key_file": str(key)},
        f"mqtt.tls.key_file is not the key of {mine.file}",
        lambda: mend(mine.key, key),
    )


@pytest.mark.parametrize("password", [SECRET, None])
def test_a_locked_key_that_does_not_open(stand: Stand, password: str | None, caplog: pytest.LogCaptureFixture) -> None:
    """Nor is anybody asked for a password at a terminal; and the wrong one is told nobody."""
    locked, open_key = stand.ours.certify("locked", lock="something else"), stand.ours.certify("open")
    stand.put_up(stand.right, asks=stand.ours)

    def mend_both() -> None:
        mend(open_key.key, locked.key)
        mend(open_key.file, locked.file)

    told_then_mended(
        stand,
        {**stand.trusting, "cert_file": str(locked.file), "key_file": str(locked.key), "key_password": password},
        f"mqtt.tls.key_password does not open {locked.key}",
        mend_both,
    )
    assert SECRET not in caplog.text


@pytest.mark.parametrize("absent", ["cert_file", "key_file"])
def test_a_file_of_the_client_certificate_that_is_missing(stand: Stand, absent: str) -> None:
    mine = stand.ours.certify("mine")
    named = {"cert_file": mine.file, "key_file": mine.key}
    hidden = named[absent].rename(stand.folder / "hidden")
    stand.put_up(stand.right, asks=stand.ours)
    words = (str(named[absent]), "No such file or directory")
    ours = {name: str(file) for name, file in named.items()}
    told_then_mended(stand, {**stand.trusting, **ours}, words, lambda: mend(hidden, named[absent]))


def test_an_authoritys_file_that_is_replaced_is_read_again(stand: Stand) -> None:
    file = stand.folder / "ca.pem"
    shutil.copy(Authority(stand.folder, "former").file, file)
    stand.put_up(stand.right)
    mine = {"enabled": True, "ca_file": str(file)}
    told_then_mended(stand, mine, "name its certificate in mqtt.tls.ca_file", lambda: mend(stand.ours.file, file))


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_client_certificate_that_is_renewed_is_shown(stand: Stand, protocol: str) -> None:
    async def script(one: Visit) -> None:
        await one.told("does not accept our client certificate")
        mend(new.key, old.key)
        mend(new.file, old.file)
        await one.connected()

    old, new = stand.ours.certify("old", when=PAST), stand.ours.certify("new")
    stand.put_up(stand.right, asks=stand.ours)
    ours = {**stand.trusting, "cert_file": str(old.file), "key_file": str(old.key)}
    visit(script, stand.port, tls=ours, protocol=protocol)


def mend(source: Path, file: Path) -> None:
    shutil.copy(source, file)
