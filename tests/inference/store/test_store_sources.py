"""What the words of the command line mean, and what a server's headers do. Values only."""

from __future__ import annotations

import pytest

from appliance.inference.store.errors import RefusedError
from appliance.inference.store.source import Hub, source, valid_name
from appliance.inference.store.version import Version, of_part, of_whole

HUB = Hub.of({})


@pytest.mark.parametrize(
    ("what", "file", "revision", "url", "name"),
    [
        ("o/Name", "model.onnx", "main", "/o/Name/resolve/main/model.onnx", "name.onnx"),
        ("o/n", "onnx/fp 16.onnx", "refs/pr/1", "/o/n/resolve/refs%2Fpr%2F1/onnx/fp%2016.onnx", "n-fp-16.onnx"),
        ("o/n", "50%.onnx", "v1?x#y", "/o/n/resolve/v1%3Fx%23y/50%25.onnx", "n-50-.onnx"),
    ],
)
def test_a_file_on_the_hub_has_an_address_and_a_name(what: str, file: str, revision: str, url: str, name: str) -> None:
    place = source(what, file, revision, HUB)
    assert str(place.url) == f"https://huggingface.co{url}"
    assert (place.name, place.id) == (name, f"hub:{what}/{file}@{revision}")


def test_a_mirror_of_the_hub_may_have_a_path_and_the_source_stays_the_same() -> None:
    mirror = Hub.of({"HF_ENDPOINT": "https://mirror.example/hub/"})
    there, here = (source("o/n", "model.onnx", "main", hub) for hub in (mirror, HUB))
    assert str(there.url) == "https://mirror.example/hub/o/n/resolve/main/model.onnx"
    assert there.id == here.id


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.com/a/My Model (2).onnx", "my-model-2-.onnx"),
        ("https://example.com/a/model.onnx?key=1", "example.com-model.onnx"),
        ("https://example.com", "example.com-model.onnx"),
        ("https://example.com/..onnx", "model.onnx"),
        ("https://example.com/download", "example.com-model.onnx"),
        (f"https://example.com/{'x' * 300}.onnx", f"{'x' * 95}.onnx"),
    ],
)
def test_an_address_gives_a_name_that_the_store_takes(url: str, name: str) -> None:
    place = source(url, "ignored", "ignored", HUB)
    assert (place.name, valid_name(place.name)) == (name, name)


def test_an_address_is_shown_without_its_query_and_kept_without_its_fragment() -> None:
    place = source("https://example.com/porch.onnx?key=secret#there", "", "", HUB)
    assert place.shown == "https://example.com/porch.onnx?..."
    assert place.id == "https://example.com/porch.onnx?key=secret"


@pytest.mark.parametrize("endpoint", ["mirror.example", "ftp://mirror.example", "https://me:word@mirror.example"])
def test_a_hub_that_is_no_address_is_refused(endpoint: str) -> None:
    with pytest.raises(RefusedError, match="HF_ENDPOINT"):
        Hub.of({"HF_ENDPOINT": endpoint})


@pytest.mark.parametrize(
    ("text", "first", "total"),
    [
        ("bytes 5-9/10", 5, 10),
        ("bytes 5-9/*", 5, None),
        ("bytes */10", None, 10),
        ("bytes=5-9/10", None, None),
        ("bytes -5/10", None, None),
        ("bytes \u0665-\u0669/10", None, None),
        (f"bytes {'9' * 5000}-9/10", None, None),
        ("", None, None),
    ],
)
def test_where_a_part_begins_is_read_from_its_header(text: str, first: int | None, total: int | None) -> None:
    begins, version = of_part({"Content-Range": text, "ETag": '"one"'})
    assert (begins, version.total, version.etag) == (first, total, '"one"')


@pytest.mark.parametrize("length", ["", "-1", "+5", "1e3", "\u0665", "5, 5", "9" * 5000])
def test_a_length_that_is_none_is_unknown(length: str) -> None:
    assert of_whole({"Content-Length": length}).total is None


def test_versions_differ_where_anything_that_both_know_does() -> None:
    one = Version('"one"', "Monday", 10)
    assert one.may_be(Version())
    assert one.may_be(Version('"one"', "", None))
    for other in (Version('"two"', "Monday", 10), Version('"one"', "Tuesday"), Version("", "", 11)):
        assert not one.may_be(other)
