"""One browser tab: its session, its controls, and what stands in its view."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import viser

from splatkit.core import Photo
from splatkit.viewer.frustums import Frustums
from splatkit.viewer.gathering import Gathering
from splatkit.viewer.guests import Guests
from splatkit.viewer.panel import Panel
from splatkit.viewer.plots import Plots
from splatkit.viewer.session import Session, Shown
from splatkit.viewer.source import SceneSource
from splatkit.viewer.training import Training
from splatkit.viewer.views import Place, View, first_place, middle, place_of_photo

FLIGHT_SECONDS = 0.7
FRAMES_A_SECOND = 30


class Tab:
    """Shows a scene in a browser until it is closed.

    Args:
        client: the browser.
        source: the scene.
        training: that makes the scene, where there is one.
        others: names and ids of further scenes.
        open_other: gives a scene by its id.
        backend: see ``render``.
        mode: what to show first; see ``splatkit.render.pictures.MODES``.
    """

    def __init__(
        self,
        client: viser.ClientHandle,
        source: SceneSource,
        training: Training | None,
        others: dict[str, str],
        open_other: Callable[[str], SceneSource],
        backend: str,
        mode: str,
    ) -> None:
        self._client = client
        self._flight = 0
        self._panel: Panel | None = None
        gaussians, _ = source.current()
        self._middle = middle(source.photos, gaussians)
        self._home = first_place(source.photos, gaussians)
        gathering = Gathering(source)
        self.session = Session(gathering, self._send, self._tell, backend)
        reach = float(np.linalg.norm(self._home.look_at - self._home.position))
        self._frustums = Frustums(client, source.photos, reach, self._go)
        self._plots = None if training is None else Plots(client, training)
        self._panel = Panel(
            client,
            self.session,
            source,
            others,
            open_other,
            self._frustums.show,
            lambda: self._fly(self._home),
            mode,
        )
        if others:
            Guests(client, gathering, others, open_other, reach)
        self.session.change(self._panel.look())
        client.camera.on_update(self._moved)
        self.session.move(*_view_of(client.camera))
        self.session.start()

    def close(self) -> None:
        """End what goes on for this browser."""
        if self._plots is not None:
            self._plots.stop()
        self.session.stop()

    def link(self) -> dict[str, Any]:
        """The camera and the mode, as the query of an address holds them."""
        camera = self._client.camera
        return {
            "position": ",".join(f"{value:.4f}" for value in camera.position),
            "look_at": ",".join(f"{value:.4f}" for value in camera.look_at),
            "fov": f"{camera.fov:.4f}",
            "mode": self.session.look.mode,
        }

    def _send(self, pixels: np.ndarray, quality: int | None) -> None:
        kind = "png" if quality is None else "jpeg"
        self._client.scene.set_background_image(pixels, format=kind, jpeg_quality=quality)
        self._client.flush()

    def _tell(self, shown: Shown) -> None:
        if self._panel is not None:
            self._panel.tell(shown)

    def _moved(self, camera: viser.CameraHandle) -> None:
        self.session.move(*_view_of(camera))
        self._frustums.seen_from(np.array(camera.position))

    def _go(self, photo: Photo) -> None:
        camera = self._client.camera
        aspect = camera.image_width / max(camera.image_height, 1)
        self._fly(place_of_photo(photo, self._middle, aspect))

    def _fly(self, goal: Place) -> None:
        """Move the camera smoothly; a later flight takes over."""
        self._flight += 1
        flight = self._flight
        camera = self._client.camera
        start = Place(np.array(camera.position), np.array(camera.look_at), camera.fov)
        began = time.monotonic()
        share = 0.0
        while share < 1 and self._flight == flight:
            share = min(1.0, (time.monotonic() - began) / FLIGHT_SECONDS)
            eased = share * share * (3 - 2 * share)
            with self._client.atomic():
                camera.position = start.position + eased * (goal.position - start.position)
                camera.look_at = start.look_at + eased * (goal.look_at - start.look_at)
                camera.fov = start.fov + eased * (goal.fov - start.fov)
            self._client.flush()
            time.sleep(1 / FRAMES_A_SECOND)


def _view_of(camera: viser.CameraHandle) -> tuple[View, int, int]:
    w, x, y, z = (float(value) for value in camera.wxyz)
    px, py, pz = (float(value) for value in camera.position)
    view = View((w, x, y, z), (px, py, pz), camera.fov)
    return view, camera.image_width, camera.image_height
