"""The tests of this folder once more, the kernels compiled with sanitizers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simt.driver import COMPILER

FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
HERE = Path(__file__).parent
CASES = {
    "rows, sort, loss": "test_simt_rows.py test_simt_kernels.py test_simt_loss.py",
    "rendering only": "test_simt_view.py",
    "training step": "test_simt_step.py",
    "images and gradients": "test_simt_parity.py",
    "triangles": "test_simt_triangles.py",
    "upscaling": "test_simt_upscale.py",
}


@pytest.mark.long
@pytest.mark.parametrize("files", CASES.values(), ids=CASES)
@pytest.mark.skipif(not COMPILER, reason="no g++ to compile the kernels with")
def test_no_access_out_of_bounds_and_nothing_undefined(files: str) -> None:
    runtime = subprocess.run(
        [COMPILER, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(runtime).is_absolute():
        pytest.skip("g++ comes without the sanitizers' libraries")
    environment = os.environ | {
        "SPLATKIT_SIMT_FLAGS": FLAGS,
        "LD_PRELOAD": runtime,
        # Python keeps memory to its end; fibers have stacks of their own.
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
        "OMP_NUM_THREADS": "1",
    }
    places = [str(HERE / name) for name in files.split()]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *places]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, cwd=HERE.parents[1]
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
    assert " passed" in done.stdout
