"""Export an RF-DETR model to ONNX with the rfdetr package's own code: python rfdetr_to_onnx.py CLASS FOLDER [WEIGHTS].

Writes FOLDER/model.onnx and FOLDER/result.json: {"rfdetr": its version, "class_names": the weights' own or null},
{"refused": what to do instead}, or {"error": what happened}. Without WEIGHTS rfdetr downloads the published ones (and
keeps them in its own cache). Runs on any Python that rfdetr runs on.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

OPSET = 17


class ExportError(Exception):
    """What to tell whoever wants the model."""


def export(class_name: str, folder: Path, weights: str) -> dict[str, Any]:
    """Write the model; return what there is to say of it."""
    try:
        rfdetr = importlib.import_module("rfdetr")
        importlib.import_module("onnx")  # without it rfdetr leaves out the class names, and says nothing
    except ModuleNotFoundError as error:
        raise ExportError(f"this environment lacks {error.name}; it needs: pip install 'rfdetr[onnx]'") from error
    model = load(getattr(rfdetr, class_name), weights)
    if type(model).__name__ != class_name:
        raise ExportError(f"these weights are of {type(model).__name__}, not of {class_name}")
    names = own_names(model) if weights else None
    model.export(
        output_dir=str(folder),
        output_name="model",
        opset_version=OPSET,
        batch_size=1,
        verbose=False,
        notes=None if names is None else {"class_names": names},
    )
    return {"rfdetr": importlib.metadata.version("rfdetr"), "class_names": names}


def load(variant: Any, weights: str) -> Any:
    """Return the model on the processor: what is exported is the same there, and every machine has one."""
    if not weights:
        return variant(device="cpu")
    try:
        return variant.from_checkpoint(weights, device="cpu")
    except ValueError:  # they do not say what they are: take the word of whoever named the variant
        return variant(pretrain_weights=weights, device="cpu")


def own_names(model: Any) -> list[str] | None:
    """Return the class names that came with the weights, one for each class. COCO's 80 are not: its classes are 90."""
    names = getattr(model.model, "class_names", None)
    return list(names) if names and len(names) == model.model_config.num_classes else None


def main() -> int:
    class_name, folder = sys.argv[1], Path(sys.argv[2])
    weights = sys.argv[3] if len(sys.argv) > 3 else ""
    try:
        result = export(class_name, folder, weights)
    except ExportError as error:
        result = {"refused": str(error)}
    except Exception as error:  # noqa: BLE001 -- whatever it is, whoever runs this tells it
        result = {"error": f"{type(error).__name__}: {error}"}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return int("rfdetr" not in result)


if __name__ == "__main__":
    sys.exit(main())
