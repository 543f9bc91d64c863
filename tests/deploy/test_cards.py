"""Graphics cards and other extras: image, overlays and compose speak of the same packages, and ask for one card."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from appliance import __version__
from appliance.arguments import parser
from tests.deploy.manifests import (
    K3S,
    OVERLAYS,
    appliance_pod,
    built,
    config_map,
    containers,
    documented_secret,
    environment,
)
from tests.deploy.manifests import README as K3S_README
from tests.rig import ROOT

CARD = "nvidia.com/gpu"
ON_A_CARD = ("cuda", "tensorrt")
IMAGE = "ghcr.io/porchlight-ha/porchlight"
COMPOSE = ROOT / "deploy"
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
OFFERED = sorted(re.findall(r"^#   ([a-z0-9]+)  +\S", DOCKERFILE, re.MULTILINE))
"""The extras that the Dockerfile's first lines tell of."""
EXTRAS: dict[str, list[Requirement]] = {
    name: [Requirement(one) for one in wanted]
    for name, wanted in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ].items()
}
UNLOCKED = "tensorrt-"
"""How distributions begin that are in NVIDIA's own index alone."""


def locked(name: str) -> dict[str, str]:
    """Return the versions of a lock by distribution, whatever the machine."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def with_card(pod: dict[str, Any]) -> list[str]:
    return [one["name"] for one in containers(pod) if CARD in one["resources"]["limits"]]


def test_the_image_offers_extras_that_there_are() -> None:
    assert OFFERED == ["cuda", "cuda12", "openvino", "tensorrt", "tensorrt12"]
    assert set(OFFERED) <= EXTRAS.keys()
    handled = re.findall(r"^        ([a-z0-9*|]+)\) ", DOCKERFILE, re.MULTILINE)
    assert handled == ["tensorrt", "tensorrt12", "openvino", "cuda*|tensorrt*"]


@pytest.mark.parametrize("extra", OFFERED)
def test_an_extras_lock_holds_what_the_extra_wants_and_is_the_runs_own_beyond(extra: str) -> None:
    versions, run = locked(extra), locked("run")
    assert run.items() <= versions.items(), "the plain image's packages, and these beside them"
    wanted = [one for one in EXTRAS[extra] if not one.name.startswith(UNLOCKED)]
    for one in wanted:
        assert one.specifier.contains(versions[one.name]), one
    assert not [name for name in versions if name.startswith(UNLOCKED)], "its package is no wheel, it fetches one"
    assert {one.name for one in wanted} <= versions.keys() - run.keys()


@pytest.mark.parametrize("extra", OFFERED)
def test_the_image_has_of_one_major_version_of_cuda(extra: str) -> None:
    names = [*locked(extra), *(one.name for one in EXTRAS[extra])]
    major = {found[1] for name in names if (found := re.search(r"(?:cuda|cu)(1[23])x?$", name))}
    assert major == ({"12"} if extra.endswith("12") else set() if extra == "openvino" else {"13"})


@pytest.mark.parametrize("extra", [name for name in OFFERED if name.startswith("tensorrt")])
def test_what_cannot_be_locked_is_bounded_alike_in_the_image_and_in_the_extra(extra: str) -> None:
    [bounds] = [one for one in EXTRAS[extra] if one.name.startswith(UNLOCKED)]
    [in_image] = re.findall(rf"^\s+{extra}\) \$install '(.+)' ;;", DOCKERFILE, re.MULTILINE)
    assert Requirement(in_image) == bounds
    assert f"{bounds.name} ;" in (ROOT / "requirements" / "unlocked.txt").read_text(encoding="utf-8")
    assert "cupy" in " ".join(locked(extra))
    assert "onnxruntime-gpu" in locked(extra), "it watches while an engine is built"


def test_every_lock_reaches_the_image() -> None:
    let_in = re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    for extra in OFFERED:
        lock = Path("requirements", f"{extra}.txt")
        assert (ROOT / lock).is_file()
        assert any(lock.match(pattern) for pattern in let_in), lock


def test_without_an_extra_the_image_is_the_plain_one() -> None:
    assert re.search(r"^ARG EXTRA=$", DOCKERFILE, re.MULTILINE)
    assert "COPY requirements/${EXTRA:-run}.txt " in DOCKERFILE
    assert 'if [ -z "$EXTRA" ]; then exit 0; fi' in DOCKERFILE


def test_the_image_takes_no_card_of_itself() -> None:
    """With NVIDIA_VISIBLE_DEVICES in it, every container of the pod would get every card of the node."""
    assert "NVIDIA_VISIBLE_DEVICES" not in DOCKERFILE


@pytest.mark.real
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_the_detector_has_a_card_and_only_where_one_is_asked_for(overlay: str) -> None:
    pod = appliance_pod(overlay)
    asking = {"cuda": ["inference"], "tensorrt": ["engine", "inference"]}.get(overlay, [])
    assert with_card(pod) == asking
    assert ("runtimeClassName" in pod) == bool(asking)
    if asking:
        assert pod["runtimeClassName"] == "nvidia"
        limits = [one["resources"]["limits"] for one in containers(pod) if one["name"] in asking]
        assert all(one[CARD] == 1 for one in limits)
        assert {one["image"] for one in containers(pod)} == {f"{IMAGE}:{__version__}-{overlay}"}
        assert overlay in OFFERED
        assert f"EXTRA={overlay} -t {IMAGE}:{__version__}-{overlay} " in K3S_README


@pytest.mark.real
@pytest.mark.parametrize("overlay", ["v4l2", "privileged-v4l2", "fleet", "mosquitto"])
@pytest.mark.parametrize("component", ON_A_CARD)
def test_a_card_goes_with_every_overlay(overlay: str, component: str, tmp_path: Path) -> None:
    (tmp_path / "porchlight").symlink_to(ROOT)
    own = {
        "resources": [f"porchlight/deploy/k3s/overlays/{overlay}"],
        "components": [f"porchlight/deploy/k3s/components/{component}"],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(own))
    workload = {one["metadata"]["name"]: one for one in built(tmp_path) if one["kind"] in ("Deployment", "DaemonSet")}
    pod = workload["porchlight"]["spec"]["template"]["spec"]
    first = ["model", "engine"] if component == "tensorrt" else ["model"]
    assert [one["name"] for one in pod["initContainers"]] == first
    assert with_card(pod) == [*first[1:], "inference"]
    assert pod["runtimeClassName"] == "nvidia"
    if "mosquitto" in workload:
        assert "runtimeClassName" not in workload["mosquitto"]["spec"]["template"]["spec"]


@pytest.mark.real
def test_the_engine_is_built_after_the_model_came_with_the_detectors_settings_and_state() -> None:
    pod = appliance_pod("tensorrt")
    model, engine = pod["initContainers"]
    [detector] = [one for one in pod["containers"] if one["name"] == "inference"]
    assert (model["name"], engine["name"]) == ("model", "engine")
    assert engine["envFrom"] == detector["envFrom"]
    assert [one for one in detector["env"] if one not in engine["env"]] == []
    assert {one["name"] for one in engine["env"]} - {one["name"] for one in detector["env"]} == {"NODE_NAME"}
    assert [one for one in engine["volumeMounts"] if one not in detector["volumeMounts"]] == []
    assert {one["name"] for one in engine["volumeMounts"]} >= {"settings", "state", "tmp"}
    assert "PORCHLIGHT_GATEWAY__TOKEN" in environment("tensorrt", engine, documented_secret(K3S_README))
    assert config_map("tensorrt", engine["envFrom"][0]["configMapRef"]["name"])["PORCHLIGHT_MODEL__PATH"]


def build_an_engine(folder: Path, then: str, limit_s: int = 900) -> subprocess.CompletedProcess[str]:
    """Run the init container's command with a stand-in for `porchlight`, which notes its words."""
    [program, option, script] = appliance_pod("tensorrt")["initContainers"][1]["command"]
    assert " 900 " in script
    stand_in = folder / "porchlight"
    stand_in.write_text(f'#!/bin/sh\necho "$@" >>"{folder}/said"\n{then}\n')
    stand_in.chmod(0o755)
    given = {"PATH": f"{folder}:{os.environ['PATH']}", "TMPDIR": str(folder), "NODE_NAME": "a-node"}
    command = [program, option, script.replace(" 900 ", f" {limit_s} ")]
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.real
@pytest.mark.parametrize(
    ("then", "limit_s", "said"),
    [
        ("exit 0", 900, ""),
        ("exit 1", 900, "engine: none yet (exit code 1); a slower backend watches meanwhile\n"),
        ("exit 2", 900, "engine: none yet (exit code 2); a slower backend watches meanwhile\n"),
        ("exec tail -f /dev/null", 1, "engine: none yet (exit code 124); a slower backend watches meanwhile\n"),
    ],
    ids=["built", "failed", "refused", "hung"],
)
def test_nothing_that_becomes_of_an_engine_keeps_the_pod_from_starting(
    tmp_path: Path, then: str, limit_s: int, said: str
) -> None:
    done = build_an_engine(tmp_path, then, limit_s)
    assert (done.returncode, done.stdout) == (0, said)
    words = (tmp_path / "said").read_text().splitlines()
    assert words == ["model build --config /etc/porchlight/config.yaml"]
    parser().parse_args(words[0].split())


