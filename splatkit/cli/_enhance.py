"""Options of upscaling and grading, shared by commands that make pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from splatkit.enhance import UpscaleOptions
    from splatkit.export.frames import Paint


@dataclass(frozen=True)
class EnhanceFlags:
    """How colours are made from fewer pixels, and how they are graded."""

    upscale: str = "off"
    """Render fewer pixels and reconstruct the rest: off, bilinear, bicubic, fsr1, hermite,
    temporal, neural."""
    ratio: str = "performance"
    """Pixels a rendered pixel, each way: quality (1.5), balanced (1.7), performance (2), ultra (3),
    or a number from 1.3 to 3."""
    sharpness: float = 0.0
    """Sharpen the pictures, 0 (not) to 1."""
    strength: float = 1.0
    """Of what the network adds with --upscale neural, 0 to 1."""
    network: str = "s"
    """Network of --upscale neural: s, or a file that splatkit enhance train wrote."""
    exposure: float = 0.0
    """Brighter or darker, stops."""
    contrast: float = 1.0
    """Factor of the distance from middle grey."""
    saturation: float = 1.0
    """Factor of colourfulness; 0 is black and white."""
    gamma: float = 1.0
    """Above 1 brightens what lies between black and white."""

    def options(self) -> UpscaleOptions:
        """The same, checked.

        Raises:
            UsageError: a name or number is not as said.
        """
        from splatkit.enhance import UpscaleOptions, ratio_of
        from splatkit.enhance.options import Grade

        return UpscaleOptions(
            mode=self.upscale,
            ratio=ratio_of(self.ratio),
            sharpness=self.sharpness,
            strength=self.strength,
            network=self.network,
            grade=Grade(self.exposure, self.contrast, self.saturation, self.gamma),
        )

    def painter(self, backend: str) -> Paint | None:
        """What makes the pictures; None where nothing was asked for."""
        from splatkit.enhance import UpscaleOptions, Upscaler

        options = self.options()
        if options == UpscaleOptions(ratio=options.ratio):
            return None
        upscaler = Upscaler(options, backend)
        return lambda gaussians, camera, background: (
            upscaler.frame(gaussians, camera, background=background).rgb
        )
