"""The connected surface of a scene: depth that the Gaussians show, fused, cleaned and thinned."""

from __future__ import annotations

import math
from collections.abc import Generator

import torch
from torch import Tensor

from splatkit.core import Cameras, Event, Gaussians, Note, Progress, SplatkitError, Triangles
from splatkit.mesh.clean import decimated, manifold, smoothed, welded, without_crumbs
from splatkit.mesh.isosurface import extract
from splatkit.mesh.tsdf import DepthView, choose_voxel, fuse
from splatkit.mesh.warp import warp_of
from splatkit.render import render
from splatkit.train.photos import View

CRUMBS = 2e-4
"""Connected pieces with less than this share of all area are left out."""
SMOOTHING = 8
"""Rounds that take the noise of depths off the surface before it is thinned out."""
SOLID = 0.5
"""Pixels that the Gaussians cover less than this show nothing."""
BEYOND, KNOWN = 1.2, 0.99
"""What is farther than so many times this quantile of the depths of the sparse points in a picture
has to be seen from a second place: else its depth is a guess, and it belongs to the sky."""
FEWEST_POINTS = 50
"""In a picture; with fewer it is not known how far its surfaces are."""
PARALLAX = 0.05
"""Angle between the ways to a place from two cameras that tell its depth, radians."""
AGREE = 0.05
"""Share of the depth by which two cameras may differ about a place."""


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
    whole = without_crumbs(Triangles(vertices, faces), CRUMBS)
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


def within_reach(views: list[DepthView], points: Tensor) -> list[DepthView]:
    """The depths, infinite where they are far beyond the sparse points that are in the picture and
    no camera from another side sees the same place.

    Args:
        views: depths.
        points: [N,3] sparse points, world frame.
    """
    found = []
    for view in views:
        far = view.depth.isfinite() & (view.depth > _reach(view.camera, points.float()))
        rows, columns = far.nonzero(as_tuple=True)
        places = _places(view, rows, columns)
        told = torch.zeros(len(places), dtype=torch.bool)
        for other in views:
            told |= _sees(other, places, view.camera.positions[0])
        depth = view.depth.clone()
        depth[rows[~told], columns[~told]] = torch.inf
        found.append(DepthView(view.camera, depth))
    return found


def _reach(camera: Cameras, points: Tensor) -> float:
    """How far surfaces are known to be in a picture."""
    local, x, y = _projected(camera, points)
    inside = (local[:, 2] > 0) & (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
    if int(inside.sum()) < FEWEST_POINTS:
        return torch.inf
    return BEYOND * float(local[inside, 2].quantile(KNOWN))


def _places(view: DepthView, rows: Tensor, columns: Tensor) -> Tensor:
    """[P,3] points of the world behind pixels."""
    z = view.depth[rows, columns]
    pixels = torch.stack((columns + 0.5, rows + 0.5, torch.ones_like(z)), -1)
    local = pixels @ view.camera.Ks[0].inverse().T * z[:, None]
    matrix = view.camera.viewmats[0]
    return (local - matrix[:3, 3]) @ matrix[:3, :3]


def _sees(view: DepthView, places: Tensor, eye: Tensor) -> Tensor:
    """[P] whether a camera has the depth of places, and sees them from another side than an eye."""
    camera = view.camera
    local, x, y = _projected(camera, places)
    inside = (local[:, 2] > 0) & (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
    column, row = (at.clamp(0, most - 1) for at, most in ((x, camera.width), (y, camera.height)))
    away = view.depth[row.long(), column.long()] - local[:, 2]
    ways = [torch.nn.functional.normalize(places - at) for at in (eye, camera.positions[0])]
    turned = (ways[0] * ways[1]).sum(-1) < math.cos(PARALLAX)
    return inside & turned & (away.abs() < AGREE * local[:, 2])


def _projected(camera: Cameras, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Points [N,3] in the camera's frame, and their places x, y [N] in the picture, pixels."""
    local = points @ camera.viewmats[0, :3, :3].T + camera.viewmats[0, :3, 3]
    places = local @ camera.Ks[0].T
    x, y = (places[:, :2] / places[:, 2:]).nan_to_num(-1, -1, -1).unbind(-1)
    return local, x, y
