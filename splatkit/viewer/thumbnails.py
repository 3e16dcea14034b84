"""Small pictures of scenes for the library."""

from __future__ import annotations

import io
import threading

from PIL import Image

from splatkit.viewer.library import Library
from splatkit.viewer.look import Look, Subject, draw
from splatkit.viewer.source import SceneSource
from splatkit.viewer.turns import RENDERING
from splatkit.viewer.views import first_place, view_of_place

WIDTH, HEIGHT = 480, 300


class Thumbnails:
    """Draws each scene once and keeps the picture.

    Args:
        library: the scenes.
        backend: see ``render``.
    """

    def __init__(self, library: Library, backend: str) -> None:
        self._library = library
        self._backend = backend
        self._turn = threading.Lock()
        self._kept: dict[tuple[str, object], bytes] = {}

    def jpeg(self, scene: str, version: object) -> bytes:
        """The picture of a scene.

        Args:
            scene: its id.
            version: anything that differs when the scene does.

        Raises:
            SplatkitError: the scene cannot be opened.
        """
        with self._turn:
            if (scene, version) not in self._kept:
                self._kept[scene, version] = self._draw(self._library.source(scene))
            return self._kept[scene, version]

    def _draw(self, source: SceneSource) -> bytes:
        gaussians, _ = source.current()
        view = view_of_place(first_place(source.photos, gaussians))
        look = Look(background=source.background)
        with RENDERING.turn():
            pixels = draw(Subject(gaussians), view.camera(WIDTH, HEIGHT), look, self._backend)
        page = io.BytesIO()
        Image.fromarray(pixels).save(page, "JPEG", quality=85)
        return page.getvalue()
