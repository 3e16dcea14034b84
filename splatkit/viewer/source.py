"""Where the viewer gets its Gaussians from."""

from __future__ import annotations

from typing import Protocol

from splatkit.core import Gaussians, Photo
from splatkit.export import OpenScene


class SceneSource(Protocol):
    """A scene that may change while it is watched (a training run, an edit)."""

    name: str
    """What the page calls the scene."""
    photos: list[Photo]
    """Photos that it was made from, sorted by name; may be empty."""
    background: tuple[float, float, float]
    """sRGB behind the scene."""

    def current(self) -> tuple[Gaussians, int]:
        """The Gaussians to draw now, and a number that grows when they change.

        Called from several threads and often; what it returned must not change afterwards.
        """
        ...


class FixedSource:
    """A scene from a file."""

    def __init__(self, scene: OpenScene) -> None:
        self.name = scene.name
        self.photos = scene.photos
        self.background = scene.background
        self._gaussians = scene.gaussians

    def current(self) -> tuple[Gaussians, int]:
        """The same Gaussians for ever."""
        return self._gaussians, 0
