"""The fused training step of the CUDA kernels, run on the CPU, against the plain one."""

from __future__ import annotations

import pytest
import torch

from splatkit.render.backends.cuda import CudaBackend
from tests.render import test_step
from tests.simt.driver import SimtDriver


@pytest.mark.parametrize(("bases", "degree", "num_cameras"), [(16, 3, 1), (16, 1, 3)])
def test_one_step_equals_the_plain_one(
    bases: int,
    degree: int,
    num_cameras: int,
    driver: SimtDriver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gaussians, cameras = test_step.scene(90, bases, num_cameras)
    exact = gaussians.to(torch.float64), test_step.double(cameras)
    _, wanted, expected = test_step.run("torch_ref", *exact, degree)
    backend = CudaBackend(driver)
    monkeypatch.setattr(test_step, "get_backend", lambda name: backend)
    _, adam, statistics = test_step.run("cuda", gaussians, cameras, degree)
    for name in adam.first:
        # After one step the first moment is the gradient times 1 - beta.
        difference = (adam.first[name] - wanted.first[name]).norm()
        assert difference <= 1e-4 * wanted.first[name].norm(), name
    for name, sums in vars(statistics).items():
        torch.testing.assert_close(sums, getattr(expected, name), rtol=1e-3, atol=1e-4)
