"""How much of a training's time pictures may take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

DEFAULT_SHARE = 0.1
MOST_SAVED = 8.0
"""Seconds of drawing that can be saved up while nobody moves."""
RESERVE = 6.0
"""What is kept for movement: a view at rest is renewed from what is above it."""
PATIENCE = 10.0
"""Seconds after which a view at rest is renewed from the reserve too: others may never rest."""


class Allowance:
    """Seconds of drawing, earned as a share of the time that passes.

    Drawing may take ``share`` of a training's time and ``RESERVE`` seconds once. Who moves the view
    draws on what was saved up, so that movement is smooth although the share is small. When it is
    used up, those who wait get a picture each before anybody gets a second one; what that takes too
    much is paid back before the next round.

    Args:
        share: 0..1 of the time.
        clock: seconds.
    """

    def __init__(
        self, share: float = DEFAULT_SHARE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._share = share
        self._clock = clock
        self._lock = threading.Lock()
        self._saved = RESERVE
        self._told = self._open = clock()

    @property
    def share(self) -> float:
        """Of the time, 0..1."""
        return self._share

    @share.setter
    def share(self, value: float) -> None:
        with self._lock:
            self._earn()
            self._share = min(max(value, 0.01), 1.0)

    def spend(self, seconds: float) -> None:
        """Note that drawing took so long."""
        with self._lock:
            self._earn()
            self._saved -= seconds

    def wait(self, moving: bool, waited: float = 0.0) -> float:
        """Seconds until something may be drawn; 0 where it may be now.

        Args:
            moving: whether somebody waits for the answer to what they did.
            waited: seconds since whoever asks was last drawn for.
        """
        with self._lock:
            self._earn()
            if self._share >= 1:
                return 0.0
            if not moving and waited <= PATIENCE:
                return max(0.0, RESERVE - self._saved) / self._share
            if self._saved >= 0:
                self._open = self._told
            # One picture for each who waited when there was time: left to chance, some of many who
            # move would wait for long.
            if self._told - waited <= self._open:
                return 0.0
            return -self._saved / self._share

    def _earn(self) -> None:
        now = self._clock()
        self._saved = min(MOST_SAVED, self._saved + self._share * (now - self._told))
        self._told = now
