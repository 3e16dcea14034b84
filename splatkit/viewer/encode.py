"""A picture as bytes for the page, no larger than its line carries in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from splatkit.core import SplatkitError

MOVING_QUALITY, SHARP_QUALITY = 70, 92
"""JPEG quality where the line carries it."""
LEAST_MOVING, LEAST_SHARP = 30, 60
MOVING_SECONDS, SHARP_SECONDS = 1 / 15, 0.25
"""Time that a picture may take on the line."""
_STEP = 0.5
"""How fast the quality follows: this power of the ratio of sizes."""


@dataclass(frozen=True)
class Encoded:
    """What goes to the page."""

    format: Literal["jpeg", "png"]
    data: bytes
    quality: int | None
    """None for PNG."""


class Encoder:
    """Chooses the JPEG quality of one browser's pictures by the rate of its line."""

    def __init__(self) -> None:
        self._quality = {False: float(MOVING_QUALITY), True: float(SHARP_QUALITY)}

    def encode(
        self, pixels: np.ndarray, sharp: bool, lossless: bool, rate: float | None
    ) -> Encoded:
        """Encode a picture.

        Args:
            pixels: [H,W,3] uint8 sRGB.
            sharp: the view rests.
            lossless: PNG, where the line carries it: JPEG halves the resolution of colour, which
                spoils pictures whose colours are values.
            rate: of the line, bytes a second; None where it is no limit.
        """
        if lossless and (rate is None or rate > 4e6):
            return Encoded("png", _encoded(".png", pixels, []), None)
        quality = round(self._quality[sharp])
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
        if lossless:
            options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        data = _encoded(".jpg", pixels, options)
        self._follow(sharp, len(data), rate)
        return Encoded("jpeg", data, quality)

    def _follow(self, sharp: bool, size: int, rate: float | None) -> None:
        best, least = (SHARP_QUALITY, LEAST_SHARP) if sharp else (MOVING_QUALITY, LEAST_MOVING)
        if rate is None:
            self._quality[sharp] = float(best)
            return
        wanted = rate * (SHARP_SECONDS if sharp else MOVING_SECONDS)
        factor = (wanted / max(size, 1)) ** _STEP
        now = self._quality[sharp] * min(max(factor, 0.7), 1.2)
        self._quality[sharp] = min(max(now, least), best)


def _encoded(suffix: str, pixels: np.ndarray, options: list[int]) -> bytes:
    done, data = cv2.imencode(suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise SplatkitError(f"picture: {suffix[1:]} could not be encoded")
    return data.tobytes()
