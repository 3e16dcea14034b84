"""Where the viewer gets its Gaussians from."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from splatkit.core import Gaussians, Photo
from splatkit.export import OpenScene
from splatkit.viewer.allowance import Allowance


class SceneSource(Protocol):
    """A scene that may change while it is watched (a training run, an edit)."""

    name: str
    """What the page calls the scene."""
    photos: list[Photo]
    """Photos that it was made from, sorted by name; may be empty."""
    background: tuple[float, float, float]
    """sRGB behind the scene."""

    @property
    def allowance(self) -> Allowance | None:
        """What drawing may take from a training that goes on; None where nothing else goes on."""
        ...

    def current(self) -> tuple[Gaussians, Hashable]:
        """The Gaussians to draw now, and a version that differs when they do.

        Called from several threads and often; what it returned must not change afterwards.
        """
        ...


class FixedSource:
    """A scene from a file."""

    allowance = None

    def __init__(self, scene: OpenScene) -> None:
        self.name = scene.name
        self.photos = scene.photos
        self.background = scene.background
        self._gaussians = scene.gaussians

    def current(self) -> tuple[Gaussians, Hashable]:
        """The same Gaussians for ever."""
        return self._gaussians, 0
