"""The CUDA training step against the plain one, its kernels run on the CPU (``tests/simt``)."""

from __future__ import annotations

import pytest
import torch

from splatkit.render import get_backend
from splatkit.render.backends.base import AdamState, DensityStatistics, ProjectOptions
from splatkit.render.backends.cuda import CudaBackend
from tests.render.test_step import UPDATE, double, scene
from tests.simt.driver import COMPILER, SimtDriver

pytestmark = pytest.mark.skipif(not COMPILER, reason="no g++ to compile the kernels with")


def test_steps_towards_a_photo() -> None:
    gaussians, cameras = scene(90, 16, 1)
    photo = (255 * torch.rand(1, cameras.height, cameras.width, 3)).to(torch.uint8)
    background = torch.tensor([[0.2, 0.4, 0.6]])
    results = []
    for backend in (CudaBackend(SimtDriver()), get_backend("torch_ref")):
        exact = backend.name == "torch_ref"
        model = gaussians.clone().to(torch.float64 if exact else torch.float32)
        views = double(cameras) if exact else cameras
        adam, statistics = AdamState.zeros_like(model), DensityStatistics.zeros(len(model))
        step, losses = backend.training_step(), []
        for _ in range(2):
            rgb, alpha = step.forward(model, views, background.to(model.means), ProjectOptions())
            loss, v_rgb = backend.l1_ssim(rgb, photo, 0.2)
            losses.append(float(loss))
            step.backward(v_rgb, 0.1 * alpha, (rgb - 0.5).abs().sum(-1))
            step.finish(model, adam, UPDATE, statistics)
        results.append((model, adam, statistics, losses))
    (got, adam, sums, losses), (wanted, wanted_adam, wanted_sums, wanted_losses) = results
    assert losses == pytest.approx(wanted_losses, rel=1e-5)
    for name in adam.first:
        difference = (adam.first[name] - wanted_adam.first[name]).norm()
        assert difference <= 1e-3 * wanted_adam.first[name].norm(), name
        moved = (getattr(wanted, name) - getattr(gaussians, name)).norm()
        assert (getattr(got, name) - getattr(wanted, name)).norm() <= 2e-3 * moved, name
    for name, tensor in vars(sums).items():
        torch.testing.assert_close(tensor, getattr(wanted_sums, name), rtol=1e-3, atol=1e-4)
