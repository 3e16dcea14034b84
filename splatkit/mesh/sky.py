"""A shell far around a surface: what photos show where they look past it, the sky above all."""

from __future__ import annotations

from collections.abc import Generator
from itertools import product

import torch

from splatkit.core import Event, Progress, Triangles
from splatkit.mesh.clean import quarters, welded
from splatkit.mesh.warp import Warp
from splatkit.render import render_triangles
from splatkit.train.photos import View

FAR = 2.0
"""Its radius, in distances of what is farthest from the middle of the scene."""
ROUNDS = 5
"""Of dividing the eight triangles of an octahedron in four."""
LEAST_SHARE = 1e-3
"""Of all pixels, which have to look past the surface for a shell to be made."""


def sky_behind(
    surface: Triangles, views: list[View], warp: Warp
) -> Generator[Event, None, Triangles]:
    """The part of a far sphere that photos see past a surface, and a ring around it.

    Args:
        surface: vertices and faces.
        views: cameras, and masks of what counts.
        warp: has the middle of the scene.

    Returns:
        Vertices and faces; none where the surface hides (nearly) all of it.
    """
    sphere = _sphere(surface, views, warp)
    both = joined(surface, sphere)
    past = torch.zeros(len(sphere), dtype=torch.int64)
    pixels = 0
    for done, view in enumerate(views):
        with torch.no_grad():
            ids = render_triangles(both, view.camera).ids[0].long()
        counts = torch.ones_like(ids, dtype=torch.bool) if view.mask is None else view.mask[0] > 0
        pixels += int(counts.sum())
        ids = ids[counts & (ids >= len(surface))] - len(surface)
        past += ids.bincount(minlength=len(sphere))
        yield Progress("Looking for the sky", done + 1, len(views))
    if int(past.sum()) < LEAST_SHARE * pixels:
        return sphere.selected(torch.zeros(len(sphere), dtype=torch.bool))
    # Other cameras look past the surface at other places: a ring more.
    corner = torch.zeros(len(sphere.vertices), dtype=torch.bool)
    corner[sphere.faces[past > 0].long().view(-1)] = True
    return sphere.selected(corner[sphere.faces.long()].any(1))


def joined(surface: Triangles, sky: Triangles) -> Triangles:
    """Both, the surface's faces first: vertices and faces alone."""
    return Triangles(
        torch.cat((surface.vertices, sky.vertices)),
        torch.cat((surface.faces, sky.faces + len(surface.vertices))),
    )


def parted(both: Triangles, sky: int) -> tuple[Triangles, Triangles | None]:
    """The surface, and so many faces of sky after it; None when there are none."""
    if sky == 0:
        return both, None
    rows = torch.arange(len(both))
    return both.selected(rows[:-sky]), both.selected(rows[-sky:])


def _sphere(surface: Triangles, views: list[View], warp: Warp) -> Triangles:
    """All of it; its front is inside."""
    positions = torch.cat([view.camera.positions for view in views])
    reach = (torch.cat((surface.vertices, positions)) - warp.center).norm(dim=-1).amax()
    signs = [torch.tensor(s).float() for s in product((1, -1), repeat=3)]
    # The corners on the axes; in every other octant they run the other way around.
    corners = torch.stack([s.diag() if s.prod() < 0 else s.diag()[[0, 2, 1]] for s in signs])
    for _ in range(ROUNDS):
        corners = torch.nn.functional.normalize(torch.cat(quarters(corners)), dim=-1)
    faces = torch.arange(3 * len(corners), dtype=torch.int32).view(-1, 3)
    unit = welded(Triangles(corners.reshape(-1, 3), faces))
    return Triangles(warp.center + FAR * reach * unit.vertices, unit.faces)
