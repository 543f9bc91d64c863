"""`porchlight model` as somebody types it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from appliance import arguments, cli
from appliance.inference.store import command as model_command
from appliance.inference.store.progress import Progress
from tests.inference.onnx_maker import model, rows
from tests.inference.store.customer import MODEL, Customer
from tests.inference.store.shop import Shop

Words = pytest.CaptureFixture[str]


def run(*words: str | Path) -> int:
    return cli.main(["model", *map(str, words)])


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without settings, a state folder of the test's own, and no hub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.delenv("HF_TOKEN", raising=False)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where models go without any settings."""
    return tmp_path / "state" / "porchlight" / "porchlight" / "models"


def test_get_says_what_to_write_and_those_settings_load(shop: Shop, store: Path, capsys: Words, tmp_path: Path) -> None:
    assert run("get", shop.url()) == 0
    said = capsys.readouterr().out
    settings = said.partition("In config.yaml:\n")[2]
    assert yaml.safe_load(settings) == {"model": {"path": str(store / "porch.onnx")}}
    (tmp_path / "config.yaml").write_text(settings + "cameras:\n  - {id: porch, source: 'synthetic://porch'}\n")
    assert cli.main(["check"]) == 0


def test_without_words_the_ancestors_model_is_meant(shop: Shop, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", shop.url("/"))
    assert run("get") == 0
    assert shop.asked[0].path == "/jordandelbar/rf-detr-s-int8/resolve/main/inference_model.onnx"
    assert (store / "rf-detr-s-int8.onnx").read_bytes() == MODEL
    assert "Apache-2.0" in json.loads((store / "rf-detr-s-int8.onnx.json").read_text())["licence"]


def test_where_the_hub_cannot_be_reached_it_fails_in_one_line(capsys: Words) -> None:
    assert run("get") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("no connection (nothing answers at this port)")


@pytest.mark.parametrize("content", ["cameras: 5\n", "\x00", "- 1\n"])
def test_settings_that_cannot_be_used_stop_nobody(shop: Shop, store: Path, capsys: Words, content: str) -> None:
    Path("config.yaml").write_text(content)
    assert run("get", shop.url()) == 0
    assert "config.yaml cannot be used (porchlight check says why)" in capsys.readouterr().err
    assert (store / "porch.onnx").exists()


def test_settings_say_where_the_store_is_and_words_overrule_them(shop: Shop, tmp_path: Path) -> None:
    Path("mine.yaml").write_text(f"state_dir: {tmp_path}/mine\n")
    assert run("get", shop.url(), "--config", "mine.yaml") == 0
    assert (tmp_path / "mine" / "models" / "porch.onnx").exists()
    assert run("--config", "mine.yaml", "get", "--store", tmp_path / "other", shop.url()) == 0
    assert (tmp_path / "other" / "porch.onnx").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("get", "xl"), "Platform Model License"),
        (("get", "roboflow/rf-detr-2xlarge"), "Platform Model License"),
        (("get", "https://example.com/rf-detr-xl.onnx"), "Platform Model License"),
        (("get", "owner/name", "--file", "rfdetr_xxl.onnx"), "Platform Model License"),
        (("export", "2xl"), "Platform Model License"),
        (("export", "XLarge"), "Platform Model License"),
        (("export", "base"), "there is no RF-DETR 'base'; there are nano, small, medium, large"),
        (("get", "small"), "porchlight model export small"),
        (("get", "porch.onnx"), "neither an address"),
        (("get", "ftp://example.com/porch.onnx"), "is no address"),
        (("get", "https://"), "is no address"),
        (("get", "https://me:secret@example.com/porch.onnx"), "keeps addresses, not passwords"),
        (("get", "http://example.com/porch.onnx"), "over plain http"),
        (("get", "owner/name", "--file", "../../secret"), "is no file of a repository"),
        (("get", "owner/name", "--revision", ""), "is no file of a repository"),
        (("get", "--sha256", "abc"), "--sha256 is not 64 hexadecimal digits"),
        (("get", "--max-bytes", "0"), "--max-bytes must be more than 0"),
        (("get", "--name", "../porch"), "is no name for a model"),
        (("get", "--name", ".porch"), "is no name for a model"),
        (("get", "--name", "Porch"), "is no name for a model"),
        (("export", "nano", "--weights", "nowhere.pth"), "there is no such file of weights"),
        (("export", "nano", "--environment", "nowhere"), "is no Python environment"),
        (("check",), "model.path is not set"),
        (("check", "nowhere"), "there is no such file"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(capsys: Words, words: tuple[str, ...], said: str) -> None:
    assert run(*words) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert "secret@" not in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    "name", ["rf-detr-seg-xlarge", "rf-detr-large", "xlarger-porch", "rfdetr-keypoint-preview-xlarge"]
)
def test_other_names_with_xl_in_them_are_no_reason_to_refuse(shop: Shop, name: str) -> None:
    assert run("get", shop.url(f"/{name}.onnx")) == 0


def test_an_empty_store_says_what_can_be_had(capsys: Words, store: Path) -> None:
    assert run("list") == 0
    said = capsys.readouterr().out
    assert f"In the store ({store}):\n  nothing yet" in said
    for words in ("export nano    384 x 384  AP 48.4  2.3 ms", "export large   704 x 704  AP 56.5  6.8 ms"):
        assert words in said
    assert "jordandelbar/rf-detr-s-int8, inference_model.onnx" in said
    assert "What cannot: RF-DETR XL and 2XL are not Apache-2.0" in said
    assert not store.exists()


