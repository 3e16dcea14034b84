"""The specification of drawing triangles: plain torch over pixels times faces, any float dtype.

Formulas as in ``cuda/include/splatkit/triangle.h``; the native code is tested against this file.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatkit.render.drawing import Drawn, DrawRequest

PIXELS_TIMES_FACES = 1 << 22
"""Size of the largest intermediate [pixels, faces] tensor, elements."""


@dataclass(frozen=True)
class TriangleConstants:
    """Where drawing triangles cuts and stops; ``triangle.h`` holds the same values."""

    alpha_min: float = 1.0 / 255.0
    """Fragments whose alpha is below this are skipped."""
    transmittance_min: float = 1e-4
    """Nothing is blended behind this."""
    slack: float = 1e-5
    """Solid triangles cover this share of their height beyond their edges."""
    volume_min: float = 1e-12
    """Triangles seen edge on, by the volume of their corners' directions, are not drawn."""


CONSTANTS = TriangleConstants()


def draw(request: DrawRequest) -> Drawn:
    """Draw triangles (see ``DrawRequest``)."""
    count = len(request.faces)
    statistics = [
        request.vertices.new_zeros(count),
        request.vertices.new_zeros(count),
        torch.zeros(count, dtype=torch.int32),
    ]
    images = [_draw_one(request, camera, statistics) for camera in range(len(request.cameras))]
    channels, alpha, ids = (torch.stack(parts) for parts in zip(*images, strict=True))
    return Drawn(channels, alpha, ids, *(statistics if request.weights else ()))


def _draw_one(
    request: DrawRequest, camera: int, statistics: list[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Channels [H,W,D], alpha and ids [H,W] of one camera."""
    view, K = request.cameras.viewmats[camera], request.cameras.Ks[camera]
    width, height = request.cameras.width, request.cameras.height
    faces = request.faces.long()
    points = (request.vertices @ view[:3, :3].T + view[:3, 3])[faces]
    matrix = (points @ K.T).mT
    volume = torch.linalg.det(points.detach())
    size = points.detach().norm(dim=-1).prod(-1)
    seen = (volume.abs() > CONSTANTS.volume_min * size) & torch.isfinite(size)
    # Hidden ones take a harmless matrix so that no NaN reaches anyone's gradient.
    eye = torch.eye(3, dtype=matrix.dtype)
    planes = torch.linalg.inv(torch.where(seen[:, None, None], matrix, eye))
    values = request.attributes[faces]
    facing = torch.where(volume > 0, -1.0, 1.0).to(points.dtype)

    step = max(1, PIXELS_TIMES_FACES // max(1, len(faces)))
    pieces = []
    for start in range(0, width * height, step):
        pixels = torch.arange(start, min(start + step, width * height))
        place = torch.stack(
            (pixels % width + 0.5, pixels // width + 0.5, torch.ones(len(pixels))), -1
        ).to(points.dtype)
        over_depth = torch.einsum("tic,pc->pti", planes, place)
        total = over_depth.sum(-1)
        z = 1 / torch.where(total > 0, total, 1)
        in_front = seen & (total > 0) & (z > request.near)
        shares = over_depth * z[..., None]
        alpha = _alphas(request, shares, z, in_front)
        order = torch.where(alpha > 0, z, torch.inf).detach().sort(dim=-1, stable=True).indices
        sorted_alpha = alpha.gather(-1, order)
        after = torch.cumprod(1 - sorted_alpha, -1)
        before = torch.cat((torch.ones_like(after[:, :1]), after[:, :-1]), -1)
        blended = torch.where(before > CONSTANTS.transmittance_min, sorted_alpha * before, 0)
        weights = torch.zeros_like(alpha).scatter(-1, order, blended)
        parts = [
            torch.einsum("pt,pti,tif->pf", weights, shares, values),
            (weights * z).sum(-1, keepdim=True),
        ]
        if request.normals is not None:
            parts.append(weights @ (facing[:, None] * request.normals))
        ids = _largest(blended, order)
        pieces.append((torch.cat(parts, -1), weights.sum(-1), ids))
        with torch.no_grad():
            if len(faces):
                statistics[0] += weights.sum(0)
                statistics[1].copy_(torch.maximum(statistics[1], weights.amax(0)))
                statistics[2] += (weights > 0).sum(0).int()
    channels, alpha, ids = (torch.cat(parts) for parts in zip(*pieces, strict=True))
    return (
        channels.unflatten(0, (height, width)),
        alpha.unflatten(0, (height, width)),
        ids.unflatten(0, (height, width)),
    )


def _alphas(request: DrawRequest, shares: Tensor, z: Tensor, in_front: Tensor) -> Tensor:
    """[P,T] how much of its pixel each face hides; 0 where it does not cover it."""
    smallest = shares.amin(-1)
    if request.opacities is None:
        covered = in_front & (smallest >= -CONSTANTS.slack)
        if len(request.faces) == 0:
            return smallest
        nearest = torch.where(covered, z.detach(), torch.inf).argmin(-1, keepdim=True)
        only = torch.zeros_like(covered).scatter(-1, nearest, True)
        return (covered & only).to(shares.dtype)
    inside = in_front & (smallest > 0)
    window = torch.where(inside, 3 * smallest, 1) ** request.softness
    opacity = (shares * request.opacities[request.faces.long()]).sum(-1)
    alpha = torch.where(inside, window * opacity, 0)
    return torch.where(alpha >= CONSTANTS.alpha_min, alpha, 0)


def _largest(weights: Tensor, faces: Tensor) -> Tensor:
    """[P] int32 the face of the largest weight, -1 where all are 0; both [P,T] front to back."""
    if weights.shape[1] == 0:
        return torch.full(weights.shape[:1], -1, dtype=torch.int32)
    best = weights.detach().argmax(-1, keepdim=True)
    found = faces.gather(-1, best)
    return torch.where(weights.gather(-1, best) > 0, found, -1).squeeze(-1).int()
