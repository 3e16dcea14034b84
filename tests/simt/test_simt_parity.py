"""The CUDA kernels, run on the CPU, give what the reference gives, forward and backward."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch

from splatkit.core import Gaussians
from splatkit.render import render
from splatkit.render.backends import _cuda_ops
from splatkit.render.backends._cuda_plan import Choice
from splatkit.render.backends._cuda_room import InstanceRoom
from splatkit.render.backends.base import ProjectOptions
from splatkit.render.backends.cuda import CudaBackend
from splatkit.render.backends.torch_ref import TorchReference
from splatkit.render.screen import Blended, BlendRequest, ScreenSplats
from tests.render.cases import (
    CASES,
    Case,
    Result,
    cameras_around,
    random_gaussians,
    relative_l2,
    run,
    worst_over_rms,
)
from tests.simt.driver import SimtDriver

TOLERANCES = {"depth": 1e-4, "normal": 1e-4, "depth_median": 1e-5, "weight_sum": 1e-3}
SHARED = ("odd size", "principal point outside", "camera inside the cloud", "large splats",
          "small splats", "one pixel")  # fmt: skip
"""Cases whose kernels have the same options, so that they are compiled once."""


@cache
def reference(case: Case) -> Result:
    return run(case, TorchReference(), torch.float64)


def named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def compare(case: Case, got: Result) -> None:
    expected = reference(case)
    assert set(got.images) == set(expected.images)
    for name, image in got.images.items():
        difference = (image - expected.images[name]).abs()
        if name in ("top_ids", "weight_count"):
            assert (difference > 0).double().mean() <= 1e-3, name
        elif name in ("rgb", "alpha", "features"):
            assert (difference > 1 / 255).double().mean() <= 1e-4, name
            assert difference.mean() < 1e-5, name
        else:
            wrong = difference > TOLERANCES.get(name, 1e-5) * (1 + expected.images[name].abs())
            assert wrong.double().mean() <= 1e-3, name
    for name, gradient in got.gradients.items():
        assert relative_l2(gradient, expected.gradients[name]) < 1e-4, name
        assert worst_over_rms(gradient, expected.gradients[name]) < 1e-3, name


@pytest.mark.parametrize("name", SHARED)
def test_images_and_gradients(name: str, driver: SimtDriver) -> None:
    case = named(name)
    compare(case, run(case, CudaBackend(driver), torch.float32))


def test_threads_in_random_order(shuffled: SimtDriver) -> None:
    case = named("odd size")
    compare(case, run(case, CudaBackend(shuffled), torch.float32))


@pytest.mark.long
@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("seed", [0, 99])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case(case: Case, deterministic: bool, seed: int) -> None:
    backend = CudaBackend(SimtDriver(seed), deterministic)
    compare(case, run(case, backend, torch.float32))


def crowd(count: int, spread: float, log_scale: float) -> Gaussians:
    """Splats in front of a camera at the origin."""
    g = torch.Generator().manual_seed(count)
    return Gaussians(
        means=torch.randn(count, 3, generator=g) * spread + torch.tensor([0.0, 0.0, 4.0]),
        quats=torch.randn(count, 4, generator=g),
        log_scales=torch.full((count, 3), log_scale) + 0.3 * torch.randn(count, 3, generator=g),
        logit_opacities=torch.randn(count, generator=g) - 3.5,
        sh=torch.rand(count, 16, 3, generator=g) * 0.5,
    )


def drawn(
    driver: SimtDriver, choice: Choice, gaussians: Gaussians, width: int, height: int
) -> tuple[tuple[ScreenSplats, Blended], tuple[ScreenSplats, Blended]]:
    """The same scene by the kernels and by the reference, with gradients of the records."""
    from splatkit.core import Cameras, intrinsics

    K = intrinsics(float(width), float(width), width / 2, height / 2).reshape(1, 3, 3)
    cameras = Cameras(torch.eye(4)[None], K.float(), width, height)
    exact = Cameras(cameras.viewmats.double(), cameras.Ks.double(), width, height)
    background = torch.tensor([[0.3, 0.1, 0.2]])
    g = torch.Generator().manual_seed(3)
    v_rgb = torch.randn(1, height, width, 3, generator=g)
    results = []
    for double in (False, True):
        kind = torch.float64 if double else torch.float32
        reference = TorchReference()
        if double:
            splats = reference.project(gaussians.to(kind), exact, ProjectOptions())
        else:
            splats = _cuda_ops.project(driver, gaussians, cameras, ProjectOptions())
        splats = replace(splats, records=splats.records.detach().requires_grad_())
        if double:
            blended = reference.blend(splats, background.to(kind))
        else:
            blended = _cuda_ops.blend(
                driver, InstanceRoom(), choice, splats, background, None, BlendRequest()
            )
        (blended.rgb * v_rgb.to(kind)).sum().backward()
        results.append((splats, blended))
    return results[0], results[1]


@pytest.mark.parametrize(
    "choice",
    [Choice(), Choice(adj_form=1), Choice(bucket=0), Choice(deterministic=True)],
    ids=["pixels", "splats", "no checkpoints", "deterministic"],
)
def test_thousands_in_one_tile(choice: Choice, driver: SimtDriver) -> None:
    """Many checkpoints, and pixels that end between them."""
    got, expected = drawn(driver, choice, crowd(1500, 0.05, -2.0), 21, 18)
    assert len(got[0]) == len(expected[0])
    assert (got[1].rgb - expected[1].rgb).abs().max() < 1e-4
    gradient, wanted = got[0].records.grad, expected[0].records.grad
    assert gradient is not None
    assert wanted is not None
    assert relative_l2(gradient.double(), wanted) < 1e-4


def test_one_giant_splat_over_empty_tiles(driver: SimtDriver) -> None:
    gaussians = crowd(3, 0.1, -4.0)
    gaussians.log_scales[1] = 1.5
    gaussians.logit_opacities[:] = 1.0
    for choice in (Choice(), Choice(deterministic=True)):
        got, expected = drawn(driver, choice, gaussians, 150, 90)
        assert (got[1].rgb - expected[1].rgb).abs().max() < 1e-4
        gradient, wanted = got[0].records.grad, expected[0].records.grad
        assert gradient is not None
        assert wanted is not None
        assert relative_l2(gradient.double(), wanted) < 1e-4


@pytest.mark.parametrize("deterministic", [False, True])
def test_nothing_to_draw(deterministic: bool, driver: SimtDriver) -> None:
    choice = Choice(deterministic=deterministic)
    got, _ = drawn(driver, choice, crowd(5, 0.1, -2.0)[torch.zeros(5, dtype=torch.bool)], 33, 20)
    assert len(got[0]) == 0
    assert torch.equal(got[1].rgb[0, 0, 0].detach(), torch.tensor([0.3, 0.1, 0.2]))
    assert float(got[1].alpha.detach().abs().max()) == 0.0


def test_deterministic_gradients_do_not_depend_on_order(
    driver: SimtDriver, shuffled: SimtDriver
) -> None:
    gradients = [
        drawn(d, Choice(deterministic=True), crowd(300, 0.3, -1.5), 40, 30)[0][0].records.grad
        for d in (driver, shuffled)
    ]
    assert gradients[0] is not None
    assert gradients[1] is not None
    assert torch.equal(gradients[0], gradients[1])


def test_image_gradient(driver: SimtDriver) -> None:
    case = named("odd size")
    for outputs in (("gradient",), ("gradient", "inverse_depth")):
        expected, got = (
            render(
                random_gaussians(case).to(dtype),
                cameras_around(case).to(dtype),
                background=torch.tensor([0.2, 0.5, 0.9], dtype=dtype),
                outputs=outputs,
                backend=backend,
            )
            for backend, dtype in (
                (TorchReference(), torch.float64),
                (CudaBackend(driver), torch.float32),
            )
        )
        for name in ("rgb_dx", "rgb_dy"):
            difference = (getattr(got, name) - getattr(expected, name)).abs()
            assert (difference > 1e-4).double().mean() <= 1e-3
