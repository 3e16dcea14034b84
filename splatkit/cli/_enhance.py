"""Options of upscaling and grading, shared by commands that make pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from splatkit.cli._options import REGION, Region

if TYPE_CHECKING:
    from torch import Tensor

    from splatkit.core import Cameras, Gaussians
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
    """Network of --upscale neural: s, m (larger), or a file that splatkit enhance train wrote."""
    exposure: float = 0.0
    """Brighter or darker, stops."""
    contrast: float = 1.0
    """Factor of the distance from middle grey."""
    saturation: float = 1.0
    """Factor of colourfulness; 0 is black and white."""
    gamma: float = 1.0
    """Above 1 brightens what lies between black and white."""
    enhance_inside: Annotated[Region | None, arg(metavar=REGION)] = None
    """The network, sharpening and colours work in this sphere or box alone."""
    enhance_outside: Annotated[Region | None, arg(metavar=REGION)] = None
    """They work everywhere but in this sphere or box."""

    def options(self) -> UpscaleOptions:
        """The same, checked.

        Raises:
            UsageError: a name or number is not as said.
        """
        from splatkit.core import UsageError
        from splatkit.edit.selection import check_crop
        from splatkit.enhance import UpscaleOptions, ratio_of
        from splatkit.enhance.options import Grade

        inside, outside = self.enhance_inside, self.enhance_outside
        if inside is not None and outside is not None:
            raise UsageError("expected --enhance-inside or --enhance-outside, got both")
        for name, region in (("inside", inside), ("outside", outside)):
            if region is not None:
                check_crop(f"--enhance-{name}", region)

        return UpscaleOptions(
            mode=self.upscale,
            ratio=ratio_of(self.ratio),
            sharpness=self.sharpness,
            strength=self.strength,
            network=self.network,
            grade=Grade(self.exposure, self.contrast, self.saturation, self.gamma),
            where="inside" if inside else "outside" if outside else "everywhere",
        )

    def painter(self, backend: str) -> Paint | None:
        """What makes the pictures; None where nothing was asked for."""
        from splatkit.edit.selection import in_crop
        from splatkit.enhance import UpscaleOptions, Upscaler

        options = self.options()
        if options == UpscaleOptions(ratio=options.ratio):
            return None
        upscaler = Upscaler(options, backend)
        region = self.enhance_inside or self.enhance_outside

        def paint(gaussians: Gaussians, camera: Cameras, background: Tensor) -> Tensor:
            marked = None if region is None else in_crop(gaussians, region)
            return upscaler.frame(gaussians, camera, background=background, marked=marked).rgb

        return paint
