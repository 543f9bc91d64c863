"""Whatever a server or a line does to a download: it goes on or begins anew, or there is one clear line."""

from __future__ import annotations

import json

import pytest

from appliance.inference.store.errors import CutError, RefusedError, StoreError
from tests.inference.store.customer import MODEL, OTHER, Customer
from tests.inference.store.shop import Shop

PART, NOTE = "porch.onnx.part", "porch.onnx.part.json"
GOT = {"porch.onnx", "porch.onnx.json"}
HALF = len(MODEL) // 2
DATE = "Mon, 23 Nov 2026 08:00:00 GMT"


def cut(customer: Customer, shop: Shop) -> None:
    """Have the first half of the model in the store, as a download leaves it that could not go on."""
    shop.habits.cuts = [HALF, 0]
    with pytest.raises(CutError, match="the same command goes on from there"):
        customer.get(shop.url())
    assert customer.files == {PART, NOTE}
    assert (customer.shelf.folder / PART).stat().st_size == HALF
    shop.asked.clear()


def whole(customer: Customer, content: bytes = MODEL) -> None:
    assert customer.shelf.path("porch.onnx").read_bytes() == content
    assert customer.files == GOT


def test_a_download_that_is_cut_goes_on_by_itself(shop: Shop, customer: Customer) -> None:
    shop.habits.cuts = [1000, 50_000, 1]
    customer.get(shop.url())
    whole(customer)
    assert [asked.headers.get("Range") for asked in shop.asked] == [
        None,
        *(f"bytes={n}-" for n in (1000, 51000, 51001)),
    ]
    assert {asked.headers.get("If-Range") for asked in shop.asked[1:]} == {'"one"'}
    assert "the connection broke off; going on from 0.1 MB" in customer.said


def test_a_download_that_is_cut_too_often_is_kept_for_the_next_time(shop: Shop, customer: Customer) -> None:
    shop.habits.cuts = [100] * 5
    with pytest.raises(CutError, match=r"0\.0 MB of 0\.1 MB are kept, and the same command goes on from there"):
        customer.get(shop.url())
    assert (customer.shelf.folder / PART).stat().st_size == 500
    customer.get(shop.url())
    assert shop.asked[-1].headers["Range"] == "bytes=500-"
    whole(customer)


def test_a_date_is_enough_to_go_on_by(shop: Shop, customer: Customer) -> None:
    shop.habits.etag, shop.habits.modified = "", DATE
    cut(customer, shop)
    customer.get(shop.url())
    assert shop.asked[0].headers["If-Range"] == DATE
    whole(customer)


@pytest.mark.parametrize("etag", ["", 'W/"one"'])
def test_without_a_mark_that_tells_versions_apart_nothing_is_continued(
    shop: Shop, customer: Customer, etag: str
) -> None:
    shop.habits.etag, shop.habits.cuts = etag, [HALF]
    with pytest.raises(CutError, match="cannot be continued: the server does not say of which version"):
        customer.get(shop.url())
    assert customer.files == set()
    customer.get(shop.url())
    assert "Range" not in shop.asked[-1].headers
    whole(customer)


def test_a_server_that_knows_no_ranges_sends_it_all_again(shop: Shop, customer: Customer) -> None:
    cut(customer, shop)
    shop.habits.takes_ranges = False
    customer.get(shop.url())
    assert "sends the whole file" in customer.said
    whole(customer)


@pytest.mark.parametrize("heeds_if_range", [True, False])
def test_a_file_that_has_changed_meanwhile_is_begun_anew(shop: Shop, customer: Customer, heeds_if_range: bool) -> None:
    cut(customer, shop)
    shop.habits.content, shop.habits.etag, shop.habits.heeds_if_range = OTHER, '"two"', heeds_if_range
    customer.get(shop.url())
    whole(customer, OTHER)


def test_a_file_whose_length_has_changed_is_begun_anew(shop: Shop, customer: Customer) -> None:
    cut(customer, shop)
    shop.habits.content = OTHER[:100]  # with the old mark
    with pytest.raises(RefusedError, match="not an ONNX model"):
        customer.get(shop.url())
    assert shop.asked[-1].headers.get("Range") is None
    assert customer.files == set()


def test_a_part_that_begins_elsewhere_is_not_taken(shop: Shop, customer: Customer) -> None:
    cut(customer, shop)
    shop.habits.ranges_begin_at = 10
    customer.get(shop.url())
    assert "does not send what was asked for" in customer.said
    whole(customer)


def test_a_download_that_was_whole_but_had_no_name_yet_needs_no_more_bytes(shop: Shop, customer: Customer) -> None:
    cut(customer, shop)
    (customer.shelf.folder / PART).write_bytes(MODEL)
    customer.get(shop.url())
    assert len(shop.asked) == 1  # answered with 416
    whole(customer)


def test_a_part_that_is_longer_than_the_file_is_begun_anew(shop: Shop, customer: Customer) -> None:
    cut(customer, shop)
    (customer.shelf.folder / PART).write_bytes(MODEL + b"more")
    customer.get(shop.url())
    assert [asked.headers.get("Range") for asked in shop.asked] == [f"bytes={len(MODEL) + 4}-", None]
    whole(customer)


@pytest.mark.parametrize("note", [None, b"", b"[]", b"{}", b'{"version": 1}', b"\xff"])
def test_a_part_that_nobody_knows_is_not_continued(shop: Shop, customer: Customer, note: bytes | None) -> None:
    cut(customer, shop)
    path = customer.shelf.folder / NOTE
    path.unlink() if note is None else path.write_bytes(note)
    customer.get(shop.url())
    assert "Range" not in shop.asked[0].headers
    whole(customer)


