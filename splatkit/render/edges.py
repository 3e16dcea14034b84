"""Solid triangles with smooth edges, so that the places of edges have gradients.

A z-buffer gives each pixel to one triangle; where an edge lies between two pixel centres it does
not tell. Here it does, as analytic antialiasing: between two neighbouring pixels of different
triangles the nearer triangle's edge crosses the line from centre to centre at a share t of the way.
Beyond the middle it covers t - 1/2 of the other pixel, before it 1/2 - t of its own shows the other
(the idea of Laine et al. 2020). What comes out is about what many samples a pixel would show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from splatkit.core import Cameras, Triangles
from splatkit.render.triangles import RenderedTriangles, render_triangles

ALIKE = 2 / 255
"""Neighbours whose colours differ by less mix to what both are: they are passed over."""


def render_with_edges(
    triangles: Triangles,
    camera: Cameras,
    *,
    background: Tensor | None = None,
    outputs: Sequence[str] = (),
) -> RenderedTriangles:
    """Draw solid triangles with smooth edges from one camera, one sample a pixel.

    Differentiable as ``render_triangles``, and with respect to the places of edges between pixels.

    Args:
        triangles: see ``render_triangles``; colours or a texture are needed.
        camera: batch of one.
        background: [3] sRGB behind everything; black when None.
        outputs: further ones of ``TRIANGLE_OUTPUTS``.

    Returns:
        What ``render_triangles`` returns, with depth; edges are smooth in ``rgb`` only.

    Raises:
        SplatkitError: a shape is not as said.
    """
    camera = camera.to(triangles.device)
    wanted = ("depth", *outputs)
    drawn = render_triangles(triangles, camera, background=background, outputs=wanted)
    assert drawn.rgb is not None
    return replace(drawn, rgb=with_smooth_edges(drawn.rgb, drawn, triangles, camera))


def with_smooth_edges(
    rgb: Tensor, drawn: RenderedTriangles, triangles: Triangles, camera: Cameras
) -> Tensor:
    """A picture of solid triangles with smooth edges.

    Args:
        rgb: [1,H,W,3] its colours, one sample a pixel.
        drawn: the ids and depth of that.
        triangles: what was drawn; the places of edges give gradients to its vertices.
        camera: batch of one.
    """
    assert drawn.depth is not None
    ids = drawn.ids[0].long()
    depth = torch.where(ids >= 0, drawn.depth[0].detach(), torch.inf)
    width = ids.shape[1]
    colors = rgb.reshape(-1, 3)
    pixels = torch.arange(ids.numel(), device=ids.device).view(ids.shape)
    total = colors
    for axis in (0, 1):
        here, there = (pixels.narrow(1 - axis, k, pixels.shape[1 - axis] - 1) for k in (0, 1))
        away = (colors.detach()[here] - colors.detach()[there]).abs().amax(-1)
        differ = (ids.view(-1)[here] != ids.view(-1)[there]) & (away >= ALIKE)
        here, there = here[differ], there[differ]
        near = depth.view(-1)[here] <= depth.view(-1)[there]
        inner, outer = torch.where(near, here, there), torch.where(near, there, here)
        faces = ids.view(-1)[inner]
        t, crossed = _crossings(triangles, camera, faces, inner, outer, width, axis)
        inner, outer, t = inner[crossed], outer[crossed], t[crossed][:, None]
        step = colors[outer] - colors[inner]
        total = total.index_add(0, inner, (0.5 - t).clamp_min(0) * step)
        total = total.index_add(0, outer, (0.5 - t).clamp_max(0) * step)
    return total.view(rgb.shape)


def _crossings(
    triangles: Triangles,
    camera: Cameras,
    faces: Tensor,
    inner: Tensor,
    outer: Tensor,
    width: int,
    axis: int,
) -> tuple[Tensor, Tensor]:
    """Where the edge of each face [P] is on the way from pixel ``inner`` to ``outer``.

    Returns:
        Shares [P] of the way 0..1, and [P] where there is such an edge, and it is one that lies
        rather across the way than along it (``axis`` 0 is along rows).
    """
    matrix, K = camera.viewmats[0], camera.Ks[0]
    corners = triangles.vertices[triangles.faces.long()[faces]]
    points = (corners @ matrix[:3, :3].T + matrix[:3, 3]) @ K.T
    # The edge opposite to corner i, as the line (a, b, c) of pixels a x + b y + c = 0.
    lines = torch.linalg.cross(points.roll(-1, 1), points.roll(-2, 1), dim=-1)
    facing = (lines[:, 0] * points[:, 0]).sum(-1, keepdim=True).detach().sign()

    def sides(pixel: Tensor) -> Tensor:
        x, y = pixel % width + 0.5, pixel // width + 0.5
        return facing * (lines[..., 0] * x[:, None] + lines[..., 1] * y[:, None] + lines[..., 2])

    inside, outside = sides(inner), sides(outer)
    leaving = (outside < 0) & (inside >= 0)
    share = torch.where(leaving, inside / torch.where(leaving, inside - outside, 1), torch.inf)
    t, edge = share.min(1)
    slope = lines.detach().gather(1, edge[:, None, None].expand(-1, 1, 3))[:, 0].abs()
    across = slope[:, axis] >= slope[:, 1 - axis]
    return t, across & t.isfinite()
