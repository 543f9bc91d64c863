"""The notes on boards are true where a test can tell: their settings, commands and files are Porchlight's own.

Links and cameras' addresses are looked at in tests/firmware.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from appliance.arguments import parser
from appliance.config import load
from appliance.inference.backends import BACKENDS
from tests.benchmarks.__main__ import CHAPTERS
from tests.rig import ROOT

NOTES = ROOT / "firmware_notes"
BOARDS = ("raspberry-pi-5.md", "n100.md", "jetson-orin.md", "server.md")
PAGES = {page.name: page.read_text(encoding="utf-8") for page in sorted(NOTES.glob("*.md"))}
ELSEWHERE = {"shm_size", "avx512_bf16", "amx_bf16", *BACKENDS}
"""Words of the same form that are Docker's, the processor's, a backend's."""
COMMAND = re.compile(r"^(?:PORCHLIGHT_[A-Z_]+=\S+ )?(?:docker compose exec porchlight )?porchlight (.+)$")


def quoted() -> Iterator[tuple[str, str]]:
    """Yield every line of code in the notes, with its page: what stands in backticks or in a shell's block."""
    for name, text in PAGES.items():
        for language, block in re.findall(r"```(\w*)\n(.*?)```", text, re.DOTALL):
            if language == "sh":
                yield from ((name, line.split("  #")[0].strip()) for line in block.splitlines() if line.strip())
        for line in re.sub(r"```.*?```", "", text, flags=re.DOTALL).splitlines():
            yield from ((name, code) for code in re.findall(r"`([^`]+)`", line))


def commands() -> list[str]:
    """Return what the notes tell to type after `porchlight`, but names of users and services that begin like it."""
    found = (COMMAND.match(code) for _, code in quoted())
    return sorted({match[1] for match in found if match and not match[1].startswith("-")})


def blocks() -> list[tuple[str, str]]:
    """Return the settings that the notes show, with their page."""
    found = [
        (name, block) for name, text in PAGES.items() for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    ]
    return [(name, block) for name, block in found if not block.startswith(" ")]


@pytest.mark.parametrize("words", commands())
def test_a_command_of_the_notes_is_one_that_porchlight_takes(words: str) -> None:
    parser().parse_args(shlex.split(words))


@pytest.mark.parametrize("words", ["model chekc", "doctor camera", "model check --threads 4"])
def test_a_wrong_command_would_be_noticed(words: str) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(shlex.split(words))


@pytest.mark.parametrize(("page", "block"), blocks(), ids=lambda word: word if word.endswith(".md") else "settings")
def test_settings_of_the_notes_are_taken(page: str, block: str, tmp_path: Path) -> None:
    assert isinstance(yaml.safe_load(block), dict), page
    file = tmp_path / "settings.yaml"
    file.write_text(block, encoding="utf-8")
    load(file, {}, require_model=False)


def test_settings_that_the_boards_pages_name_exist() -> None:
    known = set(re.findall(r"^#?\s*(?:# +)?(?:- )?([a-z_]+):", (ROOT / "config.yaml").read_text(), re.MULTILINE))
    whole = (re.fullmatch(r"([a-z]+(?:_[a-z]+)*)(?:: \S+)?", code) for page, code in quoted() if page in BOARDS)
    named = {found[1] for found in whole if found and ("_" in found[1] or ":" in found[0])}
    assert {"threads", "backend", "standby_fps"} <= named
    assert named - known <= ELSEWHERE


@pytest.mark.parametrize("variable", sorted({v for _, code in quoted() for v in re.findall(r"PORCHLIGHT_\w+", code)}))
def test_a_variable_of_the_notes_is_a_setting(variable: str, tmp_path: Path) -> None:
    value = {"PORCHLIGHT_MODEL__THREADS": "4"}.get(variable, "http://192.0.2.1/")
    file = tmp_path / "settings.yaml"
    file.write_text("cameras: [{id: porch, source: http://192.0.2.2/}]", encoding="utf-8")
    assert load(file, {variable: value}, require_model=False) != load(file, {}, require_model=False)


def test_scripts_and_chapters_of_the_bench_that_the_notes_name_exist() -> None:
    scripts = [code.split() for _, code in quoted() if code.startswith("./script/")]
    assert scripts
    for script, *chapters in scripts:
        assert (ROOT / script).is_file()
        assert set(chapters) <= set(CHAPTERS)


@pytest.mark.parametrize("board", BOARDS)
def test_every_board_is_in_the_table_and_says_what_is_measured_and_what_is_not(board: str) -> None:
    assert f"]({board})" in PAGES["README.md"]
    text = PAGES[board]
    for heading in ("## What it takes", "## Set-up"):
        assert heading in text
    for way in ("../deploy/compose.yaml", "../deploy/k3s/README.md", "../deploy/systemd/README.md"):
        assert way in text, way
    assert "not measured" in text


def test_divisions_in_the_notes_are_right() -> None:
    """`29.4 / 82 to 29.4 / 64 = 0.36 to 0.46 s`: an estimate shows its factors, and they must give it."""
    number = r"(\d+(?:\.\d+)?)"
    checked = 0
    for name in BOARDS:
        shown = rf"{number} / {number} to {number} / {number} = {number} to {number} s"
        for found in re.findall(shown, PAGES[name]):
            above, below, other, under, low, high = map(float, found)
            assert round(above / below, 2) == low, (name, found)
            assert round(other / under, 2) == high, (name, found)
            checked += 1
    assert checked >= 4
