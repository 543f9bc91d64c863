"""NVIDIA's true bindings of TensorRT have what we ask of them: they say their signatures themselves.

What they bind cannot be had everywhere; libraries that do nothing let them be loaded.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from appliance.inference.gpu import tensorrt_api
from tests.inference.gpu.test_tensorrt_api import CLASSES, MEMBERS, names_of, parameters
from tests.rig import need_program

TELL = """
import json, sys
import tensorrt_bindings as trt

def doc(path):
    one = trt
    for name in path.split("."):
        one = getattr(one, name)
    return one.__doc__ or ""

class Logger(trt.ILogger):
    heard = []
    def log(self, severity, msg):
        self.heard.append(severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR))

def raised(call):
    try:
        return repr(call())
    except Exception as error:
        return type(error).__name__

logger = Logger()
logger.log(trt.ILogger.Severity.ERROR, "one")
logger.log(trt.ILogger.Severity.WARNING, "two")
said = {path: doc(path) for path in json.loads(sys.argv[1])}
flag = int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
nothing = [raised(lambda: trt.Builder(logger)), raised(lambda: trt.Runtime(logger))]
print(json.dumps({"version": trt.__version__, "said": said, "flag": flag, "heard": Logger.heard, "nothing": nothing}))
"""
UNDEFINED = re.compile(r"\b(?:create\w+_INTERNAL|get(?:Builder)?PluginRegistry|getNvOnnxParserVersion|initLib\w+)\b")
FOLDERS = [folder for folder in os.environ.get("TEST_TENSORRT_BINDINGS", "").split(":") if folder]


def stubs(bindings: Path, folder: Path) -> None:
    """Make the libraries that these bindings ask for: each has all their functions, which return nothing."""
    said = (bindings / "tensorrt_bindings" / "tensorrt.so").read_bytes().decode("latin-1")
    functions = sorted(set(UNDEFINED.findall(said)))
    (folder / "stub.c").write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in functions))
    for library in set(re.findall(r"libnv\w+\.so\.\d+", said)):
        command = [need_program("gcc", "gcc"), "-shared", "-fPIC", "-o", str(folder / library), str(folder / "stub.c")]
        subprocess.run(command, check=True)


@pytest.fixture(params=FOLDERS or [""], ids=lambda folder: Path(folder).name or "none")
def told(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """What NVIDIA's bindings say of all that is used of them."""
    if not request.param:
        pytest.skip("not here: NVIDIA's bindings (unpack tensorrt-cu13-bindings; TEST_TENSORRT_BINDINGS=DIR:DIR)")
    stubs(Path(request.param), tmp_path)
    asked = [f"{name}.{member}" for protocol, (name, _) in CLASSES.items() for member in names_of(protocol)]
    asked += [f"{name}.{member}" for name, members in MEMBERS.items() for member in members]
    asked += [f"{name}.__init__" for name in ("Builder", "OnnxParser", "Runtime")]
    asked += ["ILogger.log", "IHostMemory.nbytes", "ParserError.desc"]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path), "PYTHONPATH": request.param}
    command = [sys.executable, "-W", "ignore", "-c", TELL, json.dumps(asked)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def takes(said: str) -> list[tuple[list[str], list[str]]]:
    """Return what each overload of a call must be given by pybind11's words, and what it may be."""
    name = said.partition("(")[0]
    lines = [re.sub("<[^>]*>", "", line.strip()) for line in said.splitlines()]
    signatures = [line.partition("(")[2] for line in lines if re.match(rf"(\d+\. )?{name}\(self: ", line)]
    named = [re.findall(r"(\w+): [\w.:]+( =)?", signature.rpartition(" -> ")[0]) for signature in signatures]
    return [
        ([name for name, default in one[1:] if not default], [name for name, default in one if default])
        for one in named
    ]


def fits(said: str, ours: Any) -> bool:
    """Whether one of the overloads can be called as our protocol has it, by position and by name."""
    names = parameters(ours)
    return any(must == names[: len(must)] and names == [*must, *may][: len(names)] for must, may in takes(said))


@pytest.mark.real
def test_the_true_bindings_have_all_that_is_asked_of_them(told: dict[str, Any]) -> None:
    said = told["said"]
    for protocol, (name, _) in CLASSES.items():
        for member in names_of(protocol):
            if callable(ours := vars(protocol).get(member)):
                assert fits(said[f"{name}.{member}"], ours), said[f"{name}.{member}"]
    for name in ("Builder", "OnnxParser", "Runtime"):
        assert fits(said[f"{name}.__init__"], vars(tensorrt_api.Api)[name])
    assert takes(said["IProgressMonitor.phase_start"]) == [(["phase_name", "parent_phase", "num_steps"], [])]
    assert takes(said["IProgressMonitor.step_complete"]) == [(["phase_name", "step"], [])]
    assert takes(said["IProgressMonitor.phase_finish"]) == [(["phase_name"], [])]
    assert takes(said["ILogger.log"]) == [(["severity", "msg"], [])]


@pytest.mark.real
def test_the_true_bindings_do_as_the_double_does(told: dict[str, Any]) -> None:
    """A severity can be looked for in a tuple, a flag is a bit's number, and a null pointer is a TypeError."""
    assert told["heard"] == [True, False]
    assert 0 <= told["flag"] < 32
    assert told["nothing"] == ["TypeError", "TypeError"]
    assert tensorrt_api._number(told["version"]) >= tensorrt_api.OLDEST
