"""Which Gaussians are meant: by place, by colour, opacity or size, or by a brush on a picture.

Every function returns a mask [N] bool on the Gaussians' device; ``combine`` puts two together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians, UsageError
from splatkit.core.sh import rgb_from_sh
from splatkit.core.transforms import rotation_from_quat
from splatkit.render import render

COMBINATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "new": lambda _, new: new,
    "add": lambda old, new: old | new,
    "remove": lambda old, new: old & ~new,
    "both": lambda old, new: old & new,
}
"""How a selection changes the one before: replaces it, adds, takes away, keeps what is in both."""
SURFACE_LAYERS = 4
"""Gaussians of a pixel that count as its surface: those of largest blend weight."""
_BRUSH_CHUNK = 64
"""Points of a stroke that are compared with all Gaussians at once."""


def combine(old: Tensor, new: Tensor, how: str) -> Tensor:
    """[N] bool of two masks, see ``COMBINATIONS``.

    Raises:
        UsageError: there is no such combination.
    """
    if how not in COMBINATIONS:
        raise UsageError(f"selection: expected one of {', '.join(COMBINATIONS)}, got {how!r}")
    return COMBINATIONS[how](old, new)


def in_box(
    gaussians: Gaussians,
    low: Sequence[float],
    high: Sequence[float],
    wxyz: Sequence[float] = (1.0, 0.0, 0.0, 0.0),
    position: Sequence[float] = (0.0, 0.0, 0.0),
) -> Tensor:
    """Centres inside a box, its faces included.

    Args:
        gaussians: N.
        low: [3] smallest x y z, in the box's own axes, world units.
        high: [3] largest x y z.
        wxyz: rotation world_from_box.
        position: [3] origin of the box's axes, world frame.
    """
    means = gaussians.means
    turn = rotation_from_quat(means.new_tensor(wxyz))
    own = (means - means.new_tensor(position)) @ turn
    return ((own >= own.new_tensor(low)) & (own <= own.new_tensor(high))).all(1)


def in_sphere(gaussians: Gaussians, center: Sequence[float], radius: float) -> Tensor:
    """Centres inside a sphere, world frame and units."""
    return (gaussians.means - gaussians.means.new_tensor(center)).norm(dim=1) <= radius


def in_crop(gaussians: Gaussians, crop: Sequence[float]) -> Tensor:
    """Centres inside what people give as numbers.

    Args:
        gaussians: N.
        crop: 6 numbers (low x y z, high x y z of a box) or 4 (x y z and radius of a sphere), in
            the world frame.
    """
    if len(crop) == 4:
        return in_sphere(gaussians, crop[:3], crop[3])
    return in_box(gaussians, crop[:3], crop[3:])


def check_crop(option: str, crop: Sequence[float]) -> None:
    """Refuse numbers that are no box and no sphere, see ``in_crop``.

    Raises:
        UsageError: they are not; the message begins with the option's name.
    """
    if not all(map(math.isfinite, crop)):
        raise UsageError(f"{option}: expected finite numbers, got {list(crop)}")
    if len(crop) not in (4, 6):
        raise UsageError(
            f"{option}: expected 6 numbers (low x y z, high x y z of a box) or 4 (x y z and radius "
            f"of a sphere), got {list(crop)}"
        )
    if len(crop) == 4 and crop[3] <= 0:
        raise UsageError(f"{option}: expected a radius above 0, got {crop[3]}")
    if len(crop) == 6 and not all(a < b for a, b in zip(crop[:3], crop[3:], strict=True)):
        raise UsageError(
            f"{option}: expected low x y z below high x y z, got {list(crop[:3])} and "
            f"{list(crop[3:])}"
        )


def by_opacity(gaussians: Gaussians, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Opacities from ``low`` to ``high``."""
    opacities = gaussians.opacities.detach()
    return (opacities >= low) & (opacities <= high)


def by_size(gaussians: Gaussians, low: float = 0.0, high: float = float("inf")) -> Tensor:
    """Largest standard deviations from ``low`` to ``high``, world units."""
    sizes = gaussians.scales.detach().max(1).values
    return (sizes >= low) & (sizes <= high)


