"""sRGB and linear light (IEC 61966-2-1), values 0..1."""

from __future__ import annotations

import torch
from torch import Tensor


def linear_of_srgb(values: Tensor) -> Tensor:
    """Linear light of sRGB values."""
    bright = values > 0.04045
    curve = ((values.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(bright, curve, values / 12.92)


def srgb_of_linear(values: Tensor) -> Tensor:
    """sRGB of linear light; the inverse of ``linear_of_srgb``."""
    bright = values > 0.0031308
    curve = 1.055 * values.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(bright, curve, 12.92 * values)