@pytest.mark.parametrize(("word", "other"), [("source", "https://elsewhere.example/porch.onnx"), ("boot", "earlier")])
def test_a_part_of_another_source_or_from_before_a_restart_is_not_continued(
    shop: Shop, customer: Customer, word: str, other: str
) -> None:
    """A power cut may have left bytes in it that were never written."""
    cut(customer, shop)
    path = customer.shelf.folder / NOTE
    said = json.loads(path.read_text())
    assert said[word] != other
    path.write_text(json.dumps({**said, word: other}))
    customer.get(shop.url())
    assert "Range" not in shop.asked[0].headers
    whole(customer)


def test_a_server_that_promises_more_than_it_has_is_a_cut(shop: Shop, customer: Customer) -> None:
    shop.habits.more_length = 10
    with pytest.raises(CutError, match="are kept"):
        customer.get(shop.url())
    assert not customer.shelf.path("porch.onnx").exists()


def test_half_a_file_of_unknown_length_is_no_model(shop: Shop, customer: Customer) -> None:
    shop.habits.tells_length, shop.habits.cuts = False, [HALF]
    with pytest.raises(RefusedError, match="not an ONNX model"):
        customer.get(shop.url())
    assert customer.files == set()


def test_a_file_of_unknown_length_is_taken(shop: Shop, customer: Customer) -> None:
    shop.habits.tells_length = False
    customer.get(shop.url())
    whole(customer)


def test_a_file_that_says_it_is_too_large_is_not_begun(shop: Shop, customer: Customer) -> None:
    with pytest.raises(RefusedError, match=r"larger than 0\.1 MB.*--max-bytes"):
        customer.get(shop.url(), max_bytes=len(MODEL) - 1)
    assert customer.files == set()
    customer.get(shop.url(), max_bytes=len(MODEL))
    whole(customer)


def test_a_file_without_end_ends_at_the_bound(shop: Shop, customer: Customer) -> None:
    shop.habits.tells_length, shop.habits.is_endless = False, True
    with pytest.raises(RefusedError, match=r"larger than 3\.0 MB"):
        customer.get(shop.url(), max_bytes=3_000_000)
    assert customer.files == set()


def test_a_server_that_falls_silent_is_left_and_its_bytes_are_kept(shop: Shop, customer: Customer) -> None:
    shop.habits.silent_after = 0
    with pytest.raises(CutError, match=r"the server has sent nothing for 0\.2 s$"):
        customer.get(shop.url(), silence_s=0.2)
    assert customer.files == set()
    shop.habits.silent_after = HALF
    shop.habits.takes_ranges = False
    with pytest.raises(CutError, match=r"nothing for 0\.2 s; 0\.1 MB of 0\.1 MB are kept"):
        customer.get(shop.url(), silence_s=0.2)
    assert customer.files == {PART, NOTE}


def test_nobody_at_home_is_one_line(customer: Customer, shop: Shop) -> None:
    url = shop.url()
    shop.close()
    with pytest.raises(CutError, match=r"/porch.onnx: no connection \(nothing answers at this port\)$"):
        customer.get(url)
    assert customer.files == set()


@pytest.mark.parametrize(
    ("status", "words", "is_final"),
    [
        (401, "it is not given without a login", True),
        (403, "it is not given without a login", True),
        (404, "there is no such file", True),
        (410, "there is no such file", True),
        (418, "the server answers 418", True),
        (429, "cannot answer now", False),
        (500, "cannot answer now", False),
        (503, "cannot answer now", False),
        (599, "cannot answer now", False),
    ],
)
def test_an_answer_that_is_no_file_is_said_in_words(
    shop: Shop, customer: Customer, status: int, words: str, is_final: bool
) -> None:
    shop.habits.status, shop.habits.said = status, b"Because\r\n\x1b[31mof this.\xff"
    with pytest.raises(StoreError) as caught:
        customer.get(shop.url())
    assert words in str(caught.value)
    assert f"{status}" in str(caught.value)
    assert '"Because [31mof this.\ufffd"' in str(caught.value)
    assert isinstance(caught.value, RefusedError) is is_final
    assert customer.files == set()


def test_a_page_for_browsers_is_not_repeated(shop: Shop, customer: Customer) -> None:
    shop.habits.status, shop.habits.said, shop.habits.said_type = 404, b"<html>Oh no</html>", "text/html; charset=utf-8"
    with pytest.raises(RefusedError, match=r"\(404 Not Found\); correct"):
        customer.get(shop.url())


def test_an_answer_without_the_file_does_not_cost_what_had_come(shop: Shop, customer: Customer) -> None:
    cut(customer, shop)
    shop.habits.status = 403
    with pytest.raises(RefusedError):
        customer.get(shop.url())
    shop.habits.status = 200
    customer.get(shop.url())
    assert shop.asked[-1].headers["Range"] == f"bytes={HALF}-"
    whole(customer)


def test_a_file_that_comes_packed_is_refused(shop: Shop, customer: Customer) -> None:
    shop.habits.encoding = "gzip"
    with pytest.raises(RefusedError, match="packed"):
        customer.get(shop.url())
    assert shop.asked[0].headers["Accept-Encoding"] == "identity"


def test_what_answers_must_speak_http(customer: Customer, shops: object) -> None:
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 mail.example ESMTP\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(CutError, match="does not speak HTTP"):
            customer.get(f"http://127.0.0.1:{server.getsockname()[1]}/porch.onnx")
        thread.join()


def test_a_part_that_cannot_be_written_is_one_line(shop: Shop, customer: Customer) -> None:
    (customer.shelf.folder / PART).mkdir(parents=True)
    with pytest.raises(StoreError, match=r"porch\.onnx\.part: Is a directory"):
        customer.get(shop.url())
