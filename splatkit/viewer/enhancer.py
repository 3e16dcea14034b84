"""One browser's upscaler: pictures in colour, their parts' times, and the governor."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from torch import Tensor

from splatkit.core import Cameras, Gaussians
from splatkit.enhance import Upscaler
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
        self._ratio: float | None = None
        self.settled = True
        """Another picture of the same view would be no better."""
        self.milliseconds: dict[str, float] = {}
        """Parts of the last picture's time; empty where it was plain."""

    def painter(self, look: Look, version: Hashable, moving: bool) -> Paint | None:
        """What makes the next picture; None where a plain render is wanted.

        Args:
            look: what the browser wants to see.
            version: of the scene.
            moving: the governor may choose the ratio.
        """
        self.settled, self.milliseconds = True, {}
        wish = look.enhancing
        if look.mode != "rgb" or not wish.is_on:
            return None
        governed = moving and wish.pictures_per_second > 0
        options = wish.options
        if governed and self._ratio is not None:
            options = replace(options, ratio=self._ratio)
        if self._upscaler is None:
            self._upscaler = Upscaler(options, self._backend)
        upscaler = self._upscaler

        def paint(gaussians: Gaussians, camera: Cameras) -> Tensor:
            upscaler.options = options
            shown = upscaler.frame(
                gaussians,
                camera,
                background=gaussians.means.new_tensor(look.background),
                sh_degree=min(look.sh_degree, gaussians.sh_degree),
                near=look.near,
                marked=gaussians.extra.get(MARKED),
                version=(version, replace(look, wipe=0.0)),
            )
            self.settled, self.milliseconds = shown.settled, shown.milliseconds
            if governed:
                spent = sum(shown.milliseconds.values()) / 1000
                self._ratio = next_ratio(options.ratio, spent, 1 / wish.pictures_per_second)
            return shown.rgb

        return paint


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
