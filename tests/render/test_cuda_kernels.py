"""The CUDA kernels of a default training run and of upscaling compile for every architecture.

None of those that are run often spills registers.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from splatkit.core import SplatkitError
from splatkit.render.backends._cuda_compile import nvrtc_architectures

pytest.importorskip("cuda.core", reason="cuda-core is not installed")
ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
REPORT = Path(__file__).resolve().parents[2] / "scripts" / "bench" / "kernels.py"


NVRTC = [Path(p) for p in os.environ.get("SPLATKIT_NVRTC", "").split(os.pathsep) if p]
"""Libraries of other NVRTC versions (libnvrtc.so.12 or .13) for the long tests."""
HOT = {
    "project", "emit", "sort_pass", "blend", "blend_adj", "finish", "image_loss", "split_rows",
    "upscale_hermite", "upscale_history", "upscale_features", "upscale_add", "upscale_fsr",
}  # fmt: skip


def report(*options: str) -> dict[str, Any]:
    """What ``scripts/bench/kernels.py`` finds; a spill or a warning fails."""
    try:
        nvrtc_architectures()
    except SplatkitError as error:
        pytest.skip(str(error))
    command = [sys.executable, str(REPORT), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_default_kernels_compile_without_spills_or_warnings(architecture: int) -> None:
    found = report("--architectures", str(architecture))
    if not found["kernels"]:
        pytest.skip(f"this NVRTC does not know sm_{architecture}")
    assert {cost["kernel"] for cost in found["kernels"]} >= HOT
    assert all(cost["registers"] > 8 for cost in found["kernels"])
    assert all(cost["shared"] <= 48 << 10 for cost in found["kernels"])
    assert max(cost["shared"] for cost in found["kernels"]) > 10_000


def test_every_specialisation_compiles_for_one_architecture() -> None:
    found = report("--all", "--architectures", "90")
    assert len(found["kernels"]) > 200


@pytest.mark.long
@pytest.mark.parametrize("nvrtc", [None, *NVRTC], ids=lambda path: path and path.parts[-4])
def test_the_full_matrix(nvrtc: Path | None) -> None:
    """Set SPLATKIT_NVRTC to libraries of other versions, such as the oldest, that of torch 2.6:
    ``pip install --no-deps --target FOLDER nvidia-cuda-nvrtc-cu12==12.4.127``."""
    found = report("--all", *([] if nvrtc is None else ["--nvrtc", str(nvrtc)]))
    least = 4 if nvrtc is not None else len(ARCHITECTURES)
    assert len({cost["architecture"] for cost in found["kernels"]}) >= least
