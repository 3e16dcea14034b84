"""The connected surface of a scene: depth that the Gaussians show, fused, cleaned and thinned."""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor

from splatkit.core import Event, Gaussians, Note, Progress, SplatkitError, Triangles
from splatkit.mesh.clean import decimated, manifold, smoothed, welded, without_crumbs
from splatkit.mesh.isosurface import extract
from splatkit.mesh.reach import within_reach
from splatkit.mesh.tsdf import DepthView, choose_voxel, fuse
from splatkit.mesh.warp import warp_of
from splatkit.render import render
from splatkit.train.photos import View

CRUMBS = 2e-4
"""Connected pieces with less than this share of all area in warped space are left out."""
SMOOTHING = 8
"""Rounds that take the noise of depths off the surface before it is thinned out."""
SOLID = 0.5
"""Pixels that the Gaussians cover less than this show nothing."""


def surface(
    gaussians: Gaussians,
    views: list[View],
    *,
    cells: int,
    triangles: int,
    points: Tensor | None = None,
    backend: str = "auto",
) -> Generator[Event, None, Triangles]:
    """Fuse what the Gaussians show to the photos' cameras.

    Args:
        gaussians: the scene.
        views: cameras to look from, and masks of what counts.
        cells: voxels that the surface passes through, at most.
        triangles: to keep, at most.
        points: [N,3] sparse points, world frame: what is seen far beyond them is left out.
        backend: see ``render``.

    Returns:
        Vertices and faces, manifold.

    Raises:
        SplatkitError: no view shows a surface.
    """
    seen = yield from depth_views(gaussians, views, backend)
    if points is not None:
        seen = within_reach(seen, points)
    warp = warp_of([view.camera for view in views])
    voxel = choose_voxel(seen, warp, cells)
    grid = yield from fuse(seen, warp, voxel)
    vertices, faces = extract(grid)
    if len(faces) == 0:
        raise SplatkitError(
            "mesh: expected a scene with surfaces, but the depths that its cameras see make none; "
            "look at it with: splatkit view RUN"
        )
    whole = without_crumbs(Triangles(vertices, faces), CRUMBS, warp)
    yield Note(f"{len(whole):,} triangles at a voxel of {voxel:.4g}")
    yield Progress("Thinning out", 0, 1)
    thin = manifold(welded(decimated(smoothed(whole, SMOOTHING), triangles, warp)))
    yield Progress("Thinning out", 1, 1, f"{len(thin):,} triangles")
    return thin


def depth_views(
    gaussians: Gaussians, views: list[View], backend: str
) -> Generator[Event, None, list[DepthView]]:
    """Median depth from each camera, infinite where the scene is not solid, 0 where the photo does
    not count."""
    found = []
    for view in views:
        with torch.no_grad():
            drawn = render(
                gaussians, view.camera, sh_degree=0, outputs=("depth_median",), backend=backend
            )
        assert drawn.depth_median is not None
        depth = torch.where(drawn.alpha[0] > SOLID, drawn.depth_median[0], torch.inf)
        if view.mask is not None:
            depth = torch.where(view.mask[0] > 0, depth, 0)
        found.append(DepthView(view.camera, depth))
        yield Progress("Looking for surfaces", len(found), len(views))
    return found
