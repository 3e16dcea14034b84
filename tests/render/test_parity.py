"""The native rasterizer gives what the reference gives, forward and backward (goal G17)."""

import math
from dataclasses import asdict
from functools import cache

import pytest
import torch

from splatkit import _native
from splatkit.core import Cameras
from splatkit.core.sh import count_from_degree
from splatkit.render import render
from splatkit.render.backends.base import ProjectOptions
from splatkit.render.backends.cpu import CpuBackend
from splatkit.render.backends.torch_ref import TorchReference
from splatkit.render.constants import DEFAULT_CONSTANTS
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

TOLERANCES = {"depth": 1e-4, "normal": 1e-4, "depth_median": 1e-5, "weight_sum": 1e-3}
"""Largest differences of float32 images where they are not those of colours."""


@cache
def reference(case: Case) -> Result:
    return run(case, TorchReference(), torch.float64)


def test_constants_are_the_same() -> None:
    # The kernels know no reach of their own.
    assert asdict(DEFAULT_CONSTANTS) == _native.BLEND_CONSTANTS | {"reach": math.inf}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_images(case: Case, isa: str) -> None:
    expected, got = reference(case).images, run(case, CpuBackend(), torch.float32).images
    assert set(got) == set(expected)
    for name, image in got.items():
        difference = (image - expected[name]).abs()
        if name in ("top_ids", "weight_count"):
            # A threshold may fall on the other side in float32, at next to no pixel.
            assert (difference > 0).double().mean() <= 1e-3, name
        elif name in ("rgb", "alpha", "features"):
            assert (difference > 1 / 255).double().mean() <= 1e-4, name
            assert difference.mean() < 1e-5, name
        else:
            wrong = difference > TOLERANCES.get(name, 1e-5) * (1 + expected[name].abs())
            assert wrong.double().mean() <= 1e-3, name


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_gradients(case: Case, isa: str) -> None:
    expected, got = reference(case).gradients, run(case, CpuBackend(), torch.float32).gradients
    for name, gradient in got.items():
        assert relative_l2(gradient, expected[name]) < 1e-4, name
        assert worst_over_rms(gradient, expected[name]) < 1e-3, name


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_plain_loops_in_double(case: Case) -> None:
    expected, got = reference(case), run(case, CpuBackend(), torch.float64)
    for name, image in got.images.items():
        torch.testing.assert_close(image, expected.images[name], rtol=1e-9, atol=1e-9, msg=name)
    for name, gradient in got.gradients.items():
        assert relative_l2(gradient, expected.gradients[name]) < 1e-9, name


@pytest.mark.parametrize("degree", range(5))
def test_fewer_harmonics_than_stored(degree: int, isa: str) -> None:
    case = Case("fewer harmonics", degree=4, count=40, cameras=1)
    gaussians, cameras = random_gaussians(case).to(torch.float32), cameras_around(case)
    options = ProjectOptions(sh_degree=degree)
    got = CpuBackend().project(gaussians, cameras.to(torch.float32), options)
    cut = random_gaussians(case)
    cut.sh = cut.sh[:, : count_from_degree(degree)]
    expected = TorchReference().project(cut, cameras, ProjectOptions())
    assert torch.equal(got.gaussian_ids, expected.gaussian_ids)
    assert relative_l2(got.records.double(), expected.records) < 1e-5


@pytest.mark.parametrize("backend", [CpuBackend(), TorchReference()], ids=["cpu", "torch_ref"])
def test_a_border_changes_nothing_inside_its_frame(backend: CpuBackend | TorchReference) -> None:
    case = Case("border", cameras=1, distance=0.3, log_scale=-1.5)
    gaussians, camera = random_gaussians(case), cameras_around(case)
    wide = Cameras(camera.viewmats, camera.Ks.clone(), case.width + 7, case.height + 9)
    wide.Ks[:, 0, 2] += 3
    wide.Ks[:, 1, 2] += 4

    def picture(seen: Cameras, frame: tuple[float, float, float, float] | None) -> torch.Tensor:
        with torch.no_grad():
            return render(gaussians, seen, frame=frame, backend=backend).rgb[0]

    plain = picture(camera, None)
    whole = slice(4, 4 + case.height), slice(3, 3 + case.width)
    bordered = picture(wide, (3.0, 4.0, 3.0 + case.width, 4.0 + case.height))
    assert (bordered[whole] - plain).abs().max() < 1e-9
    assert (picture(wide, None)[whole] - plain).abs().max() > 1e-4


def test_scores_are_weighed_per_splat(isa: str) -> None:
    case = Case("scores", cameras=2)
    backend, gaussians, cameras = CpuBackend(), random_gaussians(case), cameras_around(case)
    scores = torch.rand(2, case.height, case.width, dtype=torch.float64)
    ones = torch.ones_like(scores)

    splats = TorchReference().project(gaussians, cameras, ProjectOptions())
    channel = torch.ones(len(splats), 1, dtype=torch.float64, requires_grad=True)
    background = torch.zeros(2, 3, dtype=torch.float64)
    image = TorchReference().blend(splats, background, channel).channels
    assert image is not None
    expected = [
        torch.autograd.grad(image, channel, s[..., None], retain_graph=True)[0]
        for s in (scores, ones)
    ]

    from splatkit.render.backends._cpu_ops import draw, draw_adj

    fast = backend.project(gaussians.to(torch.float32), cameras.to(torch.float32), ProjectOptions())
    work = _native.Blending()
    blended = draw(work, fast, torch.zeros(2, 3))
    _, _, sums = draw_adj(work, fast, blended, torch.zeros_like(blended.rgb), scores=scores.float())
    assert sums is not None
    assert relative_l2(sums.double(), torch.cat(expected, 1)) < 1e-4
