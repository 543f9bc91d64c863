"""script/cluster, with stand-ins for docker, k3d and kubectl that note what they are asked: no cluster is had here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.rig import ROOT

SCRIPT = ROOT / "script" / "cluster"
TOOLS = ("docker", "k3d", "kubectl")
SYSTEM = ("sh", "od", "tr", "dirname")
"""What it takes of any system."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder to be all of PATH, with stand-ins that succeed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in SYSTEM:
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    for name in TOOLS:
        stand_in(folder, name)
    return folder


def stand_in(folder: Path, name: str, then: str = "") -> None:
    (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >>"{folder.parent}/said"\n{then}\n')
    (folder / name).chmod(0o755)


def cluster(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, *words], env={"PATH": str(path)}, capture_output=True, text=True, check=False)


def said(path: Path) -> list[str]:
    return (path.parent / "said").read_text().splitlines()


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_that_is_missing_is_named_with_where_to_get_it(path: Path, tool: str) -> None:
    (path / tool).unlink()
    tried = cluster(path, "up")
    assert tried.returncode == 1
    assert tried.stderr.startswith(f"cluster: {tool} is not here: https://")
    assert not (path.parent / "said").exists(), "nothing was begun"


def test_a_daemon_that_does_not_answer_is_named(path: Path) -> None:
    stand_in(path, "docker", "exit 1")
    tried = cluster(path, "up")
    assert tried.returncode == 1
    assert "docker's daemon does not answer" in tried.stderr
    assert said(path) == ["docker info"]


def test_the_first_up_builds_makes_the_cluster_and_its_secret_and_waits(path: Path) -> None:
    stand_in(path, "k3d", '[ "$2" != get ]')
    stand_in(path, "kubectl", '[ "$*" != "--context k3d-porchlight get secret porchlight" ]')
    tried = cluster(path, "up")
    assert tried.returncode == 0, tried.stderr
    asked = said(path)
    image = "ghcr.io/porchlight-ha/porchlight:dev"
    in_order = [
        f"docker build -f deploy/Dockerfile -t {image} .",
        "k3d cluster create porchlight --wait",
        f"k3d image import {image} -c porchlight",
        "kubectl --context k3d-porchlight apply -k deploy/k3s/overlays/k3d",
        "kubectl --context k3d-porchlight rollout status deployment/porchlight --timeout=300s",
    ]
    assert [line for line in asked if line in in_order] == in_order
    [secret] = [line for line in asked if "create secret" in line]
    values = [word.rsplit("=", 1)[1] for word in secret.split() if word.startswith("--from-literal")]
    assert len(set(values)) == 2
    assert all(len(value) == 48 for value in values)
    assert not any("rollout restart" in line for line in asked)


def test_another_up_keeps_the_cluster_and_the_secret_and_brings_in_the_new_image(path: Path) -> None:
    stand_in(path, "kubectl", 'case "$*" in *"get deployment"*) echo deployment.apps/porchlight ;; esac')
    assert cluster(path, "up").returncode == 0
    asked = said(path)
    assert not any("create" in line for line in asked)
    restart = asked.index("kubectl --context k3d-porchlight rollout restart deployment/porchlight")
    assert asked[restart - 1].endswith("apply -k deploy/k3s/overlays/k3d")


def test_a_step_that_fails_ends_it(path: Path) -> None:
    stand_in(path, "docker", '[ "$1" != build ]')
    assert cluster(path, "up").returncode != 0
    assert not any(line.startswith(("k3d", "kubectl")) for line in said(path))


def test_down_removes_the_cluster(path: Path) -> None:
    assert cluster(path, "down").returncode == 0
    assert said(path) == ["k3d cluster delete porchlight"]


@pytest.mark.parametrize("words", [(), ("sideways",)])
def test_anything_else_is_answered_with_what_there_is(path: Path, words: tuple[str, ...]) -> None:
    tried = cluster(path, *words)
    assert tried.returncode == 2
    assert "script/cluster up | down" in tried.stderr
