"""Smooth edges of solid triangles: near what many samples show, and with gradients for places."""

import pytest
import torch

from splatkit.core import Cameras, Triangles, intrinsics
from splatkit.render import render_triangles
from splatkit.render.edges import render_with_edges
from splatkit.train.metrics import psnr

WIDTH, HEIGHT = 48, 40
CAMERA = Cameras(
    torch.eye(4, dtype=torch.float64)[None],
    intrinsics(40, 40, 22.3, 19.1).double()[None],
    WIDTH,
    HEIGHT,
)
GREY = torch.tensor([0.2, 0.3, 0.4], dtype=torch.float64)


def soup(count: int) -> Triangles:
    """Triangles before and through one another, each of one colour."""
    generator = torch.Generator().manual_seed(3)
    middles = torch.rand(count, 1, 3, generator=generator, dtype=torch.float64) - 0.5
    corners = torch.randn(count, 3, 3, generator=generator, dtype=torch.float64) * 0.25
    corners = corners + middles * torch.tensor([2.2, 2.0, 1.0], dtype=torch.float64)
    corners[..., 2] += 2.5
    colors = torch.rand(count, 1, 3, generator=generator, dtype=torch.float64).expand(-1, 3, -1)
    faces = torch.arange(3 * count, dtype=torch.int32).view(-1, 3)
    return Triangles(corners.reshape(-1, 3), faces, colors=colors.reshape(-1, 3))


def picture(triangles: Triangles) -> torch.Tensor:
    rgb = render_with_edges(triangles, CAMERA, background=GREY).rgb
    assert rgb is not None
    return rgb


def test_edges_are_as_many_samples_show_them() -> None:
    mesh = soup(30)
    truth, plain = (
        render_triangles(mesh, CAMERA, background=GREY, supersample=factor).rgb for factor in (8, 1)
    )
    assert truth is not None
    assert plain is not None
    assert psnr(picture(mesh)[0], truth[0]) > psnr(plain[0], truth[0]) + 3


def test_what_an_edge_uncovers_is_the_gradient_of_its_place() -> None:
    def light(shift: torch.Tensor) -> torch.Tensor:
        corners = torch.tensor([[-0.6, -0.5, 2.0], [0.6, -0.55, 2.0], [0.05, 0.7, 2.0]]).double()
        white = torch.ones(3, 3, dtype=torch.float64)
        moved = corners * torch.stack((shift, shift, torch.ones_like(shift)))
        faces = torch.arange(3, dtype=torch.int32)[None]
        drawn = render_with_edges(Triangles(moved, faces, colors=white), CAMERA).rgb
        assert drawn is not None
        return drawn[..., 0].sum()

    scale = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    total = light(scale)
    (slope,) = torch.autograd.grad(total, scale)
    # An area grows with the square of its scale.
    total = float(total.detach())
    assert total == pytest.approx(20**2 * 0.5 * (1.2 * 1.25 - 0.05 * 0.65), rel=0.02)
    assert float(slope) == pytest.approx(2 * total, rel=0.1)
    step = 0.05
    with torch.no_grad():
        difference = (light(scale + step) - light(scale - step)) / (2 * step)
    assert float(slope) == pytest.approx(float(difference), rel=0.1)


def test_edges_between_like_colours_stay_unseen() -> None:
    corners = torch.tensor([[-2.0, -2, 2], [2, -2, 2.5], [2, 2, 2], [-2, 2, 2.2]]).double()
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32)
    quad = Triangles(corners, faces, colors=torch.full((4, 3), 0.6, dtype=torch.float64))
    torch.testing.assert_close(picture(quad), torch.full((1, HEIGHT, WIDTH, 3), 0.6).double())


def test_nothing_in_view_is_background() -> None:
    mesh = soup(3)
    behind = Triangles(-mesh.vertices, mesh.faces, colors=mesh.colors)
    assert torch.equal(picture(behind), GREY.expand(1, HEIGHT, WIDTH, 3))