def test_the_list_tells_what_is_whole_from_what_is_not(shop: Shop, store: Path, capsys: Words) -> None:
    for name in ("a", "b", "c"):
        assert run("get", shop.url(f"/{name}.onnx?key=secret")) == 0
    (store / "b.onnx").write_bytes(b"damaged")
    (store / "c.onnx").unlink()
    (store / "d.onnx").write_bytes(MODEL)
    (store / "e.onnx.part").write_bytes(MODEL)
    capsys.readouterr()
    assert run("list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)["models"]
    assert {item["name"]: item["state"] for item in listed} == {
        "a.onnx": "intact",
        "b.onnx": "not the file that was recorded",
        "c.onnx": "the file is gone",
        "d.onnx": "no record",
    }
    assert run("list") == 0
    table = capsys.readouterr().out
    assert "secret" not in table
    assert [line.split()[0] for line in table.splitlines()[1:6]] == ["name", "a.onnx", "b.onnx", "c.onnx", "d.onnx"]


def test_check_tells_of_the_configured_model_and_what_the_trials_say(
    shop: Shop, store: Path, capsys: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("get", shop.url()) == 0
    monkeypatch.setenv("PORCHLIGHT_MODEL__PATH", str(store / "porch.onnx"))
    capsys.readouterr()
    tried: list[Path] = []

    def trials(path: Path) -> Iterable[str]:
        tried.append(path)
        yield "self-test  passed"

    options = arguments.parser().parse_args(["model", "check"])
    assert model_command.run(options, {"PORCHLIGHT_MODEL__PATH": str(store / "porch.onnx")}, trials) == 0
    said = capsys.readouterr().out
    assert tried == [store / "porch.onnx"]
    assert "contract   kept: input 224 x 224 pixels, 300 queries, 91 columns, 80 class names" in said
    assert "(as recorded)" in said
    assert said.splitlines()[-1] == "self-test  passed"


def test_check_takes_a_file_or_a_name(shop: Shop, store: Path, capsys: Words, tmp_path: Path) -> None:
    assert run("get", shop.url()) == 0
    two = model(rows([], columns=3), metadata={"rfdetr_notes": json.dumps({"class_names": ["parcel", "cat"]})})
    (tmp_path / "mine.onnx").write_bytes(two)
    capsys.readouterr()
    assert run("check", "porch") == 0
    assert str(store / "porch.onnx") in capsys.readouterr().out
    assert run("check", "mine.onnx") == 0
    said = capsys.readouterr().out
    assert "not recorded: it did not come through the store" in said
    assert "3 columns, 2 class names" in said
    assert "licence    unknown" in said


def test_check_refuses_what_porchlight_cannot_run_after_what_it_knows(tmp_path: Path, capsys: Words) -> None:
    (tmp_path / "mine.onnx").write_bytes(b"no model")
    assert run("check", "mine.onnx") == 2
    captured = capsys.readouterr()
    assert "sha256" in captured.out
    assert "not an ONNX model" in captured.err


def test_check_sees_damage(shop: Shop, store: Path, capsys: Words) -> None:
    assert run("get", shop.url()) == 0
    (store / "porch.onnx").write_bytes(model(rows([])))
    assert run("check", "porch") == 1
    captured = capsys.readouterr()
    assert "NOT as recorded" in captured.out
    assert "get it again" in captured.err


def test_names_that_move_the_cursor_are_escaped(store: Path, capsys: Words, shop: Shop) -> None:
    store.mkdir(parents=True)
    (store / "a\x1b[2J.onnx").write_bytes(MODEL)
    assert run("list") == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "a\\x1b[2J.onnx" in said


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_one_line_redrawn_and_a_log_a_line_for_every_tenth() -> None:
    for stream in (Terminal(), io.StringIO()):
        times = iter(range(1000))
        progress = Progress("porch.onnx", stream, lambda times=times: float(next(times)))  # type: ignore[misc]
        progress.begin(0, 1000)
        for have in range(0, 1001, 10):
            progress.at(have)
        progress.say("done")
        said = stream.getvalue()
        assert "100 %" in said
        assert said.endswith("\ndone\n")
        if stream.isatty():
            assert said.count("\n") == 2
            assert said.count("\r") > 50
        else:
            assert "\r" not in said
            assert len(said.splitlines()) == 11


def test_a_download_of_unknown_length_shows_what_has_come() -> None:
    stream = io.StringIO()
    progress = Progress("porch.onnx", stream, lambda: 0.0)
    progress.begin(0, None)
    for have in (1, 19_999_999, 20_000_000, 45_000_000):
        progress.at(have)
    assert stream.getvalue() == "porch.onnx  20.0 MB\nporch.onnx  45.0 MB\n"


def test_the_bytes_that_were_there_do_not_count_as_speed(customer: Customer) -> None:
    stream, times = io.StringIO(), iter([0.0, 0.0, 2.0])
    progress = Progress("porch.onnx", stream, lambda: next(times))
    progress.begin(90_000_000, 100_000_000)
    progress.at(100_000_000)
    assert stream.getvalue() == "porch.onnx  100.0 MB of 100.0 MB  100 %  5.0 MB/s\n"
