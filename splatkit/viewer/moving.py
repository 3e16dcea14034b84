"""How one browser's camera moves by itself: to the first view, to a side, to all of the scene."""

from __future__ import annotations

import math
import time

import numpy as np
import viser
from torch import Tensor

from splatkit.viewer.views import Place, up_direction

FLIGHT_SECONDS = 0.7
FRAMES_A_SECOND = 30
SIDES = {
    "Front": (0.0, 0.0, -1.0),
    "Back": (0.0, 0.0, 1.0),
    "Left": (-1.0, 0.0, 0.0),
    "Right": (1.0, 0.0, 0.0),
    "Top": (0.0, -1.0, -0.001),
}
"""Where a view looks from, seen from the middle of the scene; an RDF scene faces -z."""
MARGIN = 1.15


class Moving:
    """Flies the camera of a browser; a later flight takes over from an earlier one.

    Args:
        client: the browser.
        home: the first view.
        focus: [3] middle of the scene's bulk, world frame.
        radius: of the bulk, world units.
    """

    def __init__(
        self, client: viser.ClientHandle, home: Place, focus: Tensor, radius: float
    ) -> None:
        self._client = client
        self._home = home
        self._focus, self._radius = focus.numpy(), radius
        self._flight = 0

    def home(self) -> None:
        """Fly to the first view."""
        self.fly(self._home)

    def frame(self) -> None:
        """Fly back or ahead until all of the scene's bulk is in the view; keep the direction."""
        position = np.array(self._client.camera.position)
        forward = np.array(self._client.camera.look_at) - position
        self._look_from(-forward)

    def side(self, name: str) -> None:
        """Fly to where a side, one of ``SIDES``, is in front."""
        self._look_from(np.array(SIDES[name]))

    def level(self) -> None:
        """Put the world's up at the top of the view again."""
        self._client.camera.up_direction = np.array(up_direction())

    def go(self, goal: Place) -> None:
        """Be there at once."""
        self._flight += 1
        self._put(goal)

    def fly(self, goal: Place) -> None:
        """Go there smoothly."""
        self._flight += 1
        flight = self._flight
        camera = self._client.camera
        start = Place(np.array(camera.position), np.array(camera.look_at), camera.fov)
        began = time.monotonic()
        share = 0.0
        while share < 1 and self._flight == flight:
            share = min(1.0, (time.monotonic() - began) / FLIGHT_SECONDS)
            eased = share * share * (3 - 2 * share)
            self._put(
                Place(
                    start.position + eased * (goal.position - start.position),
                    start.look_at + eased * (goal.look_at - start.look_at),
                    start.fov + eased * (goal.fov - start.fov),
                )
            )
            time.sleep(1 / FRAMES_A_SECOND)

    def _put(self, place: Place) -> None:
        camera = self._client.camera
        with self._client.atomic():
            camera.position = place.position
            camera.look_at = place.look_at
            camera.fov = place.fov
        self._client.flush()

    def _look_from(self, direction: np.ndarray) -> None:
        camera = self._client.camera
        # The narrower side of the view decides how far away everything fits into it.
        aspect = camera.image_width / max(camera.image_height, 1)
        half = math.atan(math.tan(camera.fov / 2) * min(1.0, aspect))
        distance = MARGIN * self._radius / math.sin(half)
        towards = direction / max(float(np.linalg.norm(direction)), 1e-9)
        self.fly(Place(self._focus + distance * towards, self._focus, camera.fov))
