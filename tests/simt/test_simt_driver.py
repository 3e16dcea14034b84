"""The launch code with the real cuda-core and cuda-bindings: only the driver below them is ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simt.driver import COMPILER

HERE = Path(__file__).parent
NAME = "libcuda.so.1"


@pytest.mark.skipif(not COMPILER or sys.platform != "linux", reason="needs g++ on Linux")
def test_a_training_step_through_the_driver(tmp_path: Path) -> None:
    pytest.importorskip("cuda.core", reason="cuda-core is not installed")
    library = tmp_path / NAME
    command = [COMPILER, "-std=c++17", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    command += [f'-DLIBRARY_NAME="{NAME}"', f"-Wl,-soname,{NAME}", "-o", str(library)]
    subprocess.run([*command, str(HERE / "libcuda.cpp"), "-ldl"], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.simt.through_libcuda", str(library)],
        cwd=HERE.parents[1],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    refused, told = done.stdout.splitlines()
    assert refused == (
        "sample_keys: the launch of 1 blocks of 2048 threads failed, the driver says: "
        "invalid argument"
    )
    assert told.endswith("context left: 0")
    assert int(told.split()[0]) >= 12
