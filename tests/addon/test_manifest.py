"""addon/: what Home Assistant's store and the community's linter (frenck/action-addon-linter) look at, checked here.

The linter itself is a container action: it runs in the project's checks at GitHub, not here.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance import __version__
from appliance.addon.options import settings_of
from appliance.config import load
from appliance.supervisor import STOP_PATIENCE_S
from tests.rig import ROOT

ADDON = ROOT / "addon"
MANIFEST: dict[str, Any] = yaml.safe_load((ADDON / "config.yaml").read_text(encoding="utf-8"))
TRANSLATIONS: dict[str, Any] = yaml.safe_load((ADDON / "translations" / "en.yaml").read_text(encoding="utf-8"))

REQUIRED = {"name", "version", "slug", "description", "arch"}
ALLOWED = REQUIRED | {
    "url", "image", "services", "init", "ingress", "panel_icon", "panel_title", "panel_admin", "video", "usb", "tmpfs",
    "timeout", "homeassistant", "homeassistant_api", "ports", "map", "backup_exclude", "options", "schema", "stage",
}  # fmt: skip
"""Of the keys that the linter knows, those that cost an add-on nothing of its security rating."""
DEFAULTS: dict[str, Any] = {
    "apparmor": True, "boot": "auto", "backup": "hot", "hassio_role": "default", "ingress_port": 8099, "init": True,
    "options": {}, "panel_admin": True, "panel_icon": "mdi:puzzle", "schema": {}, "stage": "stable",
    "startup": "application", "timeout": 10, "ulimits": {}, "homeassistant": False,
}  # fmt: skip
"""What a key says that had better be left out; every switch that is not here is off by default."""
OPTION = re.compile(
    r"(str|int|float|bool|email|url|port|password|match\(.+\)|list\(.+\)|(str|password|int|float)\([^,]*,[^,]*\))\??"
)
BY_START = {"model", "settings_file"}
"""Options that appliance/addon/start.py takes itself, before there are settings."""
GIVEN: dict[str, Any] = {"cameras": [{"id": "porch", "source": "synthetic://porch"}], "mqtt_username": "porch"}
"""What stands beside the option that is tried: a password alone is refused."""

HASH = "$argon2id$v=19$m=1,t=1,p=1$YWFhYWFhYWE$YWFhYQ"


def values(kind: str) -> list[Any]:
    """Return values that the Supervisor lets through for a kind of option: a number's bounds, each word of a list."""
    kind = kind.removesuffix("?")
    if kind.startswith("float("):
        return [float(bound) for bound in kind[6:-1].split(",")]
    if kind.startswith("list("):
        return kind[5:-1].split("|")
    by_kind: dict[str, list[Any]] = {
        "bool": [True, False],
        "port": [1, 65535],
        "url": ["http://collector:4317"],
        "password": ["4711" * 4],
    }
    return by_kind.get(kind, ["word"])


def size(picture: Path) -> tuple[int, int]:
    """Return a PNG's width and height."""
    head = picture.read_bytes()[:24]
    assert head.startswith(b"\x89PNG\r\n\x1a\n"), picture
    width, height = struct.unpack(">II", head[16:])
    return width, height


def test_it_has_the_keys_that_it_must_and_none_that_costs_it_its_rating() -> None:
    assert MANIFEST.keys() >= REQUIRED
    assert set(MANIFEST) <= ALLOWED


def test_nothing_is_said_that_holds_anyway() -> None:
    """Or the linter refuses it."""
    assert not [key for key, value in MANIFEST.items() if key in DEFAULTS and value == DEFAULTS[key]]
    assert not [key for key, value in MANIFEST.items() if key not in DEFAULTS and value is False]


