"""What was refused, as lines in the log: few of them, however much is refused."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

SECONDS_BETWEEN_LINES = 10.0
LOG = logging.getLogger("splatkit.viewer")


class Refusals:
    """Writes the first refusal at once, and those of the next seconds as a number.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._told = -float("inf")
        self._more = 0

    def note(self, status: int, path: str, who: str | None) -> None:
        """Note one.

        Args:
            status: the HTTP status of the answer.
            path: what was asked for.
            who: the address that asked.
        """
        with self._lock:
            now = self._clock()
            if now - self._told < SECONDS_BETWEEN_LINES:
                self._more += 1
                return
            self._told, more, self._more = now, self._more, 0
        # What others send is shown escaped and cut: it may be meant for the terminal.
        also = f", and {more} more before" if more else ""
        LOG.warning("refused: %d for %s from %s%s", status, ascii(path[:80]), who, also)
