"""Tangents of textured triangles: where u grows along the surface, as normal maps need it.

A *tangent* is a unit vector in the plane of the vertex normal, and a sign: the bitangent, where the
picture's second axis points upwards as glTF and its normal maps have it, is the sign times
cross(normal, tangent).
"""

from __future__ import annotations

import torch
from torch import Tensor

from splatkit.core.errors import SplatkitError
from splatkit.core.triangles import Triangles


def vertex_tangents(triangles: Triangles) -> Tensor:
    """[V,4] float: the tangent of each vertex, and its sign (1 or -1).

    Triangles around a vertex count by their area; a vertex without a direction on the texture gets
    any tangent that is perpendicular to its normal.

    Raises:
        SplatkitError: there is no texture to follow.
    """
    if triangles.uvs is None:
        raise SplatkitError("tangents: expected triangles with a texture, got some without")
    faces = triangles.faces.long()
    a, b, c = triangles.corners.unbind(1)
    p, q, r = triangles.uvs[faces].unbind(1)
    (u1, v1), (u2, v2) = (q - p).unbind(-1), (r - p).unbind(-1)
    turn = (u1 * v2 - u2 * v1).sign()[:, None]
    # Directions of growing u and of falling v (upwards in the picture), as long as areas are large.
    across = turn * ((b - a) * v2[:, None] - (c - a) * v1[:, None])
    upwards = turn * ((b - a) * u2[:, None] - (c - a) * u1[:, None])
    area = triangles.areas[:, None]
    sums = [torch.zeros_like(triangles.vertices) for _ in range(2)]
    for total, direction in zip(sums, (across, upwards), strict=True):
        weighted = torch.nn.functional.normalize(direction, dim=-1) * area
        for corner in range(3):
            total.index_add_(0, faces[:, corner], weighted)
    normal = unit_normals(triangles)
    along = sums[0] - normal * (normal * sums[0]).sum(-1, keepdim=True)
    lost = along.norm(dim=-1) <= 1e-6 * sums[0].norm(dim=-1).clamp_min(1e-12)
    tangent = torch.nn.functional.normalize(along, dim=-1)
    tangent = torch.where(lost[:, None], _any_perpendicular(normal), tangent)
    side = (torch.linalg.cross(normal, tangent, dim=-1) * sums[1]).sum(-1, keepdim=True)
    return torch.cat((tangent, torch.where(side < 0, -1.0, 1.0).to(tangent)), -1)


def unit_normals(triangles: Triangles) -> Tensor:
    """[V,3] unit normals, the same for all vertices of one place; up where there is no area.

    Vertices are doubled along the seams of a texture; the surface does not break there.
    """
    places, same = triangles.vertices.unique(dim=0, return_inverse=True)
    normals = Triangles(places, same[triangles.faces.long()].int()).vertex_normals[same]
    up = torch.tensor([0.0, -1.0, 0.0]).to(normals)
    return torch.where((normals == 0).all(-1, keepdim=True), up, normals)


def _any_perpendicular(normal: Tensor) -> Tensor:
    """[V,3] a unit vector perpendicular to each."""
    axis = torch.nn.functional.one_hot(normal.abs().argmin(-1), 3).to(normal)
    return torch.nn.functional.normalize(torch.linalg.cross(normal, axis, dim=-1), dim=-1)
