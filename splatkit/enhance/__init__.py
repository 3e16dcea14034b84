"""Upscaling: fewer pixels are rendered, and a full picture is reconstructed from them."""

from splatkit.enhance.options import MODES, RATIOS, UpscaleOptions, ratio_of
from splatkit.enhance.upscaler import Upscaled, Upscaler

__all__ = ["MODES", "RATIOS", "UpscaleOptions", "Upscaled", "Upscaler", "ratio_of"]
