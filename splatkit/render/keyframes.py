"""A walk through chosen views: from one keyframe to the next on a smooth curve."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from splatkit.core import Cameras, UsageError, check
from splatkit.core.transforms import quat_from_rotation, rotation_from_quat
from splatkit.render.paths import aligned, catmull_rom, interpolate, rotation_spline

MOST_FRAMES = 100_000


def through(
    keyframes: Cameras,
    frames: int,
    width: int,
    height: int,
    loop: bool = False,
    even: bool = False,
) -> Cameras:
    """A path that passes through every keyframe, in their order.

    Positions follow a centripetal Catmull-Rom spline, rotations and the logarithm of the focal
    length are interpolated between the same keyframes.

    Args:
        keyframes: C views, at least 1; of their Ks the focal length counts.
        frames: number of views, at least 1.
        width: pixels.
        height: pixels; the vertical field of view is that of the keyframes.
        loop: go on from the last keyframe to the first; the path then ends one frame before it
            would begin again.
        even: at even speed; else every section takes the same time.

    Returns:
        ``frames`` float64 cameras.
    """
    check(viewmats=(keyframes.viewmats, "C 4 4"))
    if len(keyframes) < 1 or not 1 <= frames <= MOST_FRAMES:
        raise UsageError(
            f"path: expected a keyframe or more and 1 to {MOST_FRAMES} frames, got "
            f"{len(keyframes)} and {frames}"
        )
    count = len(keyframes)
    positions = keyframes.positions.double()
    rotations = keyframes.viewmats[:, :3, :3].double().mT
    focals = (keyframes.Ks[:, 1, 1].double() / keyframes.height).log()[:, None]
    order = torch.arange(count)
    if loop and count > 1:
        # One more keyframe before and two behind: the curve is smooth where it closes.
        order = torch.cat((order[-1:], order, order[:2]))
    first, last = (1, count + 1) if loop and count > 1 else (0, count - 1)
    quats = aligned(quat_from_rotation(rotations[order]))
    place = _places(positions[order], first, last, frames, closed=loop, even=even)
    eyes = catmull_rom(positions[order], place)
    turned = rotation_from_quat(rotation_spline(quats, place)).mT
    viewmats = torch.eye(4, dtype=torch.float64).repeat(frames, 1, 1)
    viewmats[:, :3, :3] = turned
    viewmats[:, :3, 3] = -(turned @ eyes[..., None]).squeeze(-1)
    focal = catmull_rom(focals[order], place)[:, 0].exp() * height
    Ks = torch.eye(3, dtype=torch.float64).repeat(frames, 1, 1)
    Ks[:, 0, 0] = Ks[:, 1, 1] = focal
    Ks[:, 0, 2], Ks[:, 1, 2] = width / 2, height / 2
    return Cameras(viewmats, Ks, width, height)


def keyframe(viewmat: Tensor, fov: float, width: int = 16, height: int = 9) -> Cameras:
    """One view as a keyframe.

    Args:
        viewmat: [4,4] camera_from_world.
        fov: vertical field of view, radians.
        width: of a picture that it belongs to, pixels.
        height: pixels.
    """
    focal = 0.5 * height / math.tan(0.5 * fov)
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    return Cameras(viewmat.double()[None], K.double()[None], width, height)


def _places(
    points: Tensor, first: int, last: int, frames: int, *, closed: bool, even: bool
) -> Tensor:
    """[frames] positions along the sequence, from ``first`` to ``last``."""
    steps = frames if closed else max(frames - 1, 1)
    share = torch.arange(frames, dtype=torch.float64) / steps
    if not even or last == first:
        return first + share * (last - first)
    fine = torch.linspace(first, last, 64 * (last - first) + 1, dtype=torch.float64)
    lengths = catmull_rom(points, fine).diff(dim=0).norm(dim=1)
    # Keyframes at one spot still take their time to turn.
    lengths = lengths + 0.02 * lengths.mean().clamp_min(1e-9)
    way = torch.cat((lengths.new_zeros(1), lengths.cumsum(0)))
    return interpolate(share * way[-1], way, fine)
