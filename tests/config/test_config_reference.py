"""config.yaml and the JSON schema say what the models say."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from appliance.config import Settings, load
from appliance.config.outline import find, value_paths
from appliance.config.schema import render

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "config.yaml"
SCHEMA = ROOT / "schemas" / "settings.schema.json"


def with_example() -> str:
    """Return config.yaml with its example camera in force, as its comment tells a reader to do."""
    text = REFERENCE.read_text(encoding="utf-8").replace("cameras: []", "cameras:")
    return re.sub(r"^#(   )", r"\1", text, flags=re.MULTILINE)


def with_zone() -> str:
    """Return that with the example zone in force as well."""
    before, zones, after = re.split(r"(?s)(zones: \[\].*?)(?=     # Areas)", with_example())
    return before + re.sub(r"(?m)^(     )#(   +)", r"\1\2", zones.replace("zones: []", "zones:")) + after


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_config_yaml_holds_the_defaults() -> None:
    assert load(REFERENCE, {}, require_model=False) == Settings()


def test_the_example_camera_is_right_and_otherwise_has_the_defaults(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.touch()
    file = tmp_path / "config.yaml"
    file.write_text(with_example().replace("/media/front_door.mp4", str(clip)), encoding="utf-8")
    [camera] = load(file, {}, require_model=False).cameras
    plain = type(camera)(id=camera.id, source=camera.source)
    assert camera == plain
    assert camera.label == "Front door"


@pytest.mark.parametrize("path", list(value_paths()), ids=lambda path: ".".join(map(str, path)))
def test_every_setting_stands_in_config_yaml(path: tuple[str | int, ...]) -> None:
    value: Any = yaml.safe_load(with_zone())
    for part in path:
        assert isinstance(part, int) or part in value
        value = value[part]


@pytest.mark.parametrize("path", list(value_paths()), ids=lambda path: ".".join(map(str, path)))
def test_the_range_in_the_comment_is_the_one_that_is_checked(path: tuple[str | int, ...]) -> None:
    field = find(path).field
    assert field is not None
    bounds = {name: getattr(mark, name) for mark in field.metadata for name in ("ge", "le") if hasattr(mark, name)}
    if bounds:
        assert f"{bounds['ge']} to {bounds['le']}" in comment_above(path)


def comment_above(path: tuple[str | int, ...]) -> str:
    """Return the comment lines right above a setting, in one line."""
    text = with_example()
    if len(path) > 1:
        text = text[re.search(rf"^{path[0]}:", text, re.MULTILINE).start() :]  # type: ignore[union-attr]
    above = re.split(rf"^[ -]*{path[-1]}:", text, maxsplit=1, flags=re.MULTILINE)[0].splitlines()
    lines: list[str] = []
    while above and above[-1].lstrip().startswith("#"):
        lines.insert(0, above.pop().lstrip(" #"))
    return " ".join(lines)


def test_the_checked_in_schema_is_current() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == render(), "run script/generate-settings-schema"


@pytest.mark.parametrize(
    "text", [REFERENCE.read_text(encoding="utf-8"), with_example(), with_zone()], ids=["plain", "example", "zone"]
)
def test_config_yaml_keeps_to_the_schema(validator: Draft202012Validator, text: str) -> None:
    validator.validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    "wrong", [{"mqtt": {"port": 0}}, {"mqtt": {"hots": "a"}}, {"cameras": [{"id": "A", "source": "file:a"}]}]
)
def test_the_schema_refuses_what_load_refuses(validator: Draft202012Validator, wrong: dict[str, Any]) -> None:
    assert not validator.is_valid(wrong)
