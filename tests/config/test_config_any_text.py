"""Whatever is written, load returns settings or raises ConfigError."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.config import ConfigError, load
from appliance.config.names import SettingPath, variable
from appliance.config.outline import find, value_paths

PATHS = list(value_paths())
SECRETS = [path for path in PATHS if find(path).is_private and path[0] != "cameras"]
SECRET = "hunter2hunter2"

# What YAML, a URL or a path takes for more than a letter.
WORDS = [
    "~",
    "yes",
    ".inf",
    "-.nan",
    "0x",
    "0b_",
    "1:99",
    "2024-13-45",
    "0.5",
    "1",
    "=",
    "<<",
    "*a",
    "&a",
    "!",
]
MARKS = [
    "!!int",
    "!!binary",
    "-",
    "?",
    ":",
    "{",
    "[",
    "|",
    ">",
    "%",
    "'",
    '"',
    "#",
    "@",
    "&",
    "\\ud800",
    "\\U99999999",
]
URLS = [
    "file:///",
    "file:%00",
    "file:~nobody",
    "~nobody",
    "?loop=",
    "?rate=lockstep",
    "v4l2:///dev/",
    "?size=",
    "rtsp://",
    "https://",
    "me:hunter2@",
    "[::1]",
    ":554",
    "/stream",
    "#transport=",
    "%ff",
]
LETTERS = ["", " ", "\t", "\n", "\r", "\0", "\x85", "\u2028", "9" * 5000, "x" * 300]
words = st.sampled_from([*WORDS, *MARKS, *URLS, *LETTERS])
texts = st.one_of(st.text(), st.lists(words | st.text(max_size=3), max_size=6).map("".join))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any") / "config.yaml"


def try_to_load(file: Path | None, environ: dict[str, str]) -> str:
    """Return what is said against the settings, nothing if they are right."""
    problems = []
    try:
        load(file, environ)
    except ConfigError as error:
        problems = error.problems
    said = "\n".join(map(str, problems))
    assert len(said.encode().splitlines()) == len(said.splitlines()) == len(problems)
    return said


def line_of(path: SettingPath, text: str) -> str:
    """Write one setting as a file."""
    above = [f"{part}:" if isinstance(part, str) else "-" for part in path[:-1]]
    lines = [" " * depth + part for depth, part in enumerate([*above, f"{path[-1]}: {text}"])]
    return "\n".join(lines)


@given(path=st.sampled_from(PATHS), text=texts)
@settings(max_examples=500, deadline=None)
def test_no_text_in_any_setting_of_the_file_raises_anything_else(file: Path, path: SettingPath, text: str) -> None:
    file.write_text(line_of(path, text), encoding="utf-8")
    try_to_load(file, {})


@pytest.mark.parametrize("text", ["0", "-1", "1234", "0.5", ".nan", "true", "''", "[]", "{}", "x"])
def test_a_value_of_any_kind_in_any_setting_is_taken_or_told(file: Path, text: str) -> None:
    """A PIN where its hash belongs, for one: what a person writes is no matter of chance."""
    for path in PATHS:
        file.write_text(line_of(path, text), encoding="utf-8")
        try_to_load(file, {})


@given(path=st.sampled_from(PATHS), text=texts)
@settings(max_examples=500, deadline=None)
def test_no_value_of_any_variable_raises_anything_else(path: SettingPath, text: str) -> None:
    try_to_load(None, {variable(path): text})


@given(name=texts, text=texts)
@settings(max_examples=300, deadline=None)
def test_no_name_of_a_variable_raises_anything_else(name: str, text: str) -> None:
    try_to_load(None, {f"PORCHLIGHT_{name.upper()}": text})


@given(content=st.one_of(st.binary(), texts.map(str.encode)))
@settings(max_examples=500, deadline=None)
def test_no_file_raises_anything_else(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    try_to_load(file, {})


@given(path=st.sampled_from(SECRETS), before=texts, after=texts)
@settings(max_examples=500, deadline=None)
def test_no_secret_however_badly_written_is_repeated(file: Path, path: SettingPath, before: str, after: str) -> None:
    # On one line: further down it would be the name of another setting.
    flat = " ".join([*before.split(), SECRET, *after.split()])
    file.write_text(line_of(path, flat), encoding="utf-8")
    assert SECRET not in try_to_load(file, {})
