"""Accumulation over frames: shifted small pictures become one large picture.

Every large pixel keeps its colour and a *weight*, how much that colour is worth. A small picture
that is shifted by one of the r x r phases of an integer ratio r samples every r-th large pixel
exactly; such a sample outweighs whatever was there. So a camera at rest sees the very picture that
is rendered without upscaling, after r^2 frames. While something moves, the past is followed by the
depth and the two cameras, and forgotten where another surface was seen.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

from splatkit.core import Cameras
from splatkit.enhance import native
from splatkit.enhance.cuda_kernels import kernels_for
from splatkit.enhance.small import Placing, SmallView
from splatkit.enhance.spatial import bilinear, cells, plain_hermite
from splatkit.render import Rendered

PHASES = {
    2: ((0, 0), (1, 1), (1, 0), (0, 1)),
    3: ((1, 1), (0, 0), (2, 2), (0, 2), (2, 0), (1, 0), (1, 2), (0, 1), (2, 1)),
}
"""Order in which the large pixels of a small one are sampled, neighbours far apart in time."""
MOST_WEIGHT = 0.28
"""Of the past while something moves, at a ratio of 3; see ``weight_in_motion``."""
LEAST_WEIGHT = 0.005
"""A past of less weight is not looked at."""
DECAY = 0.9
"""Of the past's weight a frame in motion."""
COLOR_TOLERANCE = 0.1
"""Difference of colour at which the past counts half while something moves."""
SAMPLE_WEIGHT, SAMPLE_REACH = 1e6, 0.06
DEPTH_TOLERANCE, ALPHA_TOLERANCE, DETAIL_TOLERANCE = 0.02, 0.1, 0.01
"""As in ``cuda/include/splatkit/upscale.h``."""


def phase(ratio: int, index: int) -> tuple[float, float]:
    """Shift of the ``index``-th picture at rest, small pixels: it samples large pixels exactly."""
    x, y = PHASES[ratio][index % ratio**2]
    return (x + 0.5) / ratio - 0.5, (y + 0.5) / ratio - 0.5


def weight_in_motion(ratio: float) -> float:
    """The most that the past may weigh while something moves.

    What is reconstructed from one small picture errs with the fourth power of the distance between
    samples, what was followed by the mean depth of soft splats errs by about the same at any
    ratio: measured on trained scenes, the past helps near a ratio of 3 and harms at 2.
    """
    return MOST_WEIGHT * (0.5 * (ratio - 1)) ** 4


@dataclass(frozen=True)
class Past:
    """What earlier frames left."""

    rgb: Tensor
    """[H,W,3]"""
    weight: Tensor
    """[H,W]"""
    inverse_depth: Tensor
    """[h,w] of the last small picture."""
    alpha: Tensor
    """[h,w]"""
    placing: Placing
    camera: Cameras
    """Of the large picture."""
    version: Hashable
    """Of the scene."""

    def is_of(self, camera: Cameras, version: Hashable) -> bool:
        """Whether it is a past of this picture: of the same size and the same scene."""
        size = (self.camera.width, self.camera.height)
        return size == (camera.width, camera.height) and self.version == version

    def rests(self, camera: Cameras) -> bool:
        """Whether the camera has not moved."""
        return torch.equal(self.camera.viewmats, camera.viewmats) and torch.equal(
            self.camera.Ks, camera.Ks
        )


def motion(camera: Cameras, past: Cameras) -> list[float]:
    """[12] the 3x4 matrix from (x, y, 1, 1 / z) now to (x, y, 1) z' / z in the past, by rows.

    Args:
        camera: one camera, now; x, y in pixels, z in its frame.
        past: where the same static scene was seen from.
    """
    now, then = camera.viewmats[0].double().cpu(), past.viewmats[0].double().cpu()
    K, past_K = camera.Ks[0].double().cpu(), past.Ks[0].double().cpu()
    then_from_now = then @ torch.linalg.inv(now)
    matrix = torch.cat(
        (past_K @ then_from_now[:3, :3] @ torch.linalg.inv(K), past_K @ then_from_now[:3, 3:]), 1
    )
    return matrix.flatten().tolist()


def accumulate(
    rendered: Rendered,
    view: SmallView,
    camera: Cameras,
    past: Past | None,
    version: Hashable,
    temporal_weight: float = 1.0,
) -> Past:
    """Reconstruct the large picture from a small one and the past.

    Args:
        rendered: the small picture with gradient, inverse depth and alpha.
        view: where it was seen from.
        camera: of the large picture.
        past: of the same size and scene, or None.
        version: of the scene.
        temporal_weight: share of ``weight_in_motion`` that the past may have in motion.

    Returns:
        What the next frame's past is; its ``rgb`` is the picture.
    """
    assert rendered.inverse_depth is not None
    small = [
        image[0].detach().contiguous()
        for image in (
            rendered.rgb,
            rendered.rgb_dx,
            rendered.rgb_dy,
            rendered.inverse_depth,
            rendered.alpha,
        )
        if image is not None
    ]
    resting = past is not None and past.rests(camera)
    most = weight_in_motion(view.ratio) * temporal_weight
    # A picture of one pixel has no cells between samples that a past could be read from.
    if not resting and (most < LEAST_WEIGHT or min(view.width, view.height) < 2):
        past = None
    moved = motion(camera, past.camera if past else camera)
    rgb = small[0].new_empty(view.height, view.width, 3)
    weight = small[0].new_empty(view.height, view.width)
    before = past and (past.rgb, past.weight, past.inverse_depth, past.alpha, past.placing)
    kernels = kernels_for(small[0])
    if kernels is not None:
        weights = most, DECAY, COLOR_TOLERANCE
        kernels.history(small, view.placing, before, moved, resting, weights, rgb, weight)
    elif small[0].device.type == "cpu" and small[0].dtype == torch.float32:
        native.upscale_history(
            *small[:3], view.placing, *small[3:], before, moved, resting,
            most, DECAY, COLOR_TOLERANCE, rgb, weight,
        )  # fmt: skip
    else:
        rgb, weight = plain_history(small, view, past, moved, resting, most)
    return Past(rgb, weight, small[3], small[4], view.placing, camera, version)


