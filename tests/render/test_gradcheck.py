"""Native gradients against finite differences, in float64 through the shared formula headers."""

import pytest
import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians
from splatkit.render import render
from splatkit.render.backends.base import ProjectOptions
from splatkit.render.backends.cpu import CpuBackend
from tests.render.cases import Case, cameras_around, random_gaussians

PARAMETERS = 5


def leaves_of(case: Case) -> list[Tensor]:
    """The five parameter tensors, then viewmats."""
    gaussians, cameras = random_gaussians(case), cameras_around(case)
    return [t.requires_grad_() for t in (*gaussians.parameters().values(), cameras.viewmats)]


def rebuild(case: Case, leaves: tuple[Tensor, ...]) -> tuple[Gaussians, Cameras]:
    cameras = cameras_around(case)
    cameras.viewmats = leaves[PARAMETERS]
    return Gaussians(*leaves[:PARAMETERS], antialiased=case.antialiased), cameras


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("degree", [0, 2, 4])
def test_project(degree: int, antialiased: bool) -> None:
    case = Case("project", count=5, cameras=2, degree=degree, antialiased=antialiased)

    def records(*leaves: Tensor) -> Tensor:
        splats = CpuBackend().project(*rebuild(case, leaves), ProjectOptions())
        # The extents carry no gradient.
        return splats.records[:, :10]

    assert len(records(*leaves_of(case))) == 2 * case.count
    assert torch.autograd.gradcheck(records, leaves_of(case), eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("antialiased", [False, True])
def test_render_end_to_end(antialiased: bool) -> None:
    case = Case(
        "render", width=9, height=7, count=6, cameras=2, degree=1, antialiased=antialiased,
        log_scale=-1.2,
    )  # fmt: skip
    backend = CpuBackend(smooth_cutoff=True)
    features = torch.randn(case.count, 2, dtype=torch.float64, requires_grad=True)
    background = torch.rand(case.cameras, 3, dtype=torch.float64, requires_grad=True)

    def images(features: Tensor, background: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
        rendered = render(
            *rebuild(case, leaves),
            features=features,
            background=background,
            outputs=("rgb", "alpha", "depth"),
            backend=backend,
        )
        assert rendered.depth is not None
        assert rendered.features is not None
        # The depth's numerator: the quotient has no bounded derivative where alpha goes to 0.
        depth = rendered.depth * rendered.alpha
        return rendered.rgb, rendered.alpha, depth, rendered.features

    inputs = (features, background, *leaves_of(case))
    assert torch.autograd.gradcheck(images, inputs, eps=1e-6, atol=1e-5)
