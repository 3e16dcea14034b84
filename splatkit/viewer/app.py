"""The viewer's server: one port for pages, pictures and controls."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from aiohttp import web

from splatkit.core import UsageError
from splatkit.render import get_backend
from splatkit.viewer.front import Front
from splatkit.viewer.guard import guard, is_loopback
from splatkit.viewer.library import Library
from splatkit.viewer.phone import Phone
from splatkit.viewer.stage import Stage

PORTS_TRIED = 100
SECONDS_TO_CLOSE = 2.0


class Viewer:
    """Serves a library until it is closed.

    Args:
        library: the scenes.
        host: address to listen at; 127.0.0.1 reaches this machine alone.
        port: wanted port; the next free one is taken where it is in use, any where it is 0.
        backend: see ``splatkit.render.render``.
        token: word that a browser must bring; None lets everybody in.
        runs: where trainings that the page starts put their run folders; None starts none.

    Raises:
        UsageError: the address is none of this machine's, or there is no such backend.
    """

    def __init__(
        self,
        library: Library,
        host: str = "127.0.0.1",
        port: int = 8080,
        backend: str = "auto",
        token: str | None = None,
        runs: Path | None = None,
    ) -> None:
        get_backend(backend)
        self._host, self._token = host, token
        self._socket = _listen(host, port)
        self.library = library
        self._stage = Stage(library, backend)
        front = Front(library, self._stage, backend, runs, Phone(host, self.port, token))
        self._runner = web.AppRunner(
            front.app(guard(token, is_loopback(host))),
            access_log=None,
            shutdown_timeout=SECONDS_TO_CLOSE,
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="viewer front", daemon=True
        )
        self._thread.start()
        self._call(self._serve())

    @property
    def port(self) -> int:
        """The port that is listened at."""
        return self._socket.getsockname()[1]

    @property
    def url(self) -> str:
        """The address of the first page on this machine, with the token."""
        host = "localhost" if self._host in ("0.0.0.0", "::", "127.0.0.1") else self._host
        host = f"[{host}]" if ":" in host else host
        query = "" if self._token is None else f"?token={self._token}"
        return f"http://{host}:{self.port}/{query}"

    def url_of(self, scene: str) -> str:
        """The address of a scene's page."""
        base, _, query = self.url.partition("?")
        return f"{base}s/{scene}" + (f"?{query}" if query else "")

    def close(self) -> None:
        """End all sessions and free the port; a training that goes on is saved and ended."""
        for training in self.library.trainings.values():
            training.stop()
        self._call(self._runner.cleanup())
        self._stage.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=SECONDS_TO_CLOSE)

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _serve(self) -> None:
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _listen(host: str, port: int) -> socket.socket:
    """A socket bound to the port or one of the next ones."""
    if not 0 <= port <= 65535:
        raise UsageError(f"--port: expected 0 to 65535, got {port}")
    tried = [port] if port == 0 else range(port, min(port + PORTS_TRIED, 65536))
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        for number in tried:
            listening = socket.socket(family, kind)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listening.bind((address[0], number, *address[2:]))
                listening.listen(128)
                return listening
            except OSError as error:
                listening.close()
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
    except OSError as error:
        raise UsageError(
            f"--host: expected an address of this machine (127.0.0.1, or 0.0.0.0 for all), got "
            f"{host!r} ({error.strerror})"
        ) from error
    raise UsageError(f"--port: expected a free one from {port} to {tried[-1]}, found none")
