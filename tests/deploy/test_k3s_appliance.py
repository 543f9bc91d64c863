"""deploy/k3s: what Porchlight is given in a pod is what it needs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance import __version__, needs
from appliance.config import Camera, ConfigError, Settings, load
from appliance.gateway import access
from appliance.health import STAGES
from tests.deploy.manifests import (
    K3S,
    ON_NODES,
    OVERLAYS,
    README,
    amount,
    appliance_pod,
    built,
    config_map,
    documented_secret,
    environment,
    settings_files,
    workloads,
)
from tests.rig import ROOT

IMAGE = "ghcr.io/porchlight-ha/porchlight"
BUILT_HERE = "k3d"
TAGS = {BUILT_HERE: "dev", "cuda": f"{__version__}-cuda", "tensorrt": f"{__version__}-tensorrt"}
BEFORE = {"tensorrt": ["model", "engine"]}

pytestmark = pytest.mark.real
every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def stages(overlay: str) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in appliance_pod(overlay)["containers"]}


def image_environment() -> dict[str, str]:
    """Return what the image says by ENV."""
    text = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return dict(pair.split("=", 1) for line in re.findall(r"^ENV (.*)", text, re.MULTILINE) for pair in line.split())


def pod_environment(overlay: str) -> dict[str, str]:
    given = environment(overlay, stages(overlay)["gateway"], documented_secret(README))
    return {name: value for name, value in given.items() if name.startswith("PORCHLIGHT_")}


def settings_of(overlay: str, folder: Path) -> dict[str, Settings]:
    """Return the settings in the pod, by the name of their file."""
    given = pod_environment(overlay)
    return {file.name: load(file, given, require_model=False) for file in settings_files(overlay, folder)}


@every_overlay
def test_four_containers_of_one_image_run_the_four_stages(overlay: str) -> None:
    found = stages(overlay)
    assert sorted(found) == sorted(STAGES)
    tag = TAGS.get(overlay, __version__)
    for name, container in found.items():
        assert container["image"] == f"{IMAGE}:{tag}"
        assert "command" not in container, "the image's entry point brings tini"
        assert container["args"][:3] == ["stage", name, "--config"]
    before = appliance_pod(overlay)["initContainers"]
    assert [one["name"] for one in before] == BEFORE.get(overlay, ["model"])
    assert {one["image"] for one in before} == {f"{IMAGE}:{tag}"}


@every_overlay
def test_they_see_the_same_settings_state_and_memory(overlay: str) -> None:
    found = stages(overlay)
    for container in found.values():
        for what in ("env", "envFrom"):
            assert container[what] == found["gateway"][what]
        shared = [mount for mount in container["volumeMounts"] if not mount["mountPath"].startswith("/dev/video")]
        assert shared == found["gateway"]["volumeMounts"]


@every_overlay
def test_there_is_never_a_second_one(overlay: str) -> None:
    [workload] = [one for one in workloads(overlay) if one["metadata"]["name"] == "porchlight"]
    if overlay == ON_NODES:
        assert workload["kind"] == "DaemonSet"
    else:
        assert workload["spec"]["replicas"] == 1
        assert workload["spec"]["strategy"] == {"type": "Recreate"}


@every_overlay
def test_the_probes_ask_for_their_own_stage_in_words_that_it_knows(overlay: str) -> None:
    for name, container in stages(overlay).items():
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            match container[kind]:
                case {"exec": {"command": ["porchlight-health", stage]}}:
                    assert stage == name
                    assert stage in STAGES
                case {"httpGet": {"path": path, "port": port}}:
                    assert path in access.OPEN, "a probe carries no token"
                    assert port in {one["name"] for one in container["ports"]}
                case other:
                    raise AssertionError(f"{name}: {kind} asks by {other}")


@every_overlay
def test_the_settings_and_the_environment_are_taken(overlay: str, tmp_path: Path) -> None:
    for name, settings in settings_of(overlay, tmp_path).items():
        assert settings.cameras, name
        assert settings.gateway.token is not None
        [port] = stages(overlay)["gateway"]["ports"]
        assert (settings.gateway.host, settings.gateway.port) == ("0.0.0.0", port["containerPort"])


@every_overlay
def test_without_the_secret_nothing_listens(overlay: str, tmp_path: Path) -> None:
    given = pod_environment(overlay)
    del given["PORCHLIGHT_GATEWAY__TOKEN"]
    for file in settings_files(overlay, tmp_path):
        with pytest.raises(ConfigError, match="no token guards it"):
            load(file, given, require_model=False)


@every_overlay
def test_state_and_model_lie_on_the_volume_that_stays(
    overlay: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", image_environment()["XDG_STATE_HOME"])
    [state] = [mount for mount in stages(overlay)["controller"]["volumeMounts"] if mount["name"] == "state"]
    stays = Path(state["mountPath"])
    for settings in settings_of(overlay, tmp_path).values():
        assert settings.state_path == stays / settings.instance
        assert settings.model.path is not None
        assert settings.model.path.parent == stays / "models"


@every_overlay
def test_the_shared_memory_is_enough_for_the_cameras_of_the_settings(overlay: str, tmp_path: Path) -> None:
    [volume] = [one for one in appliance_pod(overlay)["volumes"] if one["name"] == "shared-memory"]
    size = amount(volume["emptyDir"]["sizeLimit"])
    for name, settings in settings_of(overlay, tmp_path).items():
        assert needs.shared_memory(settings.cameras).comfortable <= size, name
    # And for as many as the comment beside it and the README say, of the kind that needs the most.
    eight = [Camera(id=f"camera{number}", source="v4l2:///dev/video0") for number in range(8)]
    assert needs.shared_memory(eight).comfortable <= size
    assert size < amount(stages(overlay)["capture"]["resources"]["limits"]["memory"]) / 2


def test_the_comment_reckons_shared_memory_as_the_program_does() -> None:
    text = (K3S / "base" / "deployment.yaml").read_text(encoding="utf-8")
    said = re.search(r"that is (\d+) MiB for one RTSP camera and (\d+) for each\D+\((\d+) and (\d+) for USB\)", text)
    assert said is not None
    reckoned = []
    for source in ("rtsp://192.0.2.10/", "v4l2:///dev/video0"):
        two = [Camera(id=f"camera{number}", source=source) for number in range(2)]
        for_one, for_both = (needs.shared_memory(two[:count]).comfortable / 2**20 for count in (1, 2))
        reckoned += [round(for_one), round(for_both - for_one)]
    assert [int(number) for number in said.groups()] == reckoned


def test_each_node_has_an_instance_of_its_own_named_for_it(tmp_path: Path) -> None:
    settings = settings_of(ON_NODES, tmp_path)
    assert len(settings) > 1
    for name, one in settings.items():
        node = name.removesuffix(".yaml")
        assert one.instance == node.replace("-", "_").replace(".", "_")
    assert len({one.instance for one in settings.values()}) == len(settings)
    [workload] = workloads(ON_NODES)
    assert workload["spec"]["template"]["spec"]["nodeSelector"] == {"porchlight/edge": "true"}
    for container in stages(ON_NODES).values():
        assert container["args"][3] == "/etc/porchlight/$(NODE_NAME).yaml"
        assert "NODE_NAME" in {variable["name"] for variable in container["env"]}


def test_an_overlay_of_ones_own_as_the_readme_has_it_gets_its_broker_settings_and_model(tmp_path: Path) -> None:
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)]
    generators = [generator for block in blocks for generator in block["configMapGenerator"]]
    (tmp_path / "porchlight").symlink_to(ROOT)
    (tmp_path / "porch.yaml").write_text(yaml.safe_dump({"cameras": [{"id": "porch", "source": "v4l2:///dev/video7"}]}))
    own = {**blocks[0], "configMapGenerator": generators}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(own))
    maps = [one["data"] for one in built(tmp_path) if one["kind"] == "ConfigMap"]
    [given] = [one for one in maps if "PORCHLIGHT_GATEWAY__HOST" in one]
    assert given["PORCHLIGHT_MQTT__HOST"] == "mosquitto"
    assert given["PORCHLIGHT_MODEL__PATH"].endswith("parcels.onnx")
    assert any("/dev/video7" in one.get("config.yaml", "") for one in maps)


@pytest.mark.parametrize(
    ("source", "asked"), [("", []), ("https://example.com/a.onnx", ["https://example.com/a.onnx"])]
)
def test_a_model_is_fetched_only_where_there_is_none(tmp_path: Path, source: str, asked: list[str]) -> None:
    pod = appliance_pod("rtsp")
    model = tmp_path / "models" / "rf-detr-small.onnx"
    stand_in = tmp_path / "porchlight"
    stand_in.write_text(
        f'#!/bin/sh\nmkdir -p "{model.parent}"\ntouch "{model}"\nprintf "%s\\n" "$@" >>"{tmp_path}/said"\n'
    )
    stand_in.chmod(0o755)
    given = config_map("rtsp", pod["initContainers"][0]["envFrom"][0]["configMapRef"]["name"])
    given |= {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PORCHLIGHT_MODEL__PATH": str(model), "MODEL_FROM": source}
    for _ in range(2):  # the second time it is there
        subprocess.run(pod["initContainers"][0]["command"], env=given, check=True, timeout=20)
    words = (tmp_path / "said").read_text().split()
    assert words == ["model", "get", *asked, "--store", str(model.parent), "--name", model.name]


def test_in_development_the_model_is_the_demos(tmp_path: Path) -> None:
    [program, *arguments] = appliance_pod(BUILT_HERE)["initContainers"][0]["command"]
    assert program == "python"
    model = tmp_path / "models" / "porch_demo.onnx"
    given = {"PORCHLIGHT_MODEL__PATH": str(model), "PYTHONPATH": str(ROOT)}
    for _ in range(2):
        subprocess.run([sys.executable, *arguments], env=given, check=True, timeout=20)
    assert model.read_bytes() == (ROOT / "appliance" / "inference" / "demo" / "porch_demo.onnx").read_bytes()
