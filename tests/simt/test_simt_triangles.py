"""The CUDA kernels of triangles, run on the CPU, against the reference, forward and backward."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch

from splatkit.core import SplatkitError, Triangles
from splatkit.render import render_triangles
from splatkit.render.backends.cuda import CudaBackend
from tests.render.cases import Result
from tests.render.pretended import GPU, pretended_gpu
from tests.render.triangle_cases import (
    CASES,
    TriangleCase,
    assert_floats_agree,
    cameras_around,
    random_triangles,
    run,
)
from tests.simt.driver import SimtDriver

QUICK = ("pyramids", "nearly solid", "solid, shared vertices", "cameras among the triangles",
         "no triangles, solid", "supersampled")  # fmt: skip
"""Cases of the ordinary test run; the kernels of others differ in how many values they draw."""


@cache
def reference(case: TriangleCase) -> Result:
    return run(case, "torch_ref", torch.float64)


def compare(case: TriangleCase, driver: SimtDriver) -> None:
    expected, got = reference(case), run(case, CudaBackend(driver), torch.float32)
    assert set(got.images) == set(expected.images)
    assert_floats_agree(got, expected)


@pytest.mark.parametrize("name", QUICK)
def test_images_and_gradients(name: str, driver: SimtDriver) -> None:
    compare(next(case for case in CASES if case.name == name), driver)


def test_threads_in_random_order(shuffled: SimtDriver) -> None:
    compare(CASES[0], shuffled)


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 99])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case(case: TriangleCase, seed: int) -> None:
    compare(case, SimtDriver(seed))


def test_more_fragments_than_are_found_at_once(driver: SimtDriver) -> None:
    """Fifty faint sheets behind one another, in no order, some at the same depth."""
    case = TriangleCase("sheets", 0.0, 20, 17, cameras=1)
    cameras = cameras_around(case).to(torch.float32)
    cameras.viewmats = torch.eye(4)[None]
    g = torch.Generator().manual_seed(5)
    depths = 2.0 + torch.randint(0, 30, (50,), generator=g) * 0.1
    corner = torch.tensor([[-9.0, -9.0, 0.0], [9.0, -9.0, 0.0], [0.0, 20.0, 0.0]])
    vertices = corner.repeat(50, 1, 1)
    vertices[..., 2] = depths[:, None]
    sheets = Triangles(
        vertices.reshape(-1, 3),
        torch.arange(150, dtype=torch.int32).view(-1, 3),
        colors=torch.rand(150, 3, generator=g),
        opacities=torch.full((150,), 0.12),
    )
    expected = render_triangles(sheets, cameras, softness=0.01, backend="cpu")
    got = render_triangles(sheets, cameras, softness=0.01, backend=CudaBackend(driver))
    assert expected.rgb is not None
    torch.testing.assert_close(got.rgb, expected.rgb, rtol=0, atol=2e-5)
    torch.testing.assert_close(got.alpha, expected.alpha, rtol=0, atol=2e-5)
    assert torch.equal(got.ids, expected.ids)


def test_tensors_stay_on_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the CPU to a GPU that pretends and back: nothing mixes devices on the way."""
    case = CASES[0]
    triangles = random_triangles(case).to(torch.float32)
    cameras, back = cameras_around(case).to(torch.float32), torch.tensor([0.1, 0.2, 0.3])
    expected = render_triangles(triangles, cameras, softness=1.0, background=back, backend="cpu")
    with pretended_gpu(monkeypatch):
        backend = CudaBackend(SimtDriver(device=GPU))
        leaves = triangles.vertices.clone().requires_grad_()
        moved = replace(triangles, vertices=leaves)
        got = render_triangles(
            moved, cameras, softness=1.0, background=back, backend=backend,
            outputs=("depth", "normal"),
        )  # fmt: skip
        assert got.rgb is not None
        assert got.depth is not None
        assert got.normal is not None
        assert got.rgb.device.type == "cpu"
        # Of all images: what has no gradient would get one from outside the pretended GPU.
        total = got.rgb.sum() + got.depth.sum() + got.normal.sum()
        (gradient,) = torch.autograd.grad(total, leaves)
    torch.testing.assert_close(got.rgb.detach(), expected.rgb, rtol=0, atol=2e-5)
    assert bool(gradient.isfinite().all())
    assert float(gradient.norm()) > 0


def test_what_the_kernels_cannot_draw_is_refused(driver: SimtDriver) -> None:
    case = TriangleCase("refused", 0.5)
    triangles, cameras = random_triangles(case), cameras_around(case)
    backend = CudaBackend(driver)
    with pytest.raises(SplatkitError, match="vertices: expected float32"):
        render_triangles(triangles, cameras, backend=backend)
    triangles, cameras = triangles.to(torch.float32), cameras.to(torch.float32)
    many = torch.zeros(len(triangles.vertices), 30)
    with pytest.raises(SplatkitError, match=r"at most 32 values at a vertex on a GPU.* got 33"):
        render_triangles(triangles, cameras, features=many, backend=backend)
