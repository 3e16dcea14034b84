"""Colour correction of a finished picture."""

from __future__ import annotations

import torch
from torch import Tensor

from splatkit.enhance.options import Grade

LUMA = (0.2126, 0.7152, 0.0722)
"""Weights of red, green and blue in the grey of a colour (Rec. 709)."""


def graded(rgb: Tensor, grade: Grade) -> Tensor:
    """[...,3] sRGB after exposure, contrast, saturation and gamma, in this order.

    Exposure multiplies light; the others work on sRGB values. What is at its default does nothing,
    to the bit.
    """
    if grade.exposure != 0:
        rgb = _srgb_of(light_of(rgb.clamp_min(0)) * 2**grade.exposure)
    if grade.contrast != 1:
        rgb = (rgb - 0.5) * grade.contrast + 0.5
    if grade.saturation != 1:
        grey = (rgb * rgb.new_tensor(LUMA)).sum(-1, keepdim=True)
        rgb = grey + (rgb - grey) * grade.saturation
    if grade.gamma != 1:
        rgb = rgb.clamp_min(0) ** (1 / grade.gamma)
    return rgb


def light_of(srgb: Tensor) -> Tensor:
    """Linear light of sRGB values (IEC 61966-2-1)."""
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _srgb_of(light: Tensor) -> Tensor:
    """sRGB values of linear light."""
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
