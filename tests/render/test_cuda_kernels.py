"""The CUDA kernels of a default training run compile for every architecture, without spills."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from splatkit.core import SplatkitError
from splatkit.render.backends._cuda_compile import nvrtc_architectures

pytest.importorskip("cuda.core", reason="cuda-core is not installed")
REPORT = Path(__file__).resolve().parents[2] / "scripts" / "bench" / "kernels.py"


@pytest.mark.parametrize("architecture", [75, 80, 86, 89, 90, 100, 120])
def test_kernels_compile_without_spills_or_warnings(architecture: int) -> None:
    try:
        known = nvrtc_architectures()
    except SplatkitError as error:
        pytest.skip(str(error))
    if architecture not in known:
        pytest.skip(f"this NVRTC does not know sm_{architecture}")
    command = [sys.executable, str(REPORT), "--json", "--architectures", str(architecture)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    kernels = {cost["kernel"] for cost in json.loads(done.stdout)["kernels"]}
    assert {"project", "emit", "blend", "blend_adj", "finish", "image_loss"} <= kernels
