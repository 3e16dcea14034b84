"""Rotations and similarity transforms; names read right to left (``camera_from_world``)."""

from __future__ import annotations

import torch
from torch import Tensor


def rotation_from_quat(quats: Tensor) -> Tensor:
    """[..., 3, 3] rotation matrices of quaternions wxyz [..., 4] of any non-zero length."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def quat_from_rotation(rotations: Tensor) -> Tensor:
    """[..., 4] unit quaternions wxyz (w >= 0) of rotation matrices [..., 3, 3].

    Takes, per matrix, the largest of the four components as pivot (Shepperd 1978).
    """
    m = rotations
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    squares = torch.stack(
        (1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz), -1
    )
    a = m[..., 2, 1] - m[..., 1, 2]
    b = m[..., 0, 2] - m[..., 2, 0]
    c = m[..., 1, 0] - m[..., 0, 1]
    d = m[..., 0, 1] + m[..., 1, 0]
    e = m[..., 0, 2] + m[..., 2, 0]
    f = m[..., 1, 2] + m[..., 2, 1]
    candidates = torch.stack(
        (
            torch.stack((squares[..., 0], a, b, c), -1),
            torch.stack((a, squares[..., 1], d, e), -1),
            torch.stack((b, d, squares[..., 2], f), -1),
            torch.stack((c, e, f, squares[..., 3]), -1),
        ),
        -2,
    )
    pivot = squares.argmax(-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    quats = torch.nn.functional.normalize(candidates.gather(-2, pivot).squeeze(-2), dim=-1)
    return torch.where(quats[..., :1] < 0, -quats, quats)


def quat_multiply(left: Tensor, right: Tensor) -> Tensor:
    """[..., 4] Hamilton product, wxyz: the rotation ``right`` first, then ``left``."""
    w1, x1, y1, z1 = left.unbind(-1)
    w2, x2, y2, z2 = right.unbind(-1)
    return torch.stack(
        (
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        ),
        -1,
    )


def covariance_from_scale_rotation(scales: Tensor, quats: Tensor) -> Tensor:
    """[..., 3, 3] world covariances R diag(s)^2 R^T of scales [..., 3] and quats [..., 4]."""
    axes = rotation_from_quat(quats) * scales[..., None, :]
    return axes @ axes.mT


def look_at(eye: Tensor, target: Tensor, up: Tensor) -> Tensor:
    """[..., 4, 4] camera_from_world with OpenCV axes of a camera at ``eye`` facing ``target``.

    Args:
        eye: [..., 3] camera centre, world frame.
        target: [..., 3] point on the optical axis, world frame, not equal to ``eye``.
        up: [..., 3] world direction that appears upward in the picture.
    """
    forward = torch.nn.functional.normalize(target - eye, dim=-1)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up, dim=-1), dim=-1)
    down = torch.linalg.cross(forward, right, dim=-1)
    rotation = torch.stack((right, down, forward), -2)
    viewmat = torch.zeros(*eye.shape[:-1], 4, 4, dtype=eye.dtype, device=eye.device)
    viewmat[..., :3, :3] = rotation
    viewmat[..., :3, 3] = -(rotation @ eye[..., None]).squeeze(-1)
    viewmat[..., 3, 3] = 1
    return viewmat
