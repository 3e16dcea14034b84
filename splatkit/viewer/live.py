"""The scene of a training that goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable

from splatkit.core import Gaussians, Photo, Scene, SplatkitError
from splatkit.viewer.allowance import Allowance

WATCHED_SECONDS = 1.0
"""Somebody watches who has asked for the scene within this time."""


class LiveSource:
    """Hands on copies of the Gaussians in training, made only while somebody watches.

    Args:
        name: what the page calls the scene.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.photos: list[Photo] = []
        self.background = (0.0, 0.0, 0.0)
        self.pace = Allowance()
        self.stepping = False
        """Whether training needs the processor now."""
        self._lock = threading.Lock()
        self._now: Gaussians | None = None
        self._version = 0
        self._asked = self._copied = -float("inf")

    @property
    def ready(self) -> bool:
        """Whether there is something to show."""
        return self._now is not None

    @property
    def allowance(self) -> Allowance | None:
        """What pictures may take; None while training rests."""
        return self.pace if self.stepping else None

    def current(self) -> tuple[Gaussians, Hashable]:
        """The last copy."""
        with self._lock:
            self._asked = time.monotonic()
            if self._now is None:
                raise SplatkitError(f"{self.name}: training has not begun yet, there is no scene")
            return self._now, self._version

    def stand_on(self, scene: Scene) -> None:
        """Take photos and background of the scene that is trained on."""
        self.photos = sorted(scene.photos, key=lambda photo: photo.name)
        self.background = scene.background or (0.0, 0.0, 0.0)

    def offer(self, gaussians: Gaussians, at_once: bool = False) -> None:
        """Copy Gaussians that may change afterwards, if somebody would see it.

        Args:
            gaussians: the live ones.
            at_once: whoever watches, and whatever it costs.
        """
        now = time.monotonic()
        watched = now - self._asked < WATCHED_SECONDS
        renewed = watched and self.pace.wait(moving=False, waited=now - self._copied) <= 0
        if not (self._now is None or at_once or renewed):
            return
        self._copied = now
        start = time.perf_counter()
        self.show(gaussians.clone())
        self.pace.spend(time.perf_counter() - start)

    def show(self, gaussians: Gaussians) -> None:
        """Show Gaussians that nobody changes."""
        with self._lock:
            self._now = gaussians
            self._version += 1
