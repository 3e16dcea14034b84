"""A raw surface made fit for use: no crumbs, fewer triangles, at most two of them at an edge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splatkit.core import SplatkitError, Triangles
from splatkit.mesh.warp import Warp

HINT = "pip install 'splatkit[mesh]'"
SIZE = 10.0
"""Longest side of the bounds of what libraries are given: their tolerances are lengths."""


def edges_of(faces: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The edges of faces [T,3].

    Returns:
        Vertices of each edge [E,2] int64, lower first; edges of each face [T,3]; and the number
        of faces at each edge [E].
    """
    corners = faces.long()
    ends = torch.stack((corners, corners.roll(-1, 1)), -1).sort(-1).values.view(-1, 2)
    count = int(corners.max()) + 1 if corners.numel() else 1
    keys, at, number = (ends[:, 0] * count + ends[:, 1]).unique(
        return_inverse=True, return_counts=True
    )
    return torch.stack((keys // count, keys % count), -1), at.view(-1, 3), number


def quarters(corners: Tensor) -> list[Tensor]:
    """The four triangles [n,3,...] that the middles of the sides make of values at corners."""
    a, b, c = corners.unbind(1)
    ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
    return [torch.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]


def components(faces: Tensor, vertices: int) -> Tensor:
    """[vertices] int64 the least vertex that each is connected with by faces."""
    label = torch.arange(vertices)
    corners = faces.long()
    while True:
        # The roots of a face's three trees hang themselves under the least of them.
        roots = label[corners]
        least = roots.amin(1)
        new = label.clone()
        for corner in range(3):
            new.scatter_reduce_(0, roots[:, corner], least, "amin")
        while not torch.equal(new, new[new]):
            new = new[new]
        if torch.equal(new, label):
            return label
        label = new


def without_crumbs(triangles: Triangles, least_share: float, warp: Warp) -> Triangles:
    """Without connected pieces of less than that share of all area in warped space."""
    if len(triangles) == 0:
        return triangles
    piece = components(triangles.faces, len(triangles.vertices))[triangles.faces[:, 0].long()]
    areas = Triangles(warp.forward(triangles.vertices), triangles.faces).areas
    total = torch.zeros(len(triangles.vertices)).index_add_(0, piece, areas)
    return triangles.selected(total[piece] >= least_share * areas.sum())


def welded(triangles: Triangles) -> Triangles:
    """Vertices and faces, one vertex a place: textures double them along their seams."""
    places, same = triangles.vertices.unique(dim=0, return_inverse=True)
    return Triangles(places, same[triangles.faces.long()].int())


def manifold(triangles: Triangles) -> Triangles:
    """Without triangles that are degenerate, doubled, or too many at an edge (smallest first)."""
    faces = triangles.faces
    solid = (
        (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    )
    _, same = faces.sort(-1).values.unique(dim=0, return_inverse=True)
    first = torch.full((len(faces),), len(faces)).scatter_reduce_(
        0, same, torch.arange(len(faces)), "amin"
    )
    triangles = triangles.selected(solid & (first[same] == torch.arange(len(faces))))
    while len(triangles):
        _, at, number = edges_of(triangles.faces)
        crowded = number > 2
        if not bool(crowded.any()):
            break
        areas = torch.where(crowded[at].any(1), triangles.areas, torch.inf)
        smallest = torch.full((len(number),), torch.inf)
        for side in range(3):
            smallest.scatter_reduce_(0, at[:, side], areas, "amin")
        drop = (crowded[at] & (areas[:, None] == smallest[at])).any(1)
        triangles = triangles.selected(~drop)
    return triangles


def smoothed(triangles: Triangles, rounds: int) -> Triangles:
    """The same triangles with less noise, and no smaller (Taubin 1995)."""
    ends, _, number = edges_of(triangles.faces)
    both = torch.cat((ends, ends.flip(1)))
    ones = torch.ones(len(both))
    count = torch.zeros(len(triangles.vertices)).index_add_(0, both[:, 0], ones)[:, None]
    # The border stays: its vertices have neighbours on one side alone.
    border = torch.zeros(len(count), dtype=torch.bool)
    border[ends[number == 1].reshape(-1)] = True
    still = border[:, None] | (count == 0)
    places = triangles.vertices
    for step in (0.5, -0.53) * rounds:
        total = torch.zeros_like(places).index_add_(0, both[:, 0], places[both[:, 1]])
        places = torch.where(still, places, places + step * (total / count.clamp_min(1) - places))
    return replace(triangles, vertices=places)


def scale_to_size(places: Tensor) -> float:
    """What places [N,3] have to be multiplied by for bounds of ``SIZE``."""
    return SIZE / max(float((places.amax(0) - places.amin(0)).max()), 1e-30)


def decimated(triangles: Triangles, count: int, warp: Warp) -> Triangles:
    """About so many triangles at most, by quadric edge collapse (Garland and Heckbert 1997).

    Errors are measured in warped space. Colours are not kept: the result has vertices and faces
    only.

    Raises:
        SplatkitError: the library is missing (the extra ``mesh``).
    """
    if len(triangles) <= count:
        return Triangles(triangles.vertices, triangles.faces)
    try:
        import fast_simplification
    except ImportError as error:
        raise SplatkitError(f"mesh: expected the package fast-simplification; {HINT}") from error
    places = warp.forward(triangles.vertices)
    scale = scale_to_size(places)
    points: Any = (places * scale).numpy()
    faces: Any = triangles.faces.numpy()
    # Where edges are dear to it, the library stops early: it is asked again, more firmly.
    for firmness in (5, 7, 9, 10):
        points, faces = fast_simplification.simplify(
            points.astype(np.float32), faces, target_count=count, agg=firmness
        )[:2]
        if len(faces) <= count:
            break
    places = torch.from_numpy(points).float() / scale
    return Triangles(warp.inverse(places), torch.from_numpy(faces).int())