def test_it_is_this_version_of_the_one_image_for_both_architectures() -> None:
    assert MANIFEST["version"] == __version__
    assert sorted(MANIFEST["arch"]) == ["aarch64", "amd64"]
    assert re.fullmatch(r"[a-z0-9.-]+(/[a-z0-9_-]+)+", MANIFEST["image"]), "in small letters, and without a tag"
    assert re.fullmatch(r"[a-z0-9_]+", MANIFEST["slug"])
    assert MANIFEST["services"] == ["mqtt:want"]
    assert 'io.hass.arch="${ADDON_ARCH}"' in (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")


def test_there_is_time_to_stop() -> None:
    assert MANIFEST["timeout"] > STOP_PATIENCE_S


def test_the_port_is_closed_unless_somebody_opens_it_and_the_owners_files_are_only_read() -> None:
    assert set(MANIFEST["ports"].values()) == {None}
    assert all(mapped["read_only"] for mapped in MANIFEST["map"])
    assert MANIFEST["ingress"] is True


def test_the_store_finds_everything_that_it_shows() -> None:
    for name in ("DOCS.md", "README.md", "CHANGELOG.md", "apparmor.txt"):
        assert (ADDON / name).read_text(encoding="utf-8").strip(), name
    assert size(ADDON / "icon.png") == (128, 128)
    width, height = size(ADDON / "logo.png")
    assert (240 <= width <= 260, 90 <= height <= 110) == (True, True)
    assert not list(ADDON.glob("build.*")), "deprecated"
    store = yaml.safe_load((ROOT / "repository.yaml").read_text(encoding="utf-8"))
    assert store.keys() == {"name", "url", "maintainer"}


def test_its_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"^## (\S+)", (ADDON / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert versions[0] == __version__


def test_no_other_file_looks_like_an_add_on_of_its_own() -> None:
    """The store reads every config.* that it finds, two folders deep and deeper; the root's own is no list."""
    found = [path for kind in ("yaml", "yml", "json") for path in ROOT.glob(f"*/config.{kind}")]
    assert [path.parent.name for path in found if not path.parent.name.startswith(".")] == ["addon"]
    assert isinstance(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")), dict)


def test_every_option_is_of_a_kind_that_the_supervisor_knows() -> None:
    for option, kind in MANIFEST["schema"].items():
        [kinds] = [kind] if isinstance(kind, list) else [[kind]]
        for one in kinds:
            for word in one.values() if isinstance(one, dict) else [one]:
                assert OPTION.fullmatch(word), (option, word)


def test_every_option_that_must_be_given_has_a_first_value_and_no_other_has() -> None:
    must = {name for name, kind in MANIFEST["schema"].items() if not str(kind).endswith("?")}
    assert MANIFEST["options"].keys() == must


def test_every_option_is_explained_and_nothing_else_is() -> None:
    assert TRANSLATIONS["configuration"].keys() == MANIFEST["schema"].keys()
    for words in TRANSLATIONS["configuration"].values():
        assert words["name"]
        assert words["description"]
    for field in MANIFEST["schema"]["cameras"][0]:
        assert field in TRANSLATIONS["configuration"]["cameras"]["description"]
    assert TRANSLATIONS["network"].keys() == MANIFEST["ports"].keys()


SCALARS = {name: kind for name, kind in MANIFEST["schema"].items() if isinstance(kind, str) and name not in BY_START}


@pytest.mark.parametrize(("option", "kind"), SCALARS.items(), ids=SCALARS)
def test_what_the_supervisor_lets_through_the_settings_take(option: str, kind: str, tmp_path: Path) -> None:
    """At the bounds too: otherwise it would start, and then refuse what its own form allowed."""
    without = settings_of(GIVEN, str)
    for value in values(kind):
        written = settings_of({**GIVEN, option: value}, lambda _: HASH)
        assert written != without, f"appliance/addon/options.py does not know {option}"
        file = tmp_path / "settings.yaml"
        file.write_text(yaml.safe_dump(written), encoding="utf-8")
        load(file, {}, require_model=False)


@pytest.mark.parametrize(("tag", "code"), [(f"v{__version__}", 0), ("v99.0.0", 1), (f"v{__version__}.1", 1)])
def test_only_this_versions_tag_is_published(tag: str, code: int) -> None:
    steps = yaml.safe_load((ROOT / ".github/workflows/publish.yaml").read_text(encoding="utf-8"))["jobs"]["image"][
        "steps"
    ]
    script, *others = [step["run"] for step in steps if "run" in step]
    assert not others
    assert next(i for i, step in enumerate(steps) if "run" in step) < next(
        i for i, step in enumerate(steps) if "push-action" in step.get("uses", "")
    )
    said = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=ROOT,
        env={**os.environ, "GITHUB_REF_NAME": tag},
        capture_output=True,
        check=False,
    )
    assert said.returncode == code
    assert bool(said.stdout) == bool(code), "and it says which file says otherwise"


def test_the_projects_checks_can_be_read_and_lint_this_folder() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/check.yaml").read_text(encoding="utf-8"))["jobs"]
    [lint] = [step for step in jobs["addon"]["steps"] if "linter" in step.get("uses", "")]
    assert (ROOT / lint["with"]["path"]).resolve() == ADDON
    assert {"check", "coverage"} <= jobs.keys()
