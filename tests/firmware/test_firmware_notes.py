"""The notes on cameras are true where a test can tell: addresses, links, and the words that Porchlight says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from appliance.config import parse_source
from tests.rig import ROOT

NOTES = ROOT / "firmware_notes"
PAGES = (*sorted(NOTES.rglob("*.md")), ROOT / "README.md")
SPEAKING = ("capture", "config/source")
"""Folders of the appliance whose words the notes explain."""


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def addresses() -> list[str]:
    """Return every address that the notes tell to use as a source."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    told = [found for text in texts for found in re.findall(r"source: ([a-z0-9]+://\S+)", text)]
    told += [found for text in texts for found in re.findall(r"`((?:v4l2|rtsps?|synthetic)://[^`…]+)`", text)]
    return sorted({address for address in told if not address.endswith("://")})


def explained() -> list[str]:
    """Return what the notes say that Porchlight says: what stands in backticks in the tables' first columns."""
    words: list[str] = []
    for page in sorted(NOTES.glob("*-cameras.md")):
        _, _, section = page.read_text(encoding="utf-8").partition("## What Porchlight says")
        table = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("| ")]
        words += [word for line in table for word in re.findall(r"`([^`]+)`", line.split(" | ")[0])]
    return sorted(set(words))


@pytest.fixture(scope="module")
def said() -> list[str]:
    """Return every text in the code of these folders; one with gaps for values in pieces."""
    texts = []
    for folder in SPEAKING:
        for file in (ROOT / "appliance" / folder).rglob("*.py"):
            nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            texts += [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return texts


@pytest.mark.parametrize("address", addresses())
def test_an_address_in_the_notes_is_one_that_the_settings_take(address: str) -> None:
    parse_source(address)


@pytest.mark.parametrize("words", explained())
def test_what_the_notes_explain_is_what_porchlight_says(words: str, said: list[str]) -> None:
    assert any(words in text for text in said)


def test_the_notes_explain_something() -> None:
    assert len(explained()) > 30
    assert len(addresses()) > 10


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_to_what_is_there(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        path, _, heading = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        if heading:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}, link


def test_no_file_looks_like_a_home_assistant_app() -> None:
    """Home Assistant's store reads every config.* and build.* of a repository."""
    assert not [file for kind in ("config", "build") for file in NOTES.rglob(f"{kind}.*")]