@pytest.mark.real
def test_an_engine_is_tried_once_in_a_pods_life_so_that_no_memory_is_no_endless_loop(tmp_path: Path) -> None:
    """What takes the container with it leaves the pod's /tmp, with the mark of the attempt."""
    assert build_an_engine(tmp_path, "exit 1").returncode == 0
    again = build_an_engine(tmp_path, "exit 0")
    assert (again.returncode, again.stdout) == (0, "engine: tried in this pod before\n")
    assert (tmp_path / "said").read_text().count("\n") == 1
    [tmp] = [one for one in appliance_pod("tensorrt")["volumes"] if one["name"] == "tmp"]
    assert "emptyDir" in tmp


def over_compose(name: str, extra: str) -> dict[str, Any]:
    """Return what a file lays over compose.yaml's service; checks that the image is the same in both, with an extra."""
    assert extra in OFFERED
    plain = yaml.safe_load((COMPOSE / "compose.yaml").read_text(encoding="utf-8"))["services"]["porchlight"]
    over = yaml.safe_load((COMPOSE / name).read_text(encoding="utf-8"))
    assert list(over) == ["services"]
    assert list(over["services"]) == ["porchlight"]
    service: dict[str, Any] = over["services"]["porchlight"]
    assert service.pop("image") == plain["image"] + f"-${{EXTRA:-{extra}}}"
    build = service.pop("build")
    assert build["args"] == {"EXTRA": f"${{EXTRA:-{extra}}}"}
    assert (COMPOSE / build["context"] / build["dockerfile"]).is_file()
    assert f"compose.yaml:{name} >> .env" in (COMPOSE / name).read_text(encoding="utf-8")
    return service


