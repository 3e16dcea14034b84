"""Options of upscaling and grading, shared by commands that make pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

from splatkit.cli._options import REGION, Region

if TYPE_CHECKING:
    from collections.abc import Callable

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
    ratio: str | None = None
    """Pixels a rendered pixel, each way: quality (1.5), balanced (1.7), performance (2), ultra (3),
    or a number from 1.3 to 3. Default: performance."""
    sharpness: float = 0.0
    """Sharpen the pictures, 0 (not) to 1."""
    strength: float = 1.0
    """Of what the network adds with --upscale neural, 0 to 1."""
    network: str = "s"
    """Network of --upscale neural: s, m (larger), or a file that splatkit enhance train wrote."""
    upscale_engine: Literal["torch", "onnxruntime"] = "torch"
    """What runs the network of --upscale neural."""
    temporal_weight: float = 1.0
    """Of earlier pictures with --upscale temporal while something moves, 0 (none) to 1."""
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
        options = UpscaleOptions(
            mode=self.upscale,
            ratio=ratio_of(self.ratio or "performance"),
            sharpness=self.sharpness,
            strength=self.strength,
            network=self.network,
            engine=self.upscale_engine,
            temporal_weight=self.temporal_weight,
            grade=Grade(self.exposure, self.contrast, self.saturation, self.gamma),
            where="inside" if inside else "outside" if outside else "everywhere",
        )
        plain = UpscaleOptions()
        neural, finished = options.mode == "neural", (options.sharpness, options.grade)
        limits = neural or finished != (plain.sharpness, plain.grade)
        for given, needed, met in (
            (self.ratio is not None, "--ratio: expected --upscale MODE", options.mode != "off"),
            (options.network != plain.network, "--network: expected --upscale neural", neural),
            (options.strength != plain.strength, "--strength: expected --upscale neural", neural),
            (options.engine != plain.engine, "--upscale-engine: expected --upscale neural", neural),
            (
                options.temporal_weight != plain.temporal_weight,
                "--temporal-weight: expected --upscale temporal",
                options.mode == "temporal",
            ),
            (
                options.where != plain.where,
                f"--enhance-{options.where}: expected --upscale neural, --sharpness or a colour "
                "correction",
                limits,
            ),
        ):
            if given and not met:
                raise UsageError(f"{needed} with it, got none")
        return options

    def painter(self, backend: str) -> Callable[[], Paint] | None:
        """What gives each path something that makes its pictures, which remembers what it needs
        from one to the next; None where nothing was asked for."""
        from splatkit.edit.selection import in_crop
        from splatkit.enhance import UpscaleOptions, Upscaler

        options = self.options()
        if options == UpscaleOptions(ratio=options.ratio):
            return None
        region = self.enhance_inside or self.enhance_outside

        def painter() -> Paint:
            upscaler = Upscaler(options, backend)

            def paint(gaussians: Gaussians, camera: Cameras, background: Tensor) -> Tensor:
                marked = None if region is None else in_crop(gaussians, region)
                return upscaler.frame(gaussians, camera, background=background, marked=marked).rgb

            return paint

        return painter
