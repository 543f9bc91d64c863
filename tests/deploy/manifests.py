"""The manifests of deploy/k3s as kubectl builds them, and what a test wants to know of them."""

from __future__ import annotations

import functools
import re
import subprocess
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import yaml

from tests.rig import ROOT, need_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

K3S = ROOT / "deploy" / "k3s"
OVERLAYS = sorted(path.name for path in (K3S / "overlays").iterdir())
ON_NODES = "fleet"
"""The overlay whose settings are files named for nodes."""
README = (K3S / "README.md").read_text(encoding="utf-8")

# k8s.io/apimachinery/pkg/api/resource: a number, and a suffix of these or an exponent.
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?\d+))?")
_POWERS = dict(zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True))


def amount(quantity: object) -> Decimal:
    """Return what Kubernetes takes a quantity for: 256Mi, 100m. ValueError: it takes it for nothing."""
    found = _QUANTITY.fullmatch(str(quantity))
    if found is None:
        raise ValueError(f"{quantity!r} is no quantity")
    number, suffix, exponent = found.groups()
    if suffix is None:
        return Decimal(f"{number}e{exponent or 0}")
    if suffix.endswith("i"):
        return Decimal(number) * Decimal(1024) ** ("KMGTPE".index(suffix[0]) + 1)
    return Decimal(f"{number}e{_POWERS[suffix]}")


def built(folder: Path) -> tuple[dict[str, Any], ...]:
    """Return the objects that kustomize makes of a folder."""
    # Those of Debian 12 know no components.
    kubectl = need_program("kubectl", "kubernetes-client, from 13 on")
    said = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert not said.stderr, "a warning of kustomize's"
    return tuple(yaml.safe_load_all(said.stdout))


@functools.cache
def rendered(overlay: str) -> tuple[dict[str, Any], ...]:
    """Return the objects of an overlay. To be left as they are: tests share them."""
    return built(K3S / "overlays" / overlay)


def of_kind(overlay: str, *kinds: str) -> list[dict[str, Any]]:
    return [one for one in rendered(overlay) if one["kind"] in kinds]


def workloads(overlay: str) -> list[dict[str, Any]]:
    return of_kind(overlay, "Deployment", "DaemonSet")


def pod_of(workload: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = workload["spec"]["template"]["spec"]
    return found


def pods(overlay: str) -> list[dict[str, Any]]:
    return [pod_of(one) for one in workloads(overlay)]


def appliance_pod(overlay: str) -> dict[str, Any]:
    [found] = [pod_of(one) for one in workloads(overlay) if one["metadata"]["name"] == "porchlight"]
    return found


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all of a pod's, those that come first too."""
    return [*pod.get("initContainers", ()), *pod["containers"]]


def config_map(overlay: str, name: str) -> dict[str, str]:
    """Return the content of the ConfigMap that a pod names."""
    [found] = [one["data"] for one in of_kind(overlay, "ConfigMap") if one["metadata"]["name"] == name]
    return dict(found)


def documented_secret(text: str) -> dict[str, str]:
    """Return the keys of the Secret `porchlight` that a text makes by kubectl, each with a value of its own."""
    command = re.search(r"create secret generic porchlight \\\n((?: +--from-literal=.*\n)+)", text)
    assert command is not None
    keys = re.findall(r"--from-literal=([a-z-]+)=", command[1])
    return {key: f"value-of-{key}-for-the-tests" for key in keys}


def environment(overlay: str, container: dict[str, Any], secret: dict[str, str]) -> dict[str, str]:
    """Return the variables that a container is given, those that win last. KeyError: what it names is not there."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        if "configMapRef" in source:
            found |= config_map(overlay, source["configMapRef"]["name"])
        else:
            assert source["secretRef"]["optional"], "or it would have to be documented as needed"
    for variable in container.get("env", ()):
        match variable.get("valueFrom"):
            case {"secretKeyRef": {"name": "porchlight", "key": key}}:
                found[variable["name"]] = secret[key]
            case {"fieldRef": {"fieldPath": "spec.nodeName"}}:
                found[variable["name"]] = "a-node"
            case None:
                found[variable["name"]] = variable["value"]
            case other:
                raise KeyError(f"{variable['name']} comes from {other}")
    return found


def settings_files(overlay: str, folder: Path) -> Iterator[Path]:
    """Write the settings that the pod finds at /etc/porchlight, and return each file."""
    pod = appliance_pod(overlay)
    [name] = [one["configMap"]["name"] for one in pod["volumes"] if one["name"] == "settings"]
    for key, text in config_map(overlay, name).items():
        (folder / key).write_text(text, encoding="utf-8")
        yield folder / key
