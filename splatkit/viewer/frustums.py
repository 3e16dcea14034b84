"""The photos' cameras in one browser."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import numpy as np
import viser

from splatkit.core import Photo, SplatkitError
from splatkit.io.images import fit_within, read_image, resize_area
from splatkit.viewer.views import wxyz_of_photo

TRAINED_COLOR, HELD_OUT_COLOR = (64, 140, 255), (255, 150, 40)
LINE_PIXELS = 1.5
PICTURE_SIDE = 160
"""Long side of the photos in the frustums, pixels."""
NEAREST = 3.0
"""A frustum nearer than this many of its sizes is hidden: who stands in one sees nothing but its
frame, and every click would hit it."""
LARGEST_SHARE = 0.06
"""Size of a frustum, in distances from the first view to the middle of the scene."""
SPACING_SHARE = 0.6
"""The same in typical distances between neighbours: many photos have small frustums."""


class Frustums:
    """Draws a frustum for every photo, hidden at first.

    Args:
        client: the browser.
        photos: with their cameras.
        reach: distance from the first view to the middle of the scene, world units.
        go: is called with the photo that was clicked on.
    """

    def __init__(
        self,
        client: viser.ClientHandle,
        photos: list[Photo],
        reach: float,
        go: Callable[[Photo], None],
    ) -> None:
        self._client = client
        self._photos = photos
        self._closed = threading.Event()
        self._has_pictures = False
        self._pictures = threading.Thread(target=self._load, name="viewer pictures", daemon=True)
        self._wanted = False
        self._lock = threading.Lock()
        self._visible = np.zeros(len(photos), dtype=bool)
        self._positions = np.array(
            [(-photo.viewmat[:3, :3].T @ photo.viewmat[:3, 3]).numpy() for photo in photos]
        ).reshape(-1, 3)
        self._size = _size(self._positions, reach)
        self._handles = [self._add(index, photo, go) for index, photo in enumerate(photos)]

    def show(self, wanted: bool, pictures: bool = False) -> None:
        """Switch all on or off, with the photos in them or without."""
        self._wanted = wanted
        if wanted and pictures and not self._pictures.is_alive() and not self._has_pictures:
            self._has_pictures = True
            self._pictures.start()
        self.seen_from(np.array(self._client.camera.position))

    def seen_from(self, position: np.ndarray) -> None:
        """Hide those that the browser's camera, at that place [3], stands in."""
        with self._lock:
            far = np.linalg.norm(self._positions - position, axis=1) > NEAREST * self._size
            visible = far & self._wanted
            changed = np.flatnonzero(visible != self._visible)
            self._visible = visible
            if len(changed) == 0:
                return
            with self._client.atomic():
                for index in changed:
                    self._handles[index].visible = bool(visible[index])

    def close(self) -> None:
        """Load no more pictures."""
        self._closed.set()

    def _load(self) -> None:
        """Put small pictures into the frustums, one after the other."""
        for photo, handle in zip(self._photos, self._handles, strict=True):
            if self._closed.is_set():
                return
            try:
                image = read_image(photo.path)[..., :3]
            except SplatkitError:
                continue  # a photo that is gone leaves its frustum empty, as it was
            handle.image = resize_area(image, *fit_within(photo.width, photo.height, PICTURE_SIDE))

    def _add(
        self, index: int, photo: Photo, go: Callable[[Photo], None]
    ) -> viser.CameraFrustumHandle:
        frustum = self._client.scene.add_camera_frustum(
            f"/photos/{index}",
            fov=2 * math.atan(0.5 * photo.height / float(photo.K[1, 1])),
            aspect=photo.width / photo.height,
            scale=self._size,
            thickness=LINE_PIXELS,
            thickness_units="screen",
            # Faces, however faint, can be clicked on; lines alone are hard to hit.
            variant="filled",
            color=HELD_OUT_COLOR if photo.held_out else TRAINED_COLOR,
            wxyz=wxyz_of_photo(photo),
            position=self._positions[index],
            visible=False,
            format="jpeg",
            jpeg_quality=80,
            cast_shadow=False,
            receive_shadow=False,
        )
        frustum.on_click(lambda _: go(photo))
        return frustum


def _size(positions: np.ndarray, reach: float) -> float:
    """Length of a frustum, world units."""
    largest = LARGEST_SHARE * reach
    if len(positions) < 2:
        return largest
    distances = np.linalg.norm(positions[:, None] - positions, axis=2)
    np.fill_diagonal(distances, np.inf)
    spacing = float(np.median(distances.min(1)))
    return min(largest, max(SPACING_SHARE * spacing, 0.2 * largest))
