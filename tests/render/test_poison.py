"""Values that no scene should hold: they hide their own Gaussian and harm no other."""

import pytest
import torch

from splatkit.core import PARAMETER_NAMES, Gaussians
from splatkit.render import render
from splatkit.render.backends.base import ProjectOptions
from splatkit.render.backends.cpu import CpuBackend
from splatkit.render.screen import ScreenSplats
from tests.render.cases import Case, cameras_around, random_gaussians

CASE = Case("poison", count=50, cameras=2, degree=2)
VICTIM = 7


def render_with_gradients(gaussians: Gaussians) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    leaves = {n: t.clone().requires_grad_() for n, t in gaussians.parameters().items()}
    cameras = cameras_around(CASE).to(gaussians.means.dtype)
    image = render(Gaussians(**leaves), cameras, backend="cpu").rgb
    weight = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    gradients = torch.autograd.grad((image * weight).sum(), list(leaves.values()))
    return image.detach(), dict(zip(leaves, gradients, strict=True))


# An infinite logit is left out: an opacity of 1 is a good value.
POISONS = [(name, float("nan")) for name in PARAMETER_NAMES] + [
    (name, float("inf")) for name in PARAMETER_NAMES if name != "logit_opacities"
]


@pytest.mark.parametrize(("name", "value"), POISONS)
def test_not_a_number_is_invisible(name: str, value: float, isa: str) -> None:
    check_invisible(name, value, torch.float32)


@pytest.mark.parametrize(("name", "value"), POISONS)
def test_not_a_number_is_invisible_to_the_plain_loops(name: str, value: float) -> None:
    check_invisible(name, value, torch.float64)


def check_invisible(name: str, value: float, dtype: torch.dtype) -> None:
    clean = random_gaussians(CASE).to(dtype)
    poisoned = clean.clone()
    getattr(poisoned, name)[VICTIM].view(-1)[0] = value
    others = torch.arange(CASE.count) != VICTIM
    expected_image, expected = render_with_gradients(clean[others])
    image, gradients = render_with_gradients(poisoned)
    assert torch.equal(image, expected_image)
    for parameter, gradient in gradients.items():
        assert not gradient[VICTIM].any(), parameter
        assert torch.equal(gradient[others], expected[parameter]), parameter


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("means", 1e30), ("means", -1e38), ("means", 1e-42),
        ("quats", 0.0), ("quats", 1e-30), ("quats", 1e30), ("quats", 1e-42),
        ("log_scales", -1e4), ("log_scales", -60.0), ("log_scales", 20.0), ("log_scales", 1e4),
        ("logit_opacities", -1e4), ("logit_opacities", 1e4), ("logit_opacities", -5.5373344),
        ("sh", 1e-42), ("sh", -1e4),
    ],
)  # fmt: skip
def test_extreme_numbers_stay_finite(name: str, value: float, isa: str) -> None:
    gaussians = random_gaussians(CASE).to(torch.float32)
    getattr(gaussians, name)[VICTIM] = value
    gaussians.antialiased = value < 0
    image, gradients = render_with_gradients(gaussians)
    assert bool(torch.isfinite(image).all())
    for parameter, gradient in gradients.items():
        assert bool(torch.isfinite(gradient).all()), parameter


@pytest.mark.parametrize("column", range(12))
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e38, 1e38, 0.0, -1.0])
def test_any_record_is_survived(column: int, value: float) -> None:
    cameras = cameras_around(CASE).to(torch.float32)
    gaussians = random_gaussians(CASE).to(torch.float32)
    splats = CpuBackend().project(gaussians, cameras, ProjectOptions())
    records = splats.records.clone()
    records[::5, column] = value
    broken = ScreenSplats(
        records.requires_grad_(),
        splats.gaussian_ids,
        splats.camera_ids,
        splats.num_gaussians,
        splats.num_cameras,
        splats.width,
        splats.height,
    )
    blended = CpuBackend().blend(broken, torch.zeros(2, 3))
    blended.rgb.sum().backward()
    assert blended.rgb.shape == (2, CASE.height, CASE.width, 3)
