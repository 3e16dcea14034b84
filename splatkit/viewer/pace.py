"""How large a picture may be so that movement stays smooth."""

from __future__ import annotations

TARGET_SECONDS = 0.05
"""Time for one picture in motion, rendering and encoding."""
LINE_SECONDS = 0.08
"""The same on the line, while the next one is rendered."""
LEAST_SCALE = 0.3
"""Pictures in motion are never smaller than this share of the view's width and height: below it
the time goes into projection, which does not depend on the size."""
_SHRINK_AT_MOST, _GROW_AT_MOST = 0.6, 1.2
_STEP = 16
"""Sizes change in steps of this many pixels, so that the picture does not shimmer."""


class Pace:
    """Adapts the size of pictures in motion to the times that were measured."""

    def __init__(self, target: float = TARGET_SECONDS) -> None:
        self._target = target
        self._scale = 0.5

    @property
    def scale(self) -> float:
        """Share of the full width and height for the next picture in motion."""
        return self._scale

    def moving_size(self, width: int, height: int) -> tuple[int, int]:
        """Size of the next picture in motion for a view of that full size, pixels."""
        if self._scale >= 1:
            return width, height
        small = min(width, max(_STEP, round(width * self._scale / _STEP) * _STEP))
        return small, max(1, round(small * height / width))

    def measured(self, seconds: float, line_seconds: float = 0.0) -> None:
        """Note how long a picture in motion took, and how long its bytes take on the line."""
        seconds = max(seconds, line_seconds * self._target / LINE_SECONDS)
        # Time grows with the area, so the side follows the square root.
        wish = (self._target / max(seconds, 1e-6)) ** 0.5
        wish = min(max(wish, _SHRINK_AT_MOST), _GROW_AT_MOST)
        self._scale = min(max(self._scale * wish, LEAST_SCALE), 1.0)
