"""The image with another backend in it: it is there, and answers as the reference does.

Those for NVIDIA's cards hold some GB, and are built by hand (firmware_notes/cuda.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.deploy.container import HARDENED, Engine

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

CONFIG = "/etc/porchlight/config.yaml"


def test_the_image_with_openvino_runs_the_model_on_it(
    image: Engine, model: str, tmp_path: Path, figure: Callable[[str, str], None]
) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump({"cameras": [{"id": "porch", "source": "synthetic://porch"}],
                                        "model": {"path": model, "threads": 1}}))  # fmt: skip
    with_openvino = image.with_extra("openvino")
    mounts = {str(settings): {"bind": CONFIG, "mode": "ro"}}
    code, said = with_openvino.run("model", "check", "--config", CONFIG, volumes=mounts, shm_size="64m", **HARDENED)
    assert code == 0, said
    assert re.search(r"self-test +openvino, threads 1: passed", said), said
    size, plain = (one.client.images.get(one.image).attrs["Size"] / 1e6 for one in (with_openvino, image))
    figure("image: size with OpenVINO, and without", f"{size:.0f} MB, {plain:.0f} MB")
