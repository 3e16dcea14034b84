"""Scenes made up for training: textured walls, boxes and balls of flat splats, and loose ones.

They have what trained scenes have: splats of all sizes, stretched along what they cover, mostly
opaque, fine texture beside plain colour, depth edges and haze.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians, intrinsics
from splatkit.core.sh import sh_from_rgb
from splatkit.core.transforms import look_at, quat_from_rotation

SURFACES = 9
SPLATS = 60_000
LOOSE = 0.03
"""Share of splats that lie on no surface."""


def made_up_scene(seed: int) -> Gaussians:
    """A scene of about radius 1.5 around the origin; the same seed gives the same scene."""
    g = torch.Generator().manual_seed(seed)
    parts = [_surface(SPLATS // SURFACES, g) for _ in range(SURFACES)]
    means = torch.cat([part[0] for part in parts])
    rotations = torch.cat([part[1] for part in parts])
    colors = torch.cat([_texture(part[2], g) for part in parts])
    count = len(means)
    loose = torch.rand(count, generator=g) < LOOSE
    means = torch.where(loose[:, None], torch.randn(count, 3, generator=g), means)
    size = torch.randn(count, 1, generator=g) * 0.7 - 5.0
    log_scales = size + torch.randn(count, 3, generator=g) * 0.6
    # Flat on its surface; loose ones are not.
    log_scales[:, 2] -= 1.5 * ~loose
    opacities = torch.randn(count, generator=g) * 2 + 2
    return Gaussians(
        means=means,
        quats=quat_from_rotation(rotations),
        log_scales=log_scales,
        logit_opacities=opacities,
        sh=sh_from_rgb(colors)[:, None],
    )


def made_up_camera(seed: int, width: int, height: int) -> Cameras:
    """A camera that looks at such a scene from somewhere around it."""
    g = torch.Generator().manual_seed(seed)
    around, above, away = torch.rand(3, generator=g, dtype=torch.float64).tolist()
    angle, distance = 2 * math.pi * around, 2.0 + 3.0 * away
    eye = [distance * math.sin(angle), 0.8 - 1.6 * above, -distance * math.cos(angle)]
    target = torch.randn(1, 3, generator=g, dtype=torch.float64) * 0.4
    up = torch.tensor([[0.0, -1.0, 0.0]], dtype=torch.float64)
    K = intrinsics(1.1 * width, 1.1 * width, width / 2, height / 2).reshape(1, 3, 3)
    viewmats = look_at(torch.tensor([eye], dtype=torch.float64), target, up)
    return Cameras(viewmats, K, width, height).to(torch.float32)


def _surface(count: int, g: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Points [n,3] on a rectangle or a ball, rotations whose z is the normal, and places [n,2]."""
    uv = torch.rand(count, 2, generator=g) * 2 - 1
    frame, _ = torch.linalg.qr(torch.randn(3, 3, generator=g))
    middle, size = torch.randn(3, generator=g) * 0.7, 0.3 + torch.rand(2, generator=g)
    if torch.rand(1, generator=g) < 0.5:
        points = (uv * size) @ frame[:, :2].T + middle
        normals = frame[:, 2].expand(count, 3)
    else:
        normals = torch.nn.functional.normalize(torch.randn(count, 3, generator=g), dim=1)
        points = normals * size[0] * 0.6 + middle
        uv = normals[:, :2]
    other = torch.nn.functional.normalize(torch.randn(count, 3, generator=g), dim=1)
    x = torch.nn.functional.normalize(torch.linalg.cross(other, normals), dim=1)
    rotations = torch.stack((x, torch.linalg.cross(normals, x), normals), -1)
    return points, rotations, uv


def _texture(uv: Tensor, g: torch.Generator) -> Tensor:
    """[n,3] colours: two colours mixed by stripes, checks or waves, and some noise."""
    first, second = torch.rand(2, 3, generator=g)
    frequency = 2 ** (torch.rand(2, generator=g) * 4 + 1)
    waves = torch.sin(uv * frequency + torch.rand(2, generator=g) * 6)
    kind = int(torch.randint(3, (1,), generator=g))
    mixed = (waves[:, 0], (waves[:, 0] * waves[:, 1]).sign(), waves.sum(1).sign())[kind]
    share = (0.5 + 0.5 * mixed)[:, None].clamp(0, 1)
    noise = torch.randn(len(uv), 3, generator=g) * 0.12 * float(torch.rand(1, generator=g))
    return (first + (second - first) * share + noise).clamp(0, 1)
