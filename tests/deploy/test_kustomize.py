"""deploy/k3s: every overlay is what Kubernetes takes, also where its schemas do not look, and asks for no privilege."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deploy.manifests import (
    K3S,
    ON_NODES,
    OVERLAYS,
    README,
    amount,
    appliance_pod,
    containers,
    documented_secret,
    environment,
    of_kind,
    pod_of,
    pods,
    rendered,
    workloads,
)
from tests.rig import ROOT

FALL_BACK = "privileged-v4l2"
HOST_FOLDERS = {FALL_BACK: ["/dev/video0"], ON_NODES: ["/var/lib/porchlight"]}
VERSIONS = ("1.25", "1.37")
WITHIN = {"configMap", "emptyDir", "persistentVolumeClaim"}
"""Volumes that the pod security standard `restricted` allows, as far as they are used here."""

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def quantities(thing: object, key: str = "") -> Iterator[object]:
    """Return all within an object that must be a quantity."""
    if isinstance(thing, dict):
        whole = key in ("requests", "limits")
        for name, value in thing.items():
            if whole or name == "sizeLimit":
                yield value
            else:
                yield from quantities(value, name)
    elif isinstance(thing, list):
        for one in thing:
            yield from quantities(one)


@pytest.mark.parametrize(
    ("quantity", "means"), [("256Mi", 2**28), ("0.5", 0.5), ("100m", 0.1), ("1e3", 1000), ("1E", 10**18), (2, 2)]
)
def test_a_quantity_is_read_as_kubernetes_reads_it(quantity: object, means: float) -> None:
    assert float(amount(quantity)) == pytest.approx(means)


@pytest.mark.parametrize("wrong", ["256Mib", "256MB", "1 Gi", "Mi", "", "1K", "1e"])
def test_what_kubernetes_does_not_take_for_a_quantity_is_none(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        amount(wrong)


def test_the_readme_names_every_overlay_and_every_component() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", README, re.MULTILINE)
    assert sorted(rows) == OVERLAYS
    for component in (K3S / "components").iterdir():
        assert f"**`{component.name}`**" in README


def test_no_file_has_a_name_that_home_assistants_store_reads() -> None:
    files = [path.name for path in (ROOT / "deploy").rglob("*") if path.is_file()]
    assert [name for name in files if re.fullmatch(r"(config|build)\.(yaml|yml|json)", name)] == []


@pytest.mark.real
@every_overlay
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_schemas_take_every_object(overlay: str, version: str) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="not here: kubernetes-validate (PyPI)")
    for one in rendered(overlay):
        validator.validate(one, version, strict=True)


@pytest.mark.real
@every_overlay
def test_every_selector_finds_its_pods(overlay: str) -> None:
    found = {one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"] for one in workloads(overlay)}
    for workload in workloads(overlay):
        wanted = workload["spec"]["selector"]["matchLabels"]
        assert wanted
        assert [name for name, labels in found.items() if wanted.items() <= labels.items()] == [
            workload["metadata"]["name"]
        ]
    for service in of_kind(overlay, "Service"):
        wanted = service["spec"]["selector"]
        assert wanted
        [workload] = [one for one in workloads(overlay) if wanted.items() <= found[one["metadata"]["name"]].items()]
        named = {port["name"] for one in pod_of(workload)["containers"] for port in one.get("ports", ())}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named


@pytest.mark.real
@every_overlay
def test_every_mount_has_its_volume_and_every_volume_a_mount(overlay: str) -> None:
    for pod in pods(overlay):
        volumes = [one["name"] for one in pod["volumes"]]
        mounted = {mount["name"] for one in containers(pod) for mount in one["volumeMounts"]}
        assert sorted(volumes) == sorted(mounted)
        for container in containers(pod):
            places = [mount["mountPath"] for mount in container["volumeMounts"]]
            assert len(set(places)) == len(places)


@pytest.mark.real
@every_overlay
def test_what_a_pod_names_is_there(overlay: str) -> None:
    there = {(one["kind"], one["metadata"]["name"]) for one in rendered(overlay)}
    assert len(there) == len(rendered(overlay)), "two objects of one name"
    for pod in pods(overlay):
        for volume in pod["volumes"]:
            match volume:
                case {"configMap": {"name": name}}:
                    assert ("ConfigMap", name) in there
                case {"persistentVolumeClaim": {"claimName": name}}:
                    assert ("PersistentVolumeClaim", name) in there
        for container in containers(pod):
            environment(overlay, container, documented_secret(README))


def test_the_documented_secret_is_the_one_that_script_cluster_makes() -> None:
    made = documented_secret((ROOT / "script" / "cluster").read_text(encoding="utf-8"))
    assert made == documented_secret(README)


@pytest.mark.real
@every_overlay
def test_quantities_are_quantities_and_no_request_is_beyond_its_limit(overlay: str) -> None:
    found = [amount(one) for workload in rendered(overlay) for one in quantities(workload)]
    assert len(found) > 10
    assert all(one > 0 for one in found)
    for pod in pods(overlay):
        for container in containers(pod):
            given = container["resources"]
            assert "memory" in given["limits"]
            for what, most in given["limits"].items():
                assert amount(given["requests"].get(what, most)) <= amount(most), container["name"]


@pytest.mark.real
@every_overlay
def test_no_pod_asks_for_anything_of_its_host(overlay: str) -> None:
    for pod in pods(overlay):
        assert not {"hostIPC", "hostNetwork", "hostPID"} & pod.keys()
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["terminationGracePeriodSeconds"] == 10
        as_user = pod["securityContext"]
        assert as_user["runAsNonRoot"] is True
        assert as_user["runAsUser"] == as_user["runAsGroup"] == as_user["fsGroup"] > 0
        assert as_user["seccompProfile"] == {"type": "RuntimeDefault"}
    kinds = {kind for pod in pods(overlay) for one in pod["volumes"] for kind in one if kind != "name"}
    folders = [one["hostPath"]["path"] for pod in pods(overlay) for one in pod["volumes"] if "hostPath" in one]
    assert folders == HOST_FOLDERS.get(overlay, [])
    assert kinds - {"hostPath"} <= WITHIN


@pytest.mark.real
@every_overlay
def test_no_container_has_a_privilege_but_the_fall_backs_capture(overlay: str) -> None:
    privileged = []
    for pod in pods(overlay):
        for container in containers(pod):
            context: dict[str, Any] = container["securityContext"]
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["readOnlyRootFilesystem"] is True
            may_gain = context.get("privileged", False)
            # The cluster refuses a privileged container that may not gain privileges; no schema says so.
            assert context["allowPrivilegeEscalation"] is may_gain
            assert (
                not context.keys()
                - {"capabilities", "readOnlyRootFilesystem", "allowPrivilegeEscalation"}
                - ({"privileged"} if may_gain else set())
            )
            assert all("hostPort" not in port for port in container.get("ports", ()))
            privileged += [container["name"]] if may_gain else []
    assert privileged == (["capture"] if overlay == FALL_BACK else [])


@pytest.mark.real
def test_a_usb_camera_is_asked_of_the_device_plugin_or_of_the_host_never_of_both() -> None:
    for overlay, limits, mounts in (("v4l2", ["capture"], []), (FALL_BACK, [], ["capture"])):
        pod = appliance_pod(overlay)
        by_plugin = [one["name"] for one in pod["containers"] if "squat.ai/video" in one["resources"]["limits"]]
        by_host = [
            one["name"]
            for one in pod["containers"]
            if any(mount["mountPath"].startswith("/dev/video") for mount in one["volumeMounts"])
        ]
        assert (by_plugin, by_host) == (limits, mounts)
        assert pod["securityContext"]["supplementalGroups"] == [44]
