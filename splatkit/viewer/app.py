"""The viewer's server: viser on one port, a session and a panel for every browser."""

from __future__ import annotations

import contextlib
import io
import ipaddress
import socket
import threading
import time
import warnings
from dataclasses import dataclass

import numpy as np
import viser

from splatkit.core import Photo, UsageError
from splatkit.render import get_backend
from splatkit.viewer.frustums import TRAINED_COLOR, Frustums
from splatkit.viewer.panel import Panel
from splatkit.viewer.session import Session
from splatkit.viewer.source import SceneSource
from splatkit.viewer.views import (
    Place,
    View,
    first_place,
    middle,
    place_of_photo,
    up_direction,
)

FLIGHT_SECONDS = 0.7
FRAMES_A_SECOND = 30


class _LocalServer(viser.ViserServer):
    """A viser server that never opens a tunnel through a third party, whoever asks."""

    def request_share_url(self, verbose: bool = True) -> None:
        """There is no share link."""


@dataclass
class _Browser:
    session: Session
    panel: Panel | None = None
    flight: int = 0
    """Number of the flight in progress; a later one ends it."""


class Viewer:
    """Serves a scene until it is closed.

    Args:
        source: the scene.
        host: address to listen at; 127.0.0.1 reaches this machine alone.
        port: wanted port; the next free one is taken where it is in use, any where it is 0.
        backend: see ``splatkit.render.render``.

    Raises:
        UsageError: the address is none of this machine's, or there is no such backend.
    """

    def __init__(
        self, source: SceneSource, host: str = "127.0.0.1", port: int = 8080, backend: str = "auto"
    ) -> None:
        _check_address(host, port)
        get_backend(backend)
        self._source = source
        self._backend = backend
        self._browsers: dict[int, _Browser] = {}
        self._lock = threading.Lock()
        gaussians, _ = source.current()
        self._middle = middle(source.photos, gaussians)
        self._home = first_place(source.photos, gaussians)
        # A browser that leaves while its next picture is on the way is nothing to be warned of.
        warnings.filterwarnings("ignore", r"Queued a \w+ on a closed connection")
        with contextlib.redirect_stdout(io.StringIO()):
            self._server = _LocalServer(host=host, port=port, label="splatkit", verbose=False)
        self._server.gui.configure_theme(
            show_logo=False, show_share_button=False, dark_mode=True, brand_color=TRAINED_COLOR
        )
        self._server.scene.set_up_direction(up_direction())
        self._server.initial_camera.position = self._home.position
        self._server.initial_camera.look_at = self._home.look_at
        self._server.initial_camera.fov = self._home.fov
        self._server.on_client_connect(self._connect)
        self._server.on_client_disconnect(self._disconnect)

    @property
    def port(self) -> int:
        """The port that is listened at."""
        return self._server.get_port()

    @property
    def url(self) -> str:
        """The page's address on this machine."""
        host = self._server.get_host()
        host = "localhost" if host in ("0.0.0.0", "::", "127.0.0.1") else host
        return f"http://{host}:{self.port}"

    def close(self) -> None:
        """End all sessions and free the port."""
        with self._lock:
            browsers = list(self._browsers.values())
            self._browsers.clear()
        for browser in browsers:
            browser.session.stop()
        with contextlib.redirect_stdout(io.StringIO()):
            self._server.stop()

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self, client: viser.ClientHandle) -> None:
        def send(pixels: np.ndarray, quality: int | None) -> None:
            kind = "png" if quality is None else "jpeg"
            client.scene.set_background_image(pixels, format=kind, jpeg_quality=quality)
            client.flush()

        browser = _Browser(
            Session(
                self._source,
                send,
                lambda shown: browser.panel.tell(shown) if browser.panel else None,
                self._backend,
            )
        )
        with self._lock:
            self._browsers[client.client_id] = browser
        home = self._home

        def go(photo: Photo) -> None:
            aspect = client.camera.image_width / max(client.camera.image_height, 1)
            self._fly(client, browser, place_of_photo(photo, self._middle, aspect))

        distance = float(np.linalg.norm(home.look_at - home.position))
        frustums = Frustums(client, self._source.photos, distance, go)
        browser.panel = Panel(
            client,
            browser.session,
            self._source,
            frustums.show,
            lambda: self._fly(client, browser, home),
        )

        def moved(camera: viser.CameraHandle) -> None:
            browser.session.move(*_view_of(camera))
            frustums.seen_from(np.array(camera.position))

        client.camera.on_update(moved)
        browser.session.move(*_view_of(client.camera))
        browser.session.start()

    def _disconnect(self, client: viser.ClientHandle) -> None:
        with self._lock:
            browser = self._browsers.pop(client.client_id, None)
        if browser is not None:
            browser.session.stop()

    def _fly(self, client: viser.ClientHandle, browser: _Browser, goal: Place) -> None:
        """Move a browser's camera smoothly; a later flight takes over."""
        browser.flight += 1
        flight = browser.flight
        camera = client.camera
        start = Place(np.array(camera.position), np.array(camera.look_at), camera.fov)
        began = time.monotonic()
        share = 0.0
        while share < 1 and browser.flight == flight:
            share = min(1.0, (time.monotonic() - began) / FLIGHT_SECONDS)
            eased = share * share * (3 - 2 * share)
            with client.atomic():
                camera.position = start.position + eased * (goal.position - start.position)
                camera.look_at = start.look_at + eased * (goal.look_at - start.look_at)
                camera.fov = start.fov + eased * (goal.fov - start.fov)
            client.flush()
            time.sleep(1 / FRAMES_A_SECOND)


def is_loopback(host: str) -> bool:
    """Whether an address reaches this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_address(host: str, port: int) -> None:
    if not 0 <= port <= 65535:
        raise UsageError(f"--port: expected 0 to 65535, got {port}")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.bind(address)
    except OSError as error:
        raise UsageError(
            f"--host: expected an address of this machine (127.0.0.1, or 0.0.0.0 for all), got "
            f"{host!r} ({error.strerror})"
        ) from error


def _view_of(camera: viser.CameraHandle) -> tuple[View, int, int]:
    w, x, y, z = (float(value) for value in camera.wxyz)
    px, py, pz = (float(value) for value in camera.position)
    view = View((w, x, y, z), (px, py, pz), camera.fov)
    return view, camera.image_width, camera.image_height
