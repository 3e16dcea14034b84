"""What a person points at in the picture of one browser: points of the surface, and regions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import viser
from torch import Tensor
from viser import SceneClickEvent, SceneRectSelectEvent

from splatkit.core import Cameras
from splatkit.edit.selection import point_under
from splatkit.viewer.source import SceneSource
from splatkit.viewer.views import view_of

POINT_COLOR = (255, 150, 40)
POINT_SHARE = 0.006
"""Size of a marked point, in distances from the first view to the middle of the scene."""


class Pointing:
    """Takes clicks and rectangles for one purpose at a time.

    Args:
        client: the browser.
        source: what its picture shows.
        reach: distance from the first view to the middle of the scene, world units.
        backend: see ``render``.
    """

    def __init__(
        self, client: viser.ClientHandle, source: SceneSource, reach: float, backend: str
    ) -> None:
        self._client = client
        self._source = source
        self._size = POINT_SHARE * reach
        self._backend = backend
        self._points: list[Tensor] = []

    def camera(self) -> Cameras:
        """The browser's camera as one of ours, in the page's own pixels."""
        view, width, height = view_of(self._client.camera)
        return view.camera(max(1, width), max(1, height))

    def points(self, count: int, done: Callable[[list[Tensor]], None]) -> None:
        """Call ``done`` with so many points of the surface [3] once they were clicked on."""
        self.stop()

        def clicked(event: SceneClickEvent) -> None:
            point = self._under(event.screen_pos)
            if point is None:
                self._client.add_notification("Nothing there", "Click on a part of the scene.")
                return
            self._points.append(point)
            self._mark()
            if len(self._points) == count:
                found = list(self._points)
                self._client.scene.remove_click_callback("all")
                done(found)

        self._client.scene.on_click()(clicked)

    def dabs(self, done: Callable[[Tensor], None]) -> None:
        """Call ``done`` with the place [1,2], pixels, of every click, until ``stop``."""
        self.stop()

        def clicked(event: SceneClickEvent) -> None:
            done(torch.tensor([self._pixel(event.screen_pos)]))

        self._client.scene.on_click()(clicked)

    def rectangles(self, done: Callable[[tuple[float, float], tuple[float, float]], None]) -> None:
        """Call ``done`` with two corners, pixels, of every rectangle drawn, until ``stop``."""
        self.stop()

        def drawn(event: SceneRectSelectEvent) -> None:
            done(self._pixel(event.screen_min), self._pixel(event.screen_max))

        self._client.scene.on_rect_select()(drawn)

    def stop(self) -> None:
        """Take no more; the mouse moves the view again."""
        self._points = []
        self._client.scene.remove_click_callback("all")
        self._client.scene.remove_rect_select_callback("all")
        self._client.scene.remove_by_name("/pointed")

    def _pixel(self, place: tuple[float, float]) -> tuple[float, float]:
        camera = self._client.camera
        return place[0] * camera.image_width, place[1] * camera.image_height

    def _under(self, place: tuple[float, float]) -> Tensor | None:
        gaussians, _ = self._source.current()
        return point_under(gaussians, self.camera(), self._pixel(place), self._backend)

    def _mark(self) -> None:
        scene = self._client.scene
        for index, point in enumerate(self._points):
            scene.add_icosphere(
                f"/pointed/{index}",
                radius=self._size,
                color=POINT_COLOR,
                position=point.numpy(),
                cast_shadow=False,
                receive_shadow=False,
            )
        if len(self._points) > 1:
            ends = np.stack([point.numpy() for point in self._points])
            lines = np.stack((ends, np.roll(ends, -1, 0)), 1)[: None if len(ends) > 2 else 1]
            scene.add_line_segments(
                "/pointed/lines", lines, colors=POINT_COLOR, thickness=2.0, thickness_units="screen"
            )