def plain_history(
    small: list[Tensor],
    view: SmallView,
    past: Past | None,
    moved: list[float],
    resting: bool,
    most_weight: float,
) -> tuple[Tensor, Tensor]:
    """The kernels' work in plain torch, on any device: picture [H,W,3] and weight [H,W].

    Args:
        small: rgb, its derivatives, inverse depth and alpha of the small picture.
        view: where it was seen from.
        past: what earlier frames left, or None.
        moved: see ``motion``.
        resting: nothing has moved; the past is taken as it is.
        most_weight: that the past may have while something moves.
    """
    rgb, dx, dy, inverse_depth, alpha = small
    width, height, placing = view.width, view.height, view.placing
    color = plain_hermite(rgb, dx, dy, placing, width, height)
    _, tx = cells(width, placing[0], placing[1], rgb.shape[1], rgb)
    _, ty = cells(height, placing[0], placing[2], rgb.shape[0], rgb)
    off_x, off_y = torch.minimum(tx, 1 - tx), torch.minimum(ty, 1 - ty)
    ratio = (off_x.square()[None, :] + off_y.square()[:, None]) / SAMPLE_REACH
    own = 1 / (ratio.square() + 1 / SAMPLE_WEIGHT)
    if past is None:
        return color, own
    if resting:
        past_color, past_weight = past.rgb, past.weight
    else:
        depths, alphas = (bilinear(m, placing, width, height) for m in (inverse_depth, alpha))
        past_color, past_weight = follow(past, moved, depths, alphas, most_weight)
        square = (past_color - color).square().sum(-1)
        detail = (color - bilinear(rgb, placing, width, height)).square().sum(-1)
        past_weight = past_weight / (1 + square / COLOR_TOLERANCE**2)
        past_weight = past_weight * detail / (detail + DETAIL_TOLERANCE**2)
    total = own + past_weight
    return torch.lerp(color, past_color, (past_weight / total)[..., None]), total


def follow(
    past: Past, moved: list[float], inverse_depth: Tensor, alpha: Tensor, most_weight: float
) -> tuple[Tensor, Tensor]:
    """The past's colour [H,W,3] and weight [H,W] where each pixel's surface was.

    The weight is 0 where the surface was hidden, or outside the picture.
    """
    height, width = alpha.shape
    m = alpha.new_tensor(moved).view(3, 4)
    y, x = torch.meshgrid(
        torch.arange(height, device=alpha.device) + 0.5,
        torch.arange(width, device=alpha.device) + 0.5,
        indexing="ij",
    )
    place = torch.stack((x, y, torch.ones_like(x), inverse_depth), -1) @ m.T
    ratio = 1 / place[..., 2]
    past_x, past_y = place[..., 0] * ratio, place[..., 1] * ratio
    valid = (ratio > 0) & (past_x >= 0.5) & (past_x <= width - 0.5)
    valid &= (past_y >= 0.5) & (past_y <= height - 0.5)
    past_x = torch.where(valid, past_x, 0.5)
    past_y = torch.where(valid, past_y, 0.5)
    step, origin_x, origin_y = past.placing
    small_x, small_y = past_x * step - origin_x, past_y * step - origin_y
    seen, expected = _sampled(past.inverse_depth, small_x, small_y), inverse_depth * ratio
    valid &= (seen - expected).abs() <= torch.maximum(seen, expected) * DEPTH_TOLERANCE
    valid &= (_sampled(past.alpha, small_x, small_y) - alpha).abs() <= ALPHA_TOLERANCE
    weight = _sampled(past.weight, past_x - 0.5, past_y - 0.5) * DECAY
    color = _catmull_rom(past.rgb, past_x - 0.5, past_y - 0.5)
    return color, torch.where(valid, weight.clamp_max(most_weight), 0)


def _cell(place: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    first = place.floor().clamp(0, samples - 2)
    return first.long(), place - first


def _sampled(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """A map [h,w] at places [H,W], linear."""
    (i, tx), (j, ty) = _cell(x, image.shape[1]), _cell(y, image.shape[0])
    above = torch.lerp(image[j, i], image[j, i + 1], tx)
    return torch.lerp(above, torch.lerp(image[j + 1, i], image[j + 1, i + 1], tx), ty)


def _catmull_rom(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """An image [H,W,3] at places [H,W], by cubic splines."""
    (i, tx), (j, ty) = _cell(x, image.shape[1]), _cell(y, image.shape[0])
    total = torch.zeros_like(image)
    for row, weight_y in zip(range(-1, 3), _spline_weights(ty), strict=True):
        for column, weight_x in zip(range(-1, 3), _spline_weights(tx), strict=True):
            pixels = image[
                (j + row).clamp(0, image.shape[0] - 1), (i + column).clamp(0, image.shape[1] - 1)
            ]
            total = total + pixels * (weight_x * weight_y)[..., None]
    return total


def _spline_weights(t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    s = 1 - t
    slope0, slope1 = t * s * s, -s * t * t
    value0, value1 = (1 + 2 * t) * s * s, (1 + 2 * s) * t * t
    return -0.5 * slope0, value0 - 0.5 * slope1, value1 + 0.5 * slope0, 0.5 * slope1
