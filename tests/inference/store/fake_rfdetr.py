"""A package that is called rfdetr and does as little as can be: writes models that it brought along.

Weights are JSON here: {"class": ..., "names": [...], "classes": n}; without "class" they do not say what they are.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from tests.inference.onnx_maker import model, rows
from tests.inference.store.customer import MODEL

NAMES = ["parcel", "cat"]
NAMED = model(rows([], columns=3), metadata={"rfdetr_notes": json.dumps({"class_names": NAMES})})
NAMELESS = model(rows([], columns=3))
VERSION = "1.11.2"

_CODE = """
import json, pathlib, sys, types
HERE = pathlib.Path(__file__).parent
print("a word from rfdetr")

class RFDETRNano:
    def __init__(self, pretrain_weights="published", device=None):
        assert device == "cpu"
        if pretrain_weights == "published" and (HERE / "unreachable").exists():
            raise ConnectionError("Failed to resolve the host of the weights")
        said = {} if pretrain_weights == "published" else json.loads(pathlib.Path(pretrain_weights).read_text())
        if "crash" in said:
            import os
            os._exit(9)
        self.model = types.SimpleNamespace(class_names=said.get("names"))
        self.model_config = types.SimpleNamespace(num_classes=said.get("classes", 90))

    @classmethod
    def from_checkpoint(cls, path, device=None):
        said = json.loads(pathlib.Path(path).read_text())
        if "class" not in said:
            raise ValueError("Could not infer model class")
        return globals()[said["class"]](path, device)

    def export(self, output_dir, output_name, opset_version, batch_size, verbose, notes):
        assert (opset_version, batch_size) == (17, 1)
        file = "named" if notes else "nameless" if self.model_config.num_classes < 90 else "published"
        assert notes in (None, {"class_names": ["parcel", "cat"]})
        (pathlib.Path(output_dir) / f"{output_name}.onnx").write_bytes((HERE / f"{file}.onnx").read_bytes())

class RFDETRSmall(RFDETRNano):
    def export(self, output_dir, **_):
        (pathlib.Path(output_dir) / "model.onnx").write_bytes(b"no model")
"""


def wheel(folder: Path, ballast: int = 0) -> Path:
    """Write it as a wheel that pip installs, with a stand-in for onnx; `ballast` bytes make it large once installed."""
    path = folder / f"rfdetr-{VERSION}-py3-none-any.whl"
    info = f"rfdetr-{VERSION}.dist-info"
    files: dict[str, bytes | str] = {
        "rfdetr/__init__.py": _CODE,
        "rfdetr/published.onnx": MODEL,
        "rfdetr/named.onnx": NAMED,
        "rfdetr/nameless.onnx": NAMELESS,
        "rfdetr/ballast": bytes(ballast),
        "onnx.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: rfdetr\nVersion: {VERSION}\nProvides-Extra: onnx\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path
