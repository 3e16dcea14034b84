"""Gaussians moved as one: turned, scaled and shifted, their colours turning with them."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from splatkit.core.errors import SplatkitError
from splatkit.core.gaussians import Gaussians
from splatkit.core.sh_rotation import orthogonal, rotate_sh
from splatkit.core.transforms import quat_from_rotation, quat_multiply, rotation_from_quat


def transformed(
    gaussians: Gaussians,
    rotation: Tensor | None = None,
    scale: float = 1.0,
    translation: Tensor | None = None,
) -> Gaussians:
    """The Gaussians at x' = scale * rotation x + translation.

    Args:
        gaussians: stays as it is; ``extra`` is handed on unchanged.
        rotation: [3,3] orthogonal; determinant -1 mirrors (an ellipsoid mirrored is an
            ellipsoid turned, so nothing is lost).
        scale: uniform factor, above 0.
        translation: [3], world units, applied last.

    Raises:
        SplatkitError: the rotation is not orthogonal, or the scale not a positive number.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise SplatkitError(f"scale: expected a positive number, got {scale}")
    means, quats, sh = gaussians.means, gaussians.quats, gaussians.sh
    if rotation is not None:
        turn = orthogonal(rotation)
        means = means @ turn.to(means).mT
        quats = _turned(quats, turn)
        sh = rotate_sh(sh, turn)
    means = means * scale
    if translation is not None:
        means = means + translation.to(means)
    log_scales = gaussians.log_scales + math.log(scale)
    return replace(gaussians, means=means, quats=quats, sh=sh, log_scales=log_scales)


def _turned(quats: Tensor, turn: Tensor) -> Tensor:
    if float(torch.linalg.det(turn)) > 0:
        return quat_multiply(quat_from_rotation(turn).to(quats), quats)
    # R' = M R is a mirror; negating it is a rotation with the same R' S^2 R'^T.
    return quat_from_rotation(-turn.to(quats) @ rotation_from_quat(quats))
