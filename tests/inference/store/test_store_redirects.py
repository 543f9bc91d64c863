"""Where a download may come from, where redirects may lead, and who is told the token."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from yarl import URL

from appliance.inference.store.errors import CutError, RefusedError
from appliance.inference.store.source import Hub
from appliance.inference.store.web import MOST_REDIRECTS, demand_safe, elsewhere
from tests.inference.store.customer import MODEL, Customer
from tests.inference.store.shop import Shop
from tests.rig import need_program

TOKEN = "hf_tellnobody"
REPOSITORY = "somebody/porch-model"
Shops = Callable[..., Shop]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """One that signed itself; the key is in the same file."""
    program = need_program("openssl", "openssl")
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=shop", "-addext", "subjectAltName=IP:127.0.0.1"]
    path = tmp_path / "shop.pem"
    command = [program, "req", "-x509", *kind, *name, "-keyout", str(path), "-out", str(tmp_path / "certificate.pem")]
    subprocess.run(command, check=True, capture_output=True)
    with path.open("a") as both:
        both.write((tmp_path / "certificate.pem").read_text())
    return path


def hub(shop: Shop) -> Hub:
    return Hub.of({"HF_ENDPOINT": shop.url("/"), "HF_TOKEN": TOKEN})


def test_the_hub_is_asked_for_the_file_at_its_path_and_told_the_token(shop: Shop, customer: Customer) -> None:
    entry = customer.get(REPOSITORY, hub=hub(shop))
    assert shop.asked[0].path == f"/{REPOSITORY}/resolve/main/inference_model.onnx"
    assert shop.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert entry.source == f"hub:{REPOSITORY}/inference_model.onnx@main"
    assert TOKEN not in (customer.shelf.folder / "porch.onnx.json").read_text()


def test_a_redirect_to_another_host_is_followed_without_the_token(shop: Shop, shops: Shops, customer: Customer) -> None:
    store = shops()
    store.habits.cuts = [1000]
    shop.habits.location = store.url("/blob?signature=1")
    customer.get(REPOSITORY, hub=hub(shop))
    assert customer.shelf.path("porch.onnx").read_bytes() == MODEL
    assert [asked.headers.get("Range") for asked in store.asked] == [None, "bytes=1000-"]
    assert all("Authorization" in asked.headers for asked in shop.asked)
    assert not any("Authorization" in asked.headers for asked in store.asked)


def test_the_same_address_under_another_name_or_port_is_another_host() -> None:
    known = Hub.of({"HF_ENDPOINT": "https://hub.example", "HF_TOKEN": TOKEN})
    assert known.token_for(URL("https://hub.example/a/b")) == TOKEN
    for other in (
        "https://hub.example:444/",
        "https://hub.example.evil/",
        "http://hub.example/",
        "https://x.hub.example/",
    ):
        assert known.token_for(URL(other)) == ""


def test_a_token_is_not_sent_where_others_can_read_it() -> None:
    assert Hub.of({"HF_ENDPOINT": "http://192.168.1.5", "HF_TOKEN": TOKEN}).token_for(URL("http://192.168.1.5/a")) == ""


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_refused_is_not_shown(shop: Shop, customer: Customer, status: int) -> None:
    shop.habits.status = status
    with pytest.raises(RefusedError, match="does not accept the token in HF_TOKEN") as caught:
        customer.get(REPOSITORY, hub=hub(shop))
    assert TOKEN not in str(caught.value)


def test_a_hub_that_gives_nothing_without_a_token_says_so(shop: Shop, customer: Customer) -> None:
    shop.habits.status = 401
    with pytest.raises(RefusedError, match="is the name right\\? Where it needs a login, set HF_TOKEN"):
        customer.get(REPOSITORY, hub=Hub.of({"HF_ENDPOINT": shop.url("/")}))


@pytest.mark.parametrize("token", ["hf_\nX-Other: 1", "hf_\x00", "hf_é"])
def test_a_token_that_is_none_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(RefusedError, match="HF_TOKEN") as caught:
        Hub.of({"HF_TOKEN": token})
    assert token not in str(caught.value)


def test_redirects_that_go_round_end(shop: Shop, customer: Customer) -> None:
    shop.habits.location = "/again"
    with pytest.raises(RefusedError, match=f"redirected more than {MOST_REDIRECTS} times"):
        customer.get(shop.url())
    assert len(shop.asked) == MOST_REDIRECTS + 1
    assert customer.files == set()


@pytest.mark.parametrize("location", ["ftp://elsewhere/porch.onnx", "file:///etc/passwd", "http://[::1"])
def test_a_redirect_to_what_is_no_address_is_refused(shop: Shop, customer: Customer, location: str) -> None:
    shop.habits.location = location
    with pytest.raises(RefusedError, match="no address in HTTP"):
        customer.get(shop.url())


def test_a_redirect_into_the_open_is_refused(shop: Shop, customer: Customer) -> None:
    shop.habits.location = "http://192.0.2.1/porch.onnx"
    with pytest.raises(RefusedError, match="over plain http"):
        customer.get(shop.url())


def test_over_tls_the_certificate_must_be_trusted_and_no_redirect_leads_out(
    certificate: Path, customer: Customer, shops: Shops, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    plain, secret = shops(), shops(tls=context)
    with pytest.raises(CutError, match=r"certificate cannot be trusted .*SSL_CERT_FILE"):
        customer.get(secret.url())
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    customer.get(secret.url())
    assert customer.shelf.path("porch.onnx").read_bytes() == MODEL
    secret.habits.location = plain.url()
    with pytest.raises(RefusedError, match="from https to http"):
        customer.get(secret.url(), replace=True)
    assert not plain.asked


def test_from_https_to_http_nobody_goes() -> None:
    start = URL("https://hub.example/a/porch.onnx?signature=secret")
    with pytest.raises(RefusedError, match="from https to http") as caught:
        elsewhere(start, "http://127.0.0.1/porch.onnx")
    assert "secret" not in str(caught.value)
    assert elsewhere(start, "/b.onnx") == URL("https://hub.example/b.onnx")
    assert elsewhere(start, "https://user:word@cdn.example/c#d") == URL("https://cdn.example/c")


@pytest.mark.parametrize("host", ["example.com", "192.168.1.5", "10.0.0.1", "0.0.0.0", "127.0.0.1.example.com"])
def test_plain_http_is_for_this_machine_alone_unless_the_hash_is_known(host: str) -> None:
    url = URL(f"http://{host}/porch.onnx")
    with pytest.raises(RefusedError, match="--sha256"):
        demand_safe(url, is_pinned=False)
    demand_safe(url, is_pinned=True)
    demand_safe(url.with_scheme("https"), is_pinned=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "[::1]"])
def test_this_machine_is_trusted(host: str) -> None:
    demand_safe(URL(f"http://{host}/porch.onnx"), is_pinned=False)
