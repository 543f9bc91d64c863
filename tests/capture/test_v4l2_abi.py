"""The numbers and layouts are those of this machine's <linux/videodev2.h>."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.capture.v4l2 import abi

STRUCTS = {
    "v4l2_capability": abi.Capability,
    "v4l2_fmtdesc": abi.FmtDesc,
    "v4l2_frmsizeenum": abi.FrmSizeEnum,
    "v4l2_pix_format": abi.PixFormat,
    "v4l2_format": abi.Format,
    "v4l2_fract": abi.Fract,
    "v4l2_captureparm": abi.CaptureParm,
    "v4l2_streamparm": abi.StreamParm,
    "v4l2_queryctrl": abi.QueryCtrl,
    "v4l2_control": abi.Control,
    "v4l2_requestbuffers": abi.RequestBuffers,
    "v4l2_timecode": abi.TimeCode,
    "v4l2_buffer": abi.Buffer,
}
RENAMED = {
    ("v4l2_frmsizeenum", "numbers"): "discrete",
    ("v4l2_format", "pix"): "fmt.pix",
    ("v4l2_streamparm", "capture"): "parm.capture",
    ("v4l2_timecode", "clock"): "frames",
    ("v4l2_buffer", "offset"): "m.offset",
}
FILLERS = {"hole", "raw_data", "reserved", "reserved2"}
NUMBERS = sorted(name for name in vars(abi) if name.startswith(("VIDIOC_", "V4L2_")))


def test_the_sizes_are_those_that_64_bit_linux_has_had_ever_since() -> None:
    sizes = {name: ctypes.sizeof(struct) for name, struct in STRUCTS.items()}
    assert sizes == {
        "v4l2_capability": 104,
        "v4l2_fmtdesc": 64,
        "v4l2_frmsizeenum": 44,
        "v4l2_pix_format": 48,
        "v4l2_format": 208,
        "v4l2_fract": 8,
        "v4l2_captureparm": 40,
        "v4l2_streamparm": 204,
        "v4l2_queryctrl": 68,
        "v4l2_control": 8,
        "v4l2_requestbuffers": 20,
        "v4l2_timecode": 16,
        "v4l2_buffer": 88,
    }


def test_the_calls_have_the_numbers_that_strace_shows() -> None:
    assert abi.VIDIOC_QUERYCAP == 0x80685600
    assert abi.VIDIOC_S_FMT == 0xC0D05605
    assert abi.VIDIOC_REQBUFS == 0xC0145608
    assert abi.VIDIOC_QBUF == 0xC058560F
    assert abi.VIDIOC_DQBUF == 0xC0585611
    assert abi.VIDIOC_STREAMON == 0x40045612
    assert abi.VIDIOC_S_PARM == 0xC0CC5616


def test_every_number_size_and_offset_is_the_headers(tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    if compiler is None or not Path("/usr/include/linux/videodev2.h").exists():
        pytest.skip("not here: gcc and linux/videodev2.h (Debian: gcc linux-libc-dev)")
    ours = {name: getattr(abi, name) for name in NUMBERS}
    wanted = {name: f"(unsigned long){name}" for name in NUMBERS}
    for c_name, struct in STRUCTS.items():
        ours[c_name] = ctypes.sizeof(struct)
        wanted[c_name] = f"sizeof(struct {c_name})"
        for name in {field[0] for field in struct._fields_} - FILLERS:
            c_field = RENAMED.get((c_name, name), name)
            ours[f"{c_name}.{name}"] = getattr(struct, name).offset
            wanted[f"{c_name}.{name}"] = f"offsetof(struct {c_name}, {c_field})"
    lines = "".join(f'printf("%s %lu\\n", "{name}", (unsigned long)({c}));\n' for name, c in wanted.items())
    source = tmp_path / "abi.c"
    source.write_text(
        "#include <stdio.h>\n#include <stddef.h>\n#include <linux/videodev2.h>\n"
        f"int main(void) {{\n{lines}return 0;\n}}\n"
    )
    program = tmp_path / "abi"
    subprocess.run([compiler, "-o", str(program), str(source)], check=True)
    answer = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    theirs = {name: int(number) for name, number in (line.split() for line in answer.splitlines())}
    assert theirs == ours