def test_compose_gives_its_one_service_one_card_and_leaves_its_confinement() -> None:
    card = {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert over_compose("compose.cuda.yaml", "cuda") == {"deploy": {"resources": {"reservations": {"devices": [card]}}}}


def test_on_a_jetson_compose_names_the_runtime_and_the_groups_of_the_devices() -> None:
    service = over_compose("compose.jetson.yaml", "tensorrt")
    assert all(group.isdigit() for group in service.pop("group_add"))
    assert service == {"runtime": "nvidia", "environment": {"NVIDIA_VISIBLE_DEVICES": "all"}}


def test_what_composes_file_tells_to_put_into_env_is_what_it_reads() -> None:
    text = (COMPOSE / "compose.cuda.yaml").read_text(encoding="utf-8").partition("\nservices:")[0]
    [files] = re.findall(r"echo COMPOSE_FILE=(\S+) >> \.env", text)
    assert all((COMPOSE / name).is_file() for name in files.split(":"))
    [first, others] = re.findall(r"echo EXTRA=(\w+) >> \.env +# or ([a-z0-9, ]+):", text)[0]
    assert sorted([first, *others.split(", ")]) == [name for name in OFFERED if name != "openvino"]


def test_components_of_cards_say_the_version_that_base_says() -> None:
    [base] = yaml.safe_load((K3S / "base" / "kustomization.yaml").read_text(encoding="utf-8"))["images"]
    for name in ON_A_CARD:
        [image] = yaml.safe_load((K3S / "components" / name / "kustomization.yaml").read_text())["images"]
        assert image == {"name": base["name"], "newTag": f"{base['newTag']}-{name}"}
