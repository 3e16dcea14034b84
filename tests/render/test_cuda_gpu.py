"""The CUDA backend on a GPU: the case table, the training step, determinism (goals G16, G17)."""

from __future__ import annotations

import pytest
import torch

from splatkit.core import Cameras, Gaussians
from splatkit.render import get_backend
from splatkit.render.backends import _cuda_device
from splatkit.render.backends._cuda_later import TRIALS
from splatkit.render.backends.base import AdamState, ProjectOptions, UpdateOptions
from splatkit.render.backends.cuda import CudaBackend
from splatkit.render.backends.torch_ref import TorchReference
from tests.render import triangle_cases as triangles
from tests.render.cases import (
    CASES,
    Case,
    cameras_around,
    random_gaussians,
    relative_l2,
    run,
    worst_over_rms,
)

RATES = dict.fromkeys(("means", "quats", "log_scales", "logit_opacities", "sh", "sh_rest"), 0.01)


@pytest.fixture(scope="module", autouse=True)
def _gpu() -> None:
    reason = _cuda_device.obstacle()
    if reason is not None:
        pytest.skip(f"needs a GPU that the CUDA backend can use: {reason}")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_images_and_gradients(case: Case) -> None:
    expected = run(case, TorchReference(), torch.float64)
    got = run(case, get_backend("cuda"), torch.float32)
    for name in ("rgb", "alpha", "features"):
        if name in got.images:
            difference = (got.images[name] - expected.images[name]).abs()
            assert (difference > 1 / 255).double().mean() <= 1e-4, name
    for name, gradient in got.gradients.items():
        assert relative_l2(gradient, expected.gradients[name]) < 1e-4, name
        assert worst_over_rms(gradient, expected.gradients[name]) < 1e-3, name


@pytest.mark.parametrize("case", triangles.CASES, ids=lambda case: case.name)
def test_triangles_and_their_gradients(case: triangles.TriangleCase) -> None:
    expected = triangles.run(case, "torch_ref", torch.float64)
    got = triangles.run(case, get_backend("cuda"), torch.float32)
    for name in ("rgb", "alpha", "depth"):
        wrong = (got.images[name] - expected.images[name]).abs() > 1e-4
        assert wrong.double().mean() <= 2e-3, name
    for name, gradient in got.gradients.items():
        assert relative_l2(gradient, expected.gradients[name]) < 2e-3, name


def trained(backend, gaussians: Gaussians, cameras: Cameras, steps: int) -> Gaussians:
    """A few steps towards a grey image."""
    model = gaussians.to(backend.device).clone()
    views, adam = cameras.to(backend.device), AdamState.zeros_like(model)
    step = backend.training_step()
    photo = torch.full((len(views), views.height, views.width, 3), 128, dtype=torch.uint8)
    photo = photo.to(backend.device)
    background = torch.zeros(1, 3, device=backend.device)
    for _ in range(steps):
        rgb, _ = step.forward(model, views, background, ProjectOptions())
        _, v_rgb = backend.l1_ssim(rgb, photo, 0.2)
        step.backward(v_rgb)
        step.finish(model, adam, UpdateOptions(rates=RATES))
    return model.to("cpu")


@pytest.mark.parametrize("cameras", [1, 2])
def test_training_steps_are_those_of_the_cpu(cameras: int) -> None:
    case = Case("steps", cameras=cameras, width=90, height=70)
    gaussians = random_gaussians(case).to(torch.float32)
    views = cameras_around(case).to(torch.float32)
    # Long enough for all forms to be tried and for launches to be replayed.
    steps = 3 * TRIALS + 8
    got = trained(get_backend("cuda"), gaussians, views, steps)
    wanted = trained(get_backend("cpu"), gaussians, views, steps)
    for name, tensor in got.parameters().items():
        moved = (getattr(wanted, name) - getattr(gaussians, name)).norm()
        assert (tensor - getattr(wanted, name)).norm() <= 0.02 * moved, name


def test_deterministic_mode_gives_the_same_bits() -> None:
    case = Case("bits", cameras=1, width=160, height=120, count=4000, log_scale=-3.0)
    gaussians = random_gaussians(case).to(torch.float32)
    views = cameras_around(case).to(torch.float32)
    device = torch.device("cuda", torch.cuda.current_device())
    driver = _cuda_device.open_backend(device).driver
    results = [trained(CudaBackend(driver, True), gaussians, views, 5) for _ in range(3)]
    for other in results[1:]:
        for name, tensor in other.parameters().items():
            assert torch.equal(tensor, getattr(results[0], name)), name
