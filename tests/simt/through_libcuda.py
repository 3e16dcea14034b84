"""A training step through cuda-core, cuda-bindings and a driver whose kernels run on the CPU.

    python -m tests.simt.through_libcuda LIBRARY

Loads the driver before anybody else does, so a process of its own does this.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from threading import Thread
from types import SimpleNamespace
from typing import Any

import torch

from splatkit.core import SplatkitError
from splatkit.render.backends._cuda_compile import Options
from splatkit.render.backends._cuda_driver import CudaDriver, Driver
from splatkit.render.backends.base import AdamState, ProjectOptions, UpdateOptions
from splatkit.render.backends.cuda import CudaBackend
from tests.render.cases import Case, cameras_around, random_gaussians
from tests.simt.driver import CPU, SimtDriver, build

RATES: dict[str, float] = dict.fromkeys(
    ("means", "quats", "log_scales", "logit_opacities", "sh", "sh_rest"), 0.01
)


class SimtCompiler:
    """A ``Compiler`` for ``libcuda.cpp``."""

    def begin(self, wanted: Iterable[tuple[str, Options]]) -> None:
        pass

    def cubin(self, file: str, options: Options) -> bytes:
        return f"{build(file, options)}\0".encode()


def trained(driver: Driver) -> dict[str, torch.Tensor]:
    """Parameters after a step."""
    case = Case("driver", cameras=1, count=60)
    model, cameras = random_gaussians(case).to(torch.float32), cameras_around(case)
    backend = CudaBackend(driver, deterministic=True)
    step = backend.training_step()
    rgb, _ = step.forward(model, cameras.to(torch.float32), torch.zeros(1, 3), ProjectOptions())
    photo = torch.full(rgb.shape, 128, dtype=torch.uint8)
    _, v_rgb = backend.l1_ssim(rgb, photo, 0.2)
    step.backward(v_rgb)
    step.finish(model, AdamState.zeros_like(model), UpdateOptions(rates=RATES))
    return model.parameters()


def main(library: str) -> None:
    ctypes.CDLL(library, ctypes.RTLD_GLOBAL)
    torch.cuda.current_stream = lambda device=None: SimpleNamespace(cuda_stream=0)
    torch.cuda.device = lambda device: nullcontext()
    compiler: Any = SimtCompiler()
    driver = CudaDriver(CPU, compiler)
    expected = trained(SimtDriver())
    # Also in a thread that never touched the GPU: it has no context of its own.
    results = [trained(driver)]
    thread = Thread(target=lambda: results.append(trained(driver)))
    thread.start()
    thread.join()
    for got in results:
        for name, tensor in got.items():
            assert torch.equal(tensor, expected[name]), name
    assert len(results) == 2
    try:
        driver.launch("sample_keys", (), 1, 2048, dict.fromkeys(("weights", "keys"), None) | {
            "seed": 1, "count": 0,
        })  # fmt: skip
    except SplatkitError as error:
        print(error)
    from cuda.bindings import driver as bindings  # pyright: ignore[reportAttributeAccessIssue]

    _, left = bindings.cuCtxGetCurrent()
    print(f"{len(driver._functions)} kernels, context left: {int(left)}")


if __name__ == "__main__":
    main(sys.argv[1])
