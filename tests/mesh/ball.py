"""A painted ball on a ring of cameras: true triangles, their photos and their depths."""

from __future__ import annotations

from functools import cache

import torch

from splatkit.core import Cameras, Triangles
from splatkit.mesh.tsdf import DepthView
from splatkit.render import render_triangles
from splatkit.train.photos import View
from tests.render.triangle_cases import TriangleCase, cameras_around, octahedra

RADIUS = 1.0
CASE = TriangleCase("ball", 0.0, 64, 48, cameras=6, distance=3.0)


@cache
def ball(levels: int = 4) -> Triangles:
    """A ball with a colour for each direction."""
    faces, places = octahedra(levels)
    return Triangles(places.float() * RADIUS, faces.int(), colors=places.float() * 0.4 + 0.5)


def cameras() -> Cameras:
    """Six cameras around it and one above, float32."""
    around = cameras_around(CASE)
    tilted = torch.linalg.matrix_exp(
        torch.tensor([[0.0, 0, 0], [0, 0, -1.2], [0, 1.2, 0]], dtype=torch.float64)
    )
    above = around.viewmats[:1].clone()
    above[0, :3, :3] = tilted @ above[0, :3, :3]
    above[0, :3, 3] = torch.tensor([0.0, 0.0, CASE.distance])
    viewmats = torch.cat((around.viewmats, above)).float()
    return Cameras(viewmats, around.Ks[:1].expand(7, 3, 3).float(), CASE.width, CASE.height)


@cache
def photos() -> list[View]:
    """What the cameras see."""
    drawn = render_triangles(ball(), cameras(), supersample=2)
    assert drawn.rgb is not None
    pictures = (drawn.rgb * 255).round().byte()
    views = [cameras()[i : i + 1] for i in range(len(cameras()))]
    return [View(f"{i}.png", view, pictures[i : i + 1]) for i, view in enumerate(views)]


def depths() -> list[DepthView]:
    """How far away they see it."""
    drawn = render_triangles(ball(), cameras(), outputs=("depth",))
    assert drawn.depth is not None
    seen = torch.where(drawn.depth > 0, drawn.depth, torch.inf)
    return [DepthView(cameras()[i : i + 1], depth) for i, depth in enumerate(seen.unbind())]
