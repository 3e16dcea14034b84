"""What glTF and OpenUSD share: linear scales and opacities, colour spaces, scenes in a hierarchy.

Both store what a renderer multiplies with, where ``Gaussians`` store logarithms and logits, and
both place their points by a 4x4 matrix.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from splatkit.core import Gaussians, SplatkitError
from splatkit.core.sh import rgb_from_sh, sh_from_rgb
from splatkit.core.sh_rotation import rotate_sh
from splatkit.core.similarity import transformed
from splatkit.core.srgb import srgb_of_linear
from splatkit.core.transforms import quat_from_rotation, rotation_from_quat
from splatkit.io._packing import MIN_LOG_SCALE, Floats
from splatkit.io.ply import OPAQUE_LOGIT

SRGB, LINEAR = "srgb_rec709_display", "lin_rec709_display"
"""Names of colour spaces: of nearly all scenes, and of those trained on linear photos."""
BLOCK = 1 << 15
"""Gaussians held at once in other forms."""

_UNIFORM = 1e-5


def blocks(count: int, most: int = BLOCK) -> Iterator[slice]:
    """Slices of at most ``most`` that cover a count."""
    for start in range(0, count, most):
        yield slice(start, min(start + most, count))


def log_scales_of(scales: Floats) -> Tensor:
    """float32 logarithms; a scale of 0 (a flat splat) gets a finite one, a negative one is NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(scales)
    logs[np.isneginf(logs)] = MIN_LOG_SCALE
    return torch.from_numpy(logs)


def logits_of(opacities: Floats) -> Tensor:
    """float32 logits of opacities, which are clamped to 0..1; 0 and 1 get finite ones."""
    logits = torch.logit(torch.from_numpy(opacities).double().clamp(0, 1))
    return logits.clamp(-OPAQUE_LOGIT, OPAQUE_LOGIT).to(torch.float32)


def placed(gaussians: Gaussians, world_from_file: Tensor) -> Gaussians:
    """The Gaussians at x' = A x + t.

    Args:
        gaussians: any.
        world_from_file: [4,4] float64; A may stretch and mirror (colours then turn with the
            rotation in its polar decomposition).
    """
    linear, shift = world_from_file[:3, :3], world_from_file[:3, 3]
    left, sizes, right = torch.linalg.svd(linear)
    turn, scale = left @ right, float(sizes.mean())
    if float((sizes - scale).abs().max()) <= _UNIFORM * scale:
        return transformed(gaussians, turn, scale, shift)
    axes = rotation_from_quat(gaussians.quats.double()) * gaussians.scales.double()[:, None]
    directions, lengths, _ = torch.linalg.svd(linear @ axes)
    directions[:, :, 2] *= torch.linalg.det(directions)[:, None]
    return Gaussians(
        means=(gaussians.means.double() @ linear.mT + shift).to(gaussians.means.dtype),
        quats=quat_from_rotation(directions).to(gaussians.quats.dtype),
        log_scales=log_scales_of(lengths.to(torch.float32).numpy()),
        logit_opacities=gaussians.logit_opacities,
        sh=rotate_sh(gaussians.sh, turn),
        extra=gaussians.extra,
        antialiased=gaussians.antialiased,
    )


def together(parts: list[Gaussians]) -> Gaussians:
    """All parts as one, with the harmonics of the highest degree among them."""
    if len(parts) == 1:
        return parts[0]
    most = max(part.sh.shape[1] for part in parts)
    filled = [
        replace(part, sh=torch.nn.functional.pad(part.sh, (0, 0, 0, most - part.sh.shape[1])))
        for part in parts
    ]
    whole = Gaussians.concatenate(filled)
    return replace(whole, antialiased=all(part.antialiased for part in parts))


def check_placement(path: Path, matrix: Tensor) -> Tensor:
    """The matrix, refused unless it is finite and invertible to float32."""
    finite = bool(matrix.isfinite().all())
    sizes = torch.linalg.svdvals(matrix[:3, :3]) if finite else torch.zeros(1)
    if not (float(sizes.min()) > 1e-30 and float(sizes.max()) < 1e30):
        raise SplatkitError(
            f"{path}: expected nodes that turn, scale and move the Gaussians, got a matrix that "
            "flattens them or is not finite"
        )
    return matrix


def sh_in_srgb(sh: Tensor, color_space: str, path: Path) -> Tensor:
    """Harmonics whose colours are sRGB, as ``Gaussians`` have them.

    Colours of a scene trained in linear light are converted where they are seen from all sides
    alike and, to first order, in how they differ by side; blending stays different.

    Raises:
        SplatkitError: the colour space is unknown.
    """
    if color_space == SRGB:
        return sh
    if color_space != LINEAR:
        raise SplatkitError(
            f"{path}: expected colours in {SRGB} or {LINEAR}, got {color_space[:60]!r}; save it "
            "in one of these"
        )
    warnings.warn(
        f"{path}: its colours are in linear light; they are converted to sRGB, but where "
        "Gaussians overlap the picture differs",
        stacklevel=4,
    )
    rgb = rgb_from_sh(sh[:, :1]).clamp(0, 1)
    bright = rgb > 0.0031308
    curve = rgb.clamp(min=0.0031308)
    out = sh * torch.where(bright, 1.055 / 2.4 * curve ** (1 / 2.4 - 1), 12.92)
    out[:, :1] = sh_from_rgb(srgb_of_linear(rgb))
    return out
