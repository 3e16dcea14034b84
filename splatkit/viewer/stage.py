"""The viser server behind the front: it gives every browser tab its scene."""

from __future__ import annotations

import contextlib
import io
import secrets
import threading
import warnings
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

import numpy as np
import viser

from splatkit.core import SplatkitError
from splatkit.viewer.frustums import TRAINED_COLOR
from splatkit.viewer.library import Library
from splatkit.viewer.line import Line
from splatkit.viewer.look import ALL_MODES
from splatkit.viewer.tab import Setting, Tab
from splatkit.viewer.views import Place, first_place, up_direction

LINK_WORDS = ("position", "look_at", "fov", "mode")
"""What a link to a view holds; see ``Tab.link``."""


class _LocalServer(viser.ViserServer):
    """A viser server that never opens a tunnel through a third party, whoever asks."""

    def request_share_url(self, verbose: bool = True) -> None:
        """There is no share link."""

    def address_of(self, client: viser.ClientHandle) -> str:
        """The path and query that a browser's connection was opened with."""
        # viser tells its handlers nothing of the request; the connection knows.
        connection = self._websock_server._live_connections.get(client.client_id)
        return "" if connection is None or connection.request is None else connection.request.path


class Stage:
    """Listens on a port of this machine alone, and shows scenes to the front's connections only.

    Args:
        library: the scenes.
        backend: see ``render``.
    """

    def __init__(self, library: Library, backend: str) -> None:
        self._library = library
        self._backend = backend
        self._secret = secrets.token_urlsafe(16)
        self._tabs: dict[int, tuple[str, Tab]] = {}
        self._lines: dict[str, Line] = {}
        self._lock = threading.Lock()
        # A browser that leaves while its next picture is on the way is nothing to be warned of.
        warnings.filterwarnings("ignore", r"Queued a \w+ on a closed connection")
        with contextlib.redirect_stdout(io.StringIO()):
            self._server = _LocalServer(host="127.0.0.1", port=0, label="Controls", verbose=False)
        self._server.gui.configure_theme(
            show_logo=False,
            show_share_button=False,
            dark_mode=True,
            brand_color=TRAINED_COLOR,
            control_width="medium",
        )
        self._server.scene.set_up_direction(up_direction())
        self._server.on_client_connect(self._connect)
        self._server.on_client_disconnect(self._disconnect)

    def address(self, scene: str, tab: str, link: Mapping[str, str]) -> str:
        """Where the front connects for a tab that shows a scene as a link says."""
        known = {name: link[name] for name in LINK_WORDS if name in link}
        query = urlencode(known)
        return f"ws://127.0.0.1:{self._server.get_port()}/{self._secret}/{scene}/{tab}?{query}"

    def line(self, key: str) -> Line:
        """The line to the browser of a tab that is about to connect."""
        with self._lock:
            self._lines[key] = Line()
            return self._lines[key]

    def hang_up(self, key: str, line: Line) -> None:
        """The browser of that tab is gone."""
        with self._lock:
            if self._lines.get(key) is line:
                del self._lines[key]

    def tab(self, key: str) -> Tab | None:
        """The tab of that key, None where it is gone."""
        with self._lock:
            return next((tab for name, tab in self._tabs.values() if name == key), None)

    def close(self) -> None:
        """End all sessions and free the port."""
        with self._lock:
            tabs = [tab for _, tab in self._tabs.values()]
            self._tabs.clear()
        for tab in tabs:
            tab.close()
        with contextlib.redirect_stdout(io.StringIO()):
            self._server.stop()

    def _connect(self, client: viser.ClientHandle) -> None:
        address = urlsplit(self._server.address_of(client))
        parts = address.path.strip("/").split("/")
        if len(parts) != 3 or not secrets.compare_digest(parts[0], self._secret):
            return
        _, scene, key = parts
        link = dict(parse_qsl(address.query))
        library = self._library
        try:
            source = library.source(scene)
            others = {entry.name: entry.id for entry in library.entries() if entry.id != scene} | {
                other.name: name for name, other in library.fixed.items() if name != scene
            }
            place = _place(link) or first_place(source.photos, source.current()[0])
            client.camera.position = place.position
            client.camera.look_at = place.look_at
            client.camera.fov = place.fov
            setting = Setting(
                library.trainings.get(scene),
                others,
                library.source,
                self._backend,
                library.run_of(scene),
                line=self._lines.get(key, Line()),
                folder=None if library.uploads is None else library.uploads / "scenes",
            )
            tab = Tab(
                client,
                source,
                setting,
                link["mode"] if link.get("mode") in ALL_MODES else "rgb",
            )
        except SplatkitError as error:
            client.add_notification(
                "This scene cannot be shown", str(error), auto_close_seconds=None
            )
            return
        with self._lock:
            self._tabs[client.client_id] = (key, tab)
        if client.client_id not in self._server.get_clients():
            self._disconnect(client)  # left while its scene was opened

    def _disconnect(self, client: viser.ClientHandle) -> None:
        with self._lock:
            found = self._tabs.pop(client.client_id, None)
        if found is not None:
            found[1].close()


def _place(link: Mapping[str, str]) -> Place | None:
    """The camera that a link holds; None where it holds none, or none that makes sense."""
    try:
        position = np.array([float(value) for value in link["position"].split(",")])
        look_at = np.array([float(value) for value in link["look_at"].split(",")])
        fov = float(link["fov"])
    except (KeyError, ValueError):
        return None
    numbers = np.concatenate((position, look_at))
    if len(position) != 3 or len(look_at) != 3 or not np.isfinite(numbers).all():
        return None
    if not 0.01 < fov < 3 or np.linalg.norm(look_at - position) < 1e-6:
        return None
    return Place(position, look_at, fov)
