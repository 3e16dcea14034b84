"""What is known of the line to one browser: whether it is full, and how much it carries."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_WEIGHT = 0.3
"""Of a new measurement of the rate."""
_LEAST_BYTES = 4_000
_LEAST_SECONDS = 0.004
"""Shorter messages and times say nothing of the line: they went into a buffer."""


class Line:
    """Told by the relay what it sends; asked by the session before it draws.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._since: float | None = None
        self._rate: float | None = None

    def begins(self) -> None:
        """A message is being written."""
        self._since = self._clock()

    def ends(self, size: int) -> None:
        """It is written, so many bytes."""
        with self._lock:
            seconds = self._clock() - (self._since if self._since is not None else self._clock())
            self._since = None
            if size < _LEAST_BYTES:
                return
            if seconds < _LEAST_SECONDS:
                # The buffer took it at once: the line carries at least this much.
                if self._rate is not None:
                    self._rate = max(self._rate, size / _LEAST_SECONDS * _WEIGHT)
                return
            rate = size / seconds
            self._rate = rate if self._rate is None else self._rate + _WEIGHT * (rate - self._rate)

    @property
    def is_busy(self) -> bool:
        """Whether a message is still being written: what is drawn now would wait behind it."""
        return self._since is not None

    @property
    def rate(self) -> float | None:
        """Bytes a second; None while nothing had to wait."""
        return self._rate