def by_color(gaussians: Gaussians, color: Sequence[float], tolerance: float) -> Tensor:
    """Colours (without what depends on the view) near one.

    Args:
        gaussians: N.
        color: sRGB 0..1.
        tolerance: largest distance in sRGB, 0 to sqrt(3).
    """
    own = rgb_from_sh(gaussians.sh.detach()[:, 0]).clamp(0, 1)
    return (own - own.new_tensor(color)).norm(dim=1) <= tolerance


def on_screen(gaussians: Gaussians, camera: Cameras) -> tuple[Tensor, Tensor]:
    """Where centres appear in a picture.

    Args:
        gaussians: N.
        camera: the first one counts.

    Returns:
        Pixels [N,2] and camera z [N], world units; pixels mean nothing where z is not above 0.
    """
    means = gaussians.means.detach()
    viewmat, K = camera.viewmats[0].to(means), camera.Ks[0].to(means)
    own = means @ viewmat[:3, :3].mT + viewmat[:3, 3]
    pixels = (own @ K.mT)[:, :2] / own[:, 2:].clamp_min(1e-9)
    return pixels, own[:, 2]


def in_rectangle(
    gaussians: Gaussians, camera: Cameras, corner: Sequence[float], other: Sequence[float]
) -> Tensor:
    """Centres that appear inside a rectangle of a picture, however deep.

    Args:
        gaussians: N.
        camera: one camera.
        corner: x, y of a corner, pixels.
        other: x, y of the opposite one.
    """
    pixels, depth = on_screen(gaussians, camera)
    ends = pixels.new_tensor([list(corner), list(other)])
    low, high = ends.min(0).values, ends.max(0).values
    return (depth > 0) & ((pixels >= low) & (pixels <= high)).all(1)


def under_brush(gaussians: Gaussians, camera: Cameras, stroke: Tensor, radius: float) -> Tensor:
    """Centres that appear within a radius of a stroke's points, however deep.

    Args:
        gaussians: N.
        camera: one camera.
        stroke: [P,2] pixels.
        radius: pixels.
    """
    pixels, depth = on_screen(gaussians, camera)
    found = torch.zeros(len(gaussians), dtype=torch.bool, device=pixels.device)
    for part in stroke.to(pixels).split(_BRUSH_CHUNK):
        found |= (torch.cdist(pixels, part) <= radius).any(1)
    return found & (depth > 0)


def shown(gaussians: Gaussians, camera: Cameras, backend: str = "auto") -> Tensor:
    """Gaussians that make up the surface of a picture: a few of each pixel, see SURFACE_LAYERS."""
    with torch.no_grad():
        picture = render(
            gaussians.detach(),
            camera.to(gaussians.means.dtype),
            outputs=("top_k",),
            top_k=SURFACE_LAYERS,
            backend=backend,
        )
    assert picture.top_ids is not None
    ids = picture.top_ids.flatten().long().unique()
    found = torch.zeros(len(gaussians), dtype=torch.bool, device=gaussians.device)
    found[ids[ids >= 0]] = True
    return found


def point_under(
    gaussians: Gaussians, camera: Cameras, pixel: Sequence[float], backend: str = "auto"
) -> Tensor | None:
    """[3] world point of the surface that a pixel of a picture shows; None where it is empty."""
    with torch.no_grad():
        picture = render(
            gaussians.detach(),
            camera.to(gaussians.means.dtype),
            outputs=("depth_median", "depth"),
            backend=backend,
        )
    assert picture.depth is not None
    assert picture.depth_median is not None
    column = min(max(int(pixel[0]), 0), camera.width - 1)
    row = min(max(int(pixel[1]), 0), camera.height - 1)
    depth = float(picture.depth_median[0, row, column]) or float(picture.depth[0, row, column])
    if depth <= 0:
        return None
    ray = torch.linalg.solve(
        camera.Ks[0].double(), torch.tensor([pixel[0], pixel[1], 1.0]).double()
    )
    world_from_camera = torch.linalg.inv(camera.viewmats[0].double())
    return world_from_camera[:3, :3] @ (ray * depth) + world_from_camera[:3, 3]
