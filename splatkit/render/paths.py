"""Camera paths through a scene: tensors in, ``Cameras`` out.

The *focus* of a set of cameras is the point nearest to all their optical axes. *Azimuth* is the
angle about the vertical axis through the focus; the world is RDF, so up is -y.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians, UsageError, check
from splatkit.core.bulk import bulk
from splatkit.core.transforms import look_at, quat_from_rotation, rotation_from_quat

UP = (0.0, -1.0, 0.0)
FULL_CIRCLE_GAP = math.radians(120)
"""Cameras with a wider gap than this between neighbouring azimuths did not go all around."""
SWING_SHARE = 0.85
"""How much of the range of azimuths is used: its ends show what few views have seen."""
AZIMUTH_SMOOTHING = math.radians(25)
"""Width of the kernel that averages the captured elevation and distance along an orbit."""
DEFAULT_FOV = math.radians(50)
"""Vertical field of view where no camera gives one, radians."""
DEFAULT_ELEVATION = math.radians(20)


def orbit(cameras: Cameras, frames: int, width: int, height: int) -> Cameras:
    """A closed path around the focus, at the elevation and distance of the captured views.

    Where the captured views go all around, so does the path; else it swings to and fro inside
    the range of their azimuths, so that it shows only what was seen. Views that look away from
    their focus (a room taken from its middle) are joined by ``captured`` instead.

    Args:
        cameras: C captured views, at least 1.
        frames: number of views, at least 1.
        width: pixels.
        height: pixels.

    Returns:
        ``frames`` float64 cameras with the median field of view of ``cameras``.
    """
    _check_path(cameras, frames)
    focus = focus_of(cameras)
    offsets = cameras.positions.double() - focus
    forward = cameras.viewmats[:, 2, :3].double()
    if len(cameras) < 3 or float(((-offsets * forward).sum(-1) > 0).double().mean()) < 0.5:
        return captured(cameras, frames, width, height)
    distance = offsets.norm(dim=-1).clamp_min(1e-9)
    elevation = torch.asin((-offsets[:, 1] / distance).clamp(-1, 1))
    azimuth = torch.atan2(offsets[:, 0], offsets[:, 2])
    along = _azimuths(azimuth, frames)
    away = (along[:, None] - azimuth + math.pi).remainder(2 * math.pi) - math.pi
    weights = torch.softmax(-0.5 * (away / AZIMUTH_SMOOTHING).square(), dim=-1)
    eyes = focus + _from_spherical(along, weights @ elevation, (weights @ distance.log()).exp())
    return _facing(eyes, focus, _intrinsics_like(cameras, width, height, frames), width, height)


def captured(cameras: Cameras, frames: int, width: int, height: int) -> Cameras:
    """A smooth path through the captured views, at even speed.

    The views are joined in their own order where that is a walk, else from neighbour to
    neighbour. Positions follow a centripetal Catmull-Rom spline; rotations are interpolated
    between the same views.

    Args and returns: as for ``orbit``.
    """
    _check_path(cameras, frames)
    views = cameras[_walking_order(cameras.positions.double())]
    positions = views.positions.double()
    quats = aligned(quat_from_rotation(views.viewmats[:, :3, :3].double().mT))
    count = len(views)
    if count == 1:
        place = torch.zeros(frames, dtype=torch.float64)
    else:
        fine = torch.linspace(0, count - 1, 64 * (count - 1) + 1, dtype=torch.float64)
        curve = catmull_rom(positions, fine)
        steps = (curve[1:] - curve[:-1]).norm(dim=-1)
        # Views taken from one spot still take their time: rotation counts as way, too.
        rotations = rotation_spline(quats, fine)
        turns = (rotations[1:] - rotations[:-1]).norm(dim=-1)
        length = steps / steps.sum().clamp_min(1e-12) + turns / turns.sum().clamp_min(1e-12)
        way = torch.cat((length.new_zeros(1), length.cumsum(0)))
        place = interpolate(torch.linspace(0, float(way[-1]), frames).double(), way, fine)
    eyes = catmull_rom(positions, place)
    rotations = rotation_from_quat(rotation_spline(quats, place)).mT
    viewmats = torch.eye(4, dtype=torch.float64).repeat(frames, 1, 1)
    viewmats[:, :3, :3] = rotations
    viewmats[:, :3, 3] = -(rotations @ eyes[..., None]).squeeze(-1)
    return Cameras(viewmats, _intrinsics_like(views, width, height, frames), width, height)


def circle(gaussians: Gaussians, frames: int, width: int, height: int) -> Cameras:
    """A circle around a scene that comes without cameras, slightly from above."""
    focus, radius = bulk(gaussians)
    focal = 0.5 * height / math.tan(0.5 * DEFAULT_FOV)
    along = torch.arange(frames, dtype=torch.float64) * (2 * math.pi / frames)
    distance = radius / math.sin(0.5 * DEFAULT_FOV)
    ones = torch.ones_like(along)
    eyes = focus + _from_spherical(along, DEFAULT_ELEVATION * ones, distance * ones)
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]).double()
    return _facing(eyes, focus, K.repeat(frames, 1, 1), width, height)


def focus_of(cameras: Cameras) -> Tensor:
    """[3] float64 point nearest to all optical axes (least squares), world frame."""
    forward = torch.nn.functional.normalize(cameras.viewmats[:, 2, :3].double(), dim=-1)
    centers = cameras.positions.double()
    across = torch.eye(3, dtype=torch.float64) - forward[:, :, None] * forward[:, None, :]
    spread = (centers - centers.mean(0)).norm(dim=-1).mean().clamp_min(1e-6)
    # Nearly parallel axes meet anywhere: a weak pull keeps the point a few baselines away.
    guess = centers + 3 * spread * forward
    pull = 1e-3 * torch.eye(3, dtype=torch.float64)
    lhs = (across + pull).sum(0)
    rhs = (across @ centers[..., None] + (pull @ guess[..., None])).sum(0)
    return torch.linalg.solve(lhs, rhs).squeeze(-1)


def _check_path(cameras: Cameras, frames: int) -> None:
    check(viewmats=(cameras.viewmats, "C 4 4"))
    if len(cameras) < 1 or frames < 1:
        raise UsageError(
            f"path: expected at least one camera and one frame, got {len(cameras)} and {frames}"
        )


def _azimuths(captured: Tensor, frames: int) -> Tensor:
    """[frames] azimuths of a closed path inside the captured ones, radians."""
    ordered = captured.sort().values
    gaps = torch.cat((ordered[1:] - ordered[:-1], ordered[:1] + 2 * math.pi - ordered[-1:]))
    widest = int(gaps.argmax())
    phase = torch.arange(frames, dtype=torch.float64) * (2 * math.pi / frames)
    start = ordered[(widest + 1) % len(ordered)]
    if float(gaps[widest]) <= FULL_CIRCLE_GAP:
        return start + phase
    half = 0.5 * (2 * math.pi - gaps[widest])
    return start + half + SWING_SHARE * half * torch.sin(phase)


def _from_spherical(azimuth: Tensor, elevation: Tensor, distance: Tensor) -> Tensor:
    """[..., 3] offsets from the focus; azimuth 0 is +z, elevation is towards -y."""
    flat = distance * elevation.cos()
    return torch.stack(
        (flat * azimuth.sin(), -distance * elevation.sin(), flat * azimuth.cos()), -1
    )


def _facing(eyes: Tensor, focus: Tensor, Ks: Tensor, width: int, height: int) -> Cameras:
    up = torch.tensor(UP, dtype=torch.float64).expand_as(eyes)
    return Cameras(look_at(eyes, focus.expand_as(eyes), up), Ks, width, height)


def _intrinsics_like(cameras: Cameras, width: int, height: int, frames: int) -> Tensor:
    """[frames,3,3] centred intrinsics that show at least the captured view, square pixels."""
    focal_x = cameras.Ks[:, 0, 0].double().median() / cameras.width * width
    focal_y = cameras.Ks[:, 1, 1].double().median() / cameras.height * height
    # The longer focal length fills the picture with what was captured: no unseen border.
    focal = float(torch.maximum(focal_x, focal_y))
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]).double()
    return K.repeat(frames, 1, 1)


def _walking_order(positions: Tensor) -> Tensor:
    """[C] order of views: their own, unless going from neighbour to neighbour is far shorter."""
    count = len(positions)
    distances = torch.cdist(positions, positions)
    own = torch.arange(count)
    # Start at the end of the longest extent, where a walk most likely started.
    current = int((positions - positions.mean(0)).norm(dim=-1).argmax())
    left = set(range(count)) - {current}
    order = [current]
    while left:
        current = min(left, key=lambda other: float(distances[current, other]))
        left.remove(current)
        order.append(current)
    near = torch.tensor(order)

    def length(path: Tensor) -> float:
        return float(distances[path[:-1], path[1:]].sum())

    return own if length(own) <= 1.5 * length(near) else near


def aligned(quats: Tensor) -> Tensor:
    """The same rotations with signs such that neighbours are on one half of the sphere."""
    dots = (quats[1:] * quats[:-1]).sum(-1)
    signs = torch.where(dots < 0, -1.0, 1.0).to(quats.dtype).cumprod(0)
    return torch.cat((quats[:1], quats[1:] * signs[:, None]))


def rotation_spline(quats: Tensor, place: Tensor) -> Tensor:
    """[P,4] unit quaternions at fractional positions of a sign-aligned sequence."""
    return torch.nn.functional.normalize(catmull_rom(quats, place), dim=-1)


def catmull_rom(points: Tensor, place: Tensor) -> Tensor:
    """[P,D] centripetal Catmull-Rom spline at fractional positions (Barry and Goldman 1988)."""
    count = len(points)
    if count == 1:
        return points.expand(len(place), -1)
    padded = torch.cat((2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]))
    knots = (padded[1:] - padded[:-1]).norm(dim=-1).sqrt().clamp_min(1e-6).cumsum(0)
    knots = torch.cat((knots.new_zeros(1), knots))[:, None]
    i = place.floor().clamp(0, count - 2).long()
    t0, t1, t2, t3 = (knots[i + k] for k in range(4))
    p0, p1, p2, p3 = (padded[i + k] for k in range(4))
    t = t1 + (place - i)[:, None] * (t2 - t1)
    a1 = ((t1 - t) * p0 + (t - t0) * p1) / (t1 - t0)
    a2 = ((t2 - t) * p1 + (t - t1) * p2) / (t2 - t1)
    a3 = ((t3 - t) * p2 + (t - t2) * p3) / (t3 - t2)
    b1 = ((t2 - t) * a1 + (t - t0) * a2) / (t2 - t0)
    b2 = ((t3 - t) * a2 + (t - t1) * a3) / (t3 - t1)
    return ((t2 - t) * b1 + (t - t1) * b2) / (t2 - t1)


def interpolate(x: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    """Piecewise linear function through (xs, ys), xs rising."""
    right = torch.searchsorted(xs, x).clamp(1, len(xs) - 1)
    x0, x1 = xs[right - 1], xs[right]
    share = ((x - x0) / (x1 - x0).clamp_min(1e-12)).clamp(0, 1)
    return ys[right - 1] + share * (ys[right] - ys[right - 1])
