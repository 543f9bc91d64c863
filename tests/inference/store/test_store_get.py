"""A model gets into the store whole, as recorded, and a model; or the store stays as it was."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from appliance.inference.store import record
from appliance.inference.store.errors import RefusedError, StoreError
from appliance.inference.store.shelf import Shelf, State
from tests.inference.onnx_maker import model
from tests.inference.store.customer import MODEL, OTHER, Customer
from tests.inference.store.shop import Shop

SHA = hashlib.sha256(MODEL).hexdigest()
OTHER_SHA = hashlib.sha256(OTHER).hexdigest()
GOT = {"porch.onnx", "porch.onnx.json"}


def test_a_model_is_there_with_its_record_and_nothing_else(shop: Shop, customer: Customer) -> None:
    entry = customer.get(shop.url())
    assert (entry.sha256, entry.bytes, entry.etag, entry.source) == (SHA, len(MODEL), '"one"', shop.url())
    assert customer.shelf.path("porch.onnx").read_bytes() == MODEL
    assert customer.shelf.look("porch.onnx").state is State.INTACT
    assert customer.files == GOT
    assert json.loads((customer.shelf.folder / "porch.onnx.json").read_text())["sha256"] == SHA


def test_a_model_that_is_there_and_unchanged_is_not_downloaded_again(shop: Shop, customer: Customer) -> None:
    first = customer.get(shop.url())
    assert customer.get(shop.url()) == first
    assert shop.asked[1].headers["If-None-Match"] == '"one"'
    assert "nothing to download" in customer.said


def test_a_server_that_ignores_the_condition_is_understood_by_its_mark(shop: Shop, customer: Customer) -> None:
    first = customer.get(shop.url())
    shop.habits.heeds_conditions = False
    assert customer.get(shop.url()) == first
    assert len(shop.asked) == 2
    assert "nothing to download" in customer.said


def test_a_new_mark_for_the_same_file_is_recorded(shop: Shop, customer: Customer) -> None:
    customer.get(shop.url())
    shop.habits.etag = '"two"'
    assert customer.get(shop.url()).etag == '"two"'
    assert "another version mark" in customer.said
    assert customer.files == GOT


def test_a_source_without_marks_is_not_asked_again(shop: Shop, customer: Customer) -> None:
    shop.habits.etag = ""
    customer.get(shop.url())
    customer.get(shop.url())
    assert len(shop.asked) == 1
    assert "gives no mark" in customer.said


def test_a_model_that_is_there_serves_also_while_its_source_cannot_be_asked(shop: Shop, customer: Customer) -> None:
    customer.get(shop.url())
    shop.habits.status = 503
    assert customer.get(shop.url()).sha256 == SHA
    assert "is in the store and intact; whether there is a newer one is not known" in customer.said


def test_another_file_at_the_same_source_is_refused_with_both_hashes(shop: Shop, customer: Customer) -> None:
    customer.get(shop.url())
    shop.habits.content, shop.habits.etag = OTHER, '"two"'
    with pytest.raises(RefusedError, match="accept it with --replace") as caught:
        customer.get(shop.url())
    assert SHA in str(caught.value)
    assert OTHER_SHA in str(caught.value)
    assert customer.shelf.path("porch.onnx").read_bytes() == MODEL
    assert customer.files == GOT
    assert customer.get(shop.url(), replace=True).sha256 == OTHER_SHA
    assert customer.shelf.look("porch.onnx").state is State.INTACT


def test_a_hash_that_was_pinned_must_be_met(shop: Shop, customer: Customer) -> None:
    with pytest.raises(RefusedError, match=f"{SHA}, and --sha256 asks for {OTHER_SHA}"):
        customer.get(shop.url(), sha256=OTHER_SHA)
    assert customer.files == set()
    assert customer.get(shop.url(), sha256=SHA).sha256 == SHA


def test_a_pin_against_the_record_is_refused_before_anything_is_asked(shop: Shop, customer: Customer) -> None:
    customer.get(shop.url())
    with pytest.raises(RefusedError, match="add --replace"):
        customer.get(shop.url(), sha256=OTHER_SHA)
    assert len(shop.asked) == 1


def test_a_damaged_model_is_got_again_and_must_be_the_recorded_one(shop: Shop, customer: Customer) -> None:
    customer.get(shop.url())
    path = customer.shelf.path("porch.onnx")
    path.write_bytes(MODEL[:-1] + b"?")
    assert customer.shelf.look("porch.onnx").state is State.CHANGED
    customer.get(shop.url())
    assert path.read_bytes() == MODEL
    assert "is not the file that was recorded" in customer.said


def test_a_record_rules_although_its_file_is_gone(shop: Shop, customer: Customer) -> None:
    customer.get(shop.url())
    customer.shelf.path("porch.onnx").unlink()
    shop.habits.content, shop.habits.etag = OTHER, '"two"'
    with pytest.raises(RefusedError, match=SHA):
        customer.get(shop.url())
    assert not customer.shelf.path("porch.onnx").exists()


@pytest.mark.parametrize("content", [b"", b"not a model", MODEL[: len(MODEL) // 2], model({})])
def test_what_is_no_model_gets_no_name(shop: Shop, customer: Customer, content: bytes) -> None:
    shop.habits.content = content
    with pytest.raises(RefusedError, match=r"what came from http.*RF-DETR's contract"):
        customer.get(shop.url())
    assert customer.files == set()


def test_somebodys_own_file_is_not_touched(shop: Shop, customer: Customer) -> None:
    customer.shelf.folder.mkdir()
    path = customer.shelf.path("porch.onnx")
    path.write_bytes(OTHER)
    with pytest.raises(RefusedError, match="did not come from here; --replace"):
        customer.get(shop.url())
    assert path.read_bytes() == OTHER
    customer.get(shop.url(), replace=True)
    assert path.read_bytes() == MODEL


def test_a_name_that_belongs_to_another_source_is_not_taken(shop: Shop, customer: Customer) -> None:
    customer.get(shop.url("/a.onnx?sig=secret"))
    with pytest.raises(RefusedError, match="is there already, from http") as caught:
        customer.get(shop.url("/b.onnx"))
    assert "secret" not in str(caught.value)
    assert customer.get(shop.url("/b.onnx"), name="other.onnx").name == "other.onnx"


def test_a_store_that_cannot_be_made_is_one_line(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"file.*: (File exists|Not a directory)"):
        Customer(Shelf(tmp_path / "file" / "models")).get(shop.url())


@pytest.mark.parametrize("renamed", [False, True])
def test_whoever_is_killed_while_placing_leaves_the_old_model_or_the_new_one(
    shop: Shop, customer: Customer, renamed: bool
) -> None:
    """The record is written beside first, then the model is renamed, then the record."""
    entry = customer.get(shop.url())
    later = customer.shelf.folder / ".porch.onnx.json.next"
    coming = record.Record(**{**json.loads(record.text(entry)), "sha256": OTHER_SHA, "etag": '"two"'})
    later.write_text(record.text(coming))
    if renamed:
        customer.shelf.path("porch.onnx").write_bytes(OTHER)
    assert customer.shelf.look("porch.onnx").state is State.INTACT
    with customer.shelf.lock("porch.onnx"):
        assert not later.exists()
    found = customer.shelf.look("porch.onnx")
    assert (found.state, found.record) == (State.INTACT, coming if renamed else entry)


@pytest.mark.parametrize("text", ["", "[]", '{"name": 1}', "\x00", '{"name": "porch.onnx"}'])
def test_a_record_that_cannot_be_read_is_none(customer: Customer, shop: Shop, text: str) -> None:
    customer.get(shop.url())
    (customer.shelf.folder / "porch.onnx.json").write_text(text)
    assert customer.shelf.look("porch.onnx").state is State.UNRECORDED
