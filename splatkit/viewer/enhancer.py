"""One browser's upscaler: pictures in colour, their parts' times, and the governor."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from torch import Tensor

from splatkit.core import Cameras, Gaussians
from splatkit.enhance import Upscaled, Upscaler
from splatkit.enhance.options import LARGEST_RATIO, SMALLEST_RATIO
from splatkit.viewer.desk import MARKED
from splatkit.viewer.look import Look, Paint

_SHRINK_AT_MOST, _GROW_AT_MOST = 0.8, 1.25


class Enhancer:
    """Makes one browser's pictures where upscaling or grading is on.

    Args:
        backend: see ``render``.
    """

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._upscaler: Upscaler | None = None
        self._governed_ratio: float | None = None
        self._wanted_seconds: float | None = None
        self.settled = True
        """Another picture of the same view would be no better."""
        self.milliseconds: dict[str, float] = {}
        """Parts of the last picture's time; empty where it was plain."""
        self.ratio = 1.0
        """Of the last picture; 1 where every pixel was rendered."""

    def painter(self, look: Look, version: Hashable, moving: bool) -> Paint | None:
        """What makes the next picture; None where a plain render is wanted.

        Args:
            look: what the browser wants to see.
            version: of the scene.
            moving: the governor may choose the ratio.
        """
        self.settled, self.milliseconds, self.ratio = True, {}, 1.0
        self._wanted_seconds = None
        wish = look.enhancing
        if look.mode != "rgb" or not wish.is_on:
            return None
        options = wish.options
        if moving and wish.pictures_per_second > 0 and options.mode != "off":
            self._wanted_seconds = 1 / wish.pictures_per_second
            self._governed_ratio = self._governed_ratio or options.ratio
            options = replace(options, ratio=self._governed_ratio)
        if self._upscaler is None:
            self._upscaler = Upscaler(options, self._backend)
        upscaler = self._upscaler

        def paint(gaussians: Gaussians, camera: Cameras) -> Tensor:
            upscaler.options = options
            seen = (version, replace(look, wipe=0.0))
            shown = upscaled(upscaler, gaussians, camera, look, seen)
            self.settled, self.milliseconds = shown.settled, shown.milliseconds
            self.ratio = shown.ratio
            return shown.rgb

        return paint

    def measured(self, seconds: float) -> None:
        """Note how long the last picture took in all, with encoding and others' turns."""
        if self._wanted_seconds is not None and self._governed_ratio is not None:
            self._governed_ratio = next_ratio(self._governed_ratio, seconds, self._wanted_seconds)


def upscaled(
    upscaler: Upscaler, gaussians: Gaussians, camera: Cameras, look: Look, version: Hashable
) -> Upscaled:
    """The upscaler's next picture of what a look shows.

    Args:
        upscaler: has the look's options.
        gaussians: cut and sized as the look wants.
        camera: one camera.
        look: background, SH degree and the near cut.
        version: differs when the Gaussians or the look do.
    """
    return upscaler.frame(
        gaussians,
        camera,
        background=gaussians.means.new_tensor(look.background),
        sh_degree=min(look.sh_degree, gaussians.sh_degree),
        near=look.near,
        marked=gaussians.extra.get(MARKED),
        version=version,
    )


def next_ratio(ratio: float, seconds: float, wanted: float) -> float:
    """The ratio that brings a picture's time nearer to what is wanted.

    Args:
        ratio: with which the last picture was made.
        seconds: that it took.
        wanted: that it should take.
    """
    # At best the time falls with the number of pixels, the square of the ratio.
    factor = min(max((seconds / wanted) ** 0.5, _SHRINK_AT_MOST), _GROW_AT_MOST)
    return min(max(ratio * factor, SMALLEST_RATIO), LARGEST_RATIO)
