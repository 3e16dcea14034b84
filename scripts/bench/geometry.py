"""How near a surface comes to the true one, where the photos can see it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from splatkit.core import Cameras, Scene, Triangles, camera_of, intrinsics
from splatkit.render import render_triangles

SAMPLES = 5_000
"""Points of each surface whose nearest point of the other is sought, among all of them: fewer there
would add their spacing to every distance."""


def surface_errors(mesh: Triangles, scene: Scene, truth: Path) -> dict[str, float]:
    """Distances between what the true cameras see of a mesh and of the true scene.

    Args:
        mesh: in the scene's world frame.
        scene: photos with the cameras that were found.
        truth: a folder with ``cameras.json`` and ``depth/NAME.png``, as data/sample has it.

    Returns:
        ``chamfer``, the mean of both mean distances, as a share of the true scene's diagonal, and
        ``f1`` of points within 1% of it.
    """
    told = json.loads((truth / "cameras.json").read_text())
    frames = {frame["name"]: torch.tensor(frame["viewmat"]).double() for frame in told["frames"]}
    photos = [photo for photo in scene.photos if photo.name in frames]
    true_views = torch.stack([frames[photo.name] for photo in photos])
    turn = _similarity(
        torch.cat([camera_of(photo).positions for photo in photos]).double(),
        -(true_views[:, :3, :3].mT @ true_views[:, :3, 3:]).squeeze(-1),
    )
    moved = mesh.vertices.double() @ turn[:3, :3].T + turn[:3, 3]
    mesh = Triangles(moved.float(), mesh.faces)
    divisor = told["depth"]["divisor"]
    width, height = told["width"] // divisor, told["height"] // divisor
    K = intrinsics(*(told[name] / divisor for name in ("fx", "fy", "cx", "cy"))).float()
    seen, true = [], []
    for photo, viewmat in zip(photos, true_views.float(), strict=True):
        camera = Cameras(viewmat[None], K[None], width, height)
        stored = cv2.imread(str(truth / "depth" / f"{Path(photo.name).stem}.png"), -1)
        depth = torch.from_numpy(stored.astype(np.float32)) * told["depth"]["unit_metres"]
        true.append(camera.unprojected(depth)[depth > 0])
        drawn = render_triangles(mesh, camera, outputs=("depth",)).depth
        assert drawn is not None
        seen.append(camera.unprojected(drawn)[drawn > 0])
    wanted, found = torch.cat(true), torch.cat(seen)
    diagonal = float((wanted.amax(0) - wanted.amin(0)).norm())
    wanted, found = (_thinned(points, diagonal / 400) for points in (wanted, found))
    to_found, to_wanted = (
        _nearest(_some(points), others) for points, others in ((wanted, found), (found, wanted))
    )
    recall = float((to_found < 0.01 * diagonal).float().mean())
    precision = float((to_wanted < 0.01 * diagonal).float().mean())
    return {
        "chamfer": float(to_found.mean() + to_wanted.mean()) / 2 / diagonal,
        "f1": 2 * precision * recall / max(precision + recall, 1e-9),
    }


def _thinned(points: Tensor, cell: float) -> Tensor:
    """One point a cell, so that what many pixels show counts no more than the rest."""
    cells = (points / cell).floor().long()
    _, at = cells.unique(dim=0, return_inverse=True)
    first = torch.full((int(at.max()) + 1,), len(points))
    first.scatter_reduce_(0, at, torch.arange(len(points)), "amin")
    return points[first]


def _some(points: Tensor) -> Tensor:
    chosen = torch.randperm(len(points), generator=torch.Generator().manual_seed(0))
    return points[chosen[:SAMPLES]]


def _nearest(points: Tensor, others: Tensor) -> Tensor:
    """[P] distances to the nearest of the others."""
    return torch.cat([torch.cdist(part, others).amin(1) for part in points.split(1000)])


def _similarity(points: Tensor, wanted: Tensor) -> Tensor:
    """[4,4] that takes points to others best (Umeyama 1991)."""
    middle, target = points.mean(0), wanted.mean(0)
    u, s, vt = torch.linalg.svd((wanted - target).T @ (points - middle))
    sign = torch.tensor([1, 1, torch.linalg.det(u @ vt).sign()], dtype=points.dtype)
    scale = (s * sign).sum() / (points - middle).square().sum()
    matrix = torch.eye(4, dtype=points.dtype)
    matrix[:3, :3] = scale * (u * sign) @ vt
    matrix[:3, 3] = target - matrix[:3, :3] @ middle
    return matrix
