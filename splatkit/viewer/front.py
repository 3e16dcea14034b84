"""The pages and the questions that they ask: everything that a browser reaches, on one port."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import viser
from aiohttp import web
from PIL import Image

from splatkit.core import SplatkitError, UsageError
from splatkit.train.run_folder import RunFolder
from splatkit.viewer.library import Entry, Library
from splatkit.viewer.phone import Phone
from splatkit.viewer.ranking import Ranking
from splatkit.viewer.refusals import Refusals
from splatkit.viewer.relay import relay
from splatkit.viewer.stage import Stage
from splatkit.viewer.steering import Steering, document_of
from splatkit.viewer.thumbnails import Thumbnails
from splatkit.viewer.uploads import receive_path, receive_photo, receive_scene

PAGES = Path(__file__).parent / "pages"
STATIC = {path.name: path for path in PAGES.iterdir() if path.suffix in (".css", ".js", ".svg")}
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY = "frame-ancestors 'self'"


class Front:
    """Answers for a library and a stage.

    Args:
        library: the scenes.
        stage: shows them.
        backend: see ``render``.
        runs: where trainings that the page starts put their run folders; None starts none.
        phone: knows the way here for a phone.
    """

    def __init__(
        self, library: Library, stage: Stage, backend: str, runs: Path | None, phone: Phone
    ) -> None:
        self._phone = phone
        self._library = library
        self._stage = stage
        self._thumbnails = Thumbnails(library, backend)
        self._ranking = Ranking(backend)
        self._steering = Steering(library, runs)

    def app(self, guard: Callable[..., Awaitable]) -> web.Application:
        """The application, behind a guard."""
        app = web.Application(middlewares=[_logged, guard, _errors], client_max_size=1 << 16)
        app.add_routes(
            [
                web.get("/", _page("library.html")),
                web.get("/s/{scene}", _page("scene.html")),
                web.get("/s/{scene}/photos", _page("photos.html")),
                web.get("/static/{name}", _static),
                web.get("/viser", _viser_page),
                web.get("/ws/{scene}/{tab}", self._socket),
                web.get("/api/scenes", self._scenes),
                web.post("/api/scenes", self._add_scene),
                web.get("/api/scenes/{scene}", self._scene),
                web.get("/api/scenes/{scene}/thumbnail.jpg", self._thumbnail),
                web.get("/api/scenes/{scene}/file", self._file),
                web.get("/api/scenes/{scene}/report", self._report),
                web.get("/api/scenes/{scene}/photos", self._photos),
                web.get("/api/scenes/{scene}/photos/{index:\\d+}", self._strip),
                web.get("/api/tabs/{tab}", self._tab),
                web.get("/api/tabs/{tab}/link", self._link),
                web.get("/api/tabs/{tab}/picture.png", self._picture),
                web.post("/api/tabs/{tab}/path", self._open_path),
                web.post("/api/tabs/{tab}/stroke", self._stroke),
                web.post("/api/photos", self._add_photo),
                *self._phone.routes(),
                *self._steering.routes(),
            ]
        )
        return app

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        scene, tab = request.match_info["scene"], request.match_info["tab"]
        line = self._stage.line(tab)
        try:
            return await relay(request, self._stage.address(scene, tab, request.query), line)
        finally:
            self._stage.hang_up(tab, line)

    async def _scenes(self, request: web.Request) -> web.Response:
        entries = await asyncio.to_thread(self._library.entries)
        fixed = [_told_open(name, s.name) for name, s in self._library.fixed.items()]
        scenes = fixed + [_told(entry) for entry in entries]
        return web.json_response({"scenes": scenes, "uploads": self._library.uploads is not None})

    async def _scene(self, request: web.Request) -> web.Response:
        scene = request.match_info["scene"]
        training = self._library.trainings.get(scene)
        if training is not None:
            told = {"id": scene, "name": training.source.name, "file": None, "report": False}
            told["photos"] = len(training.source.photos) or None
        elif scene in self._library.fixed:
            source = self._library.fixed[scene]
            told = _told_open(scene, source.name) | {"photos": len(source.photos) or None}
        else:
            told = _told(await asyncio.to_thread(self._library.entry, scene))
        if training is not None and not training.busy:
            with contextlib.suppress(SplatkitError):  # stopped before there was a file
                told = _told(await asyncio.to_thread(self._library.entry, scene))
        return web.json_response(told | {"training": training.status() if training else None})

    async def _add_scene(self, request: web.Request) -> web.Response:
        uploads = self._uploads()
        path = await receive_scene(request, uploads, request.query.get("name", ""))
        entries = await asyncio.to_thread(self._library.entries)
        return web.json_response(_told(next(entry for entry in entries if entry.path == path)))

    async def _add_photo(self, request: web.Request) -> web.Response:
        query = request.query
        folder = await receive_photo(
            request, self._uploads(), query.get("folder", ""), query.get("name", "")
        )
        return web.json_response({"folder": str(folder)})

    async def _thumbnail(self, request: web.Request) -> web.Response:
        scene = request.match_info["scene"]
        if scene in self._library.fixed:
            version: object = 0
        else:
            version = (await asyncio.to_thread(self._library.entry, scene)).modified
        jpeg = await asyncio.to_thread(self._thumbnails.jpeg, scene, version)
        return web.Response(
            body=jpeg, content_type="image/jpeg", headers={"Cache-Control": "private, max-age=60"}
        )

    async def _file(self, request: web.Request) -> web.FileResponse:
        entry = await asyncio.to_thread(self._library.entry, request.match_info["scene"])
        name = f"{entry.name}{entry.file.suffix}" if entry.path.is_dir() else entry.file.name
        return web.FileResponse(entry.file, headers=_attached(name))

    async def _report(self, request: web.Request) -> web.FileResponse:
        entry = await asyncio.to_thread(self._library.entry, request.match_info["scene"])
        report = RunFolder(entry.path).report
        if not report.is_file():
            raise SplatkitError(f"{entry.name}: there is no report")
        return web.FileResponse(
            report, headers={"Content-Security-Policy": "sandbox allow-scripts"}
        )

    async def _photos(self, request: web.Request) -> web.Response:
        source = await asyncio.to_thread(self._library.source, request.match_info["scene"])
        photos = [{"name": photo.name, "held_out": photo.held_out} for photo in source.photos]
        return web.json_response({"name": source.name, "photos": photos})

    async def _strip(self, request: web.Request) -> web.Response:
        source = await asyncio.to_thread(self._library.source, request.match_info["scene"])
        index = int(request.match_info["index"])
        strip = await asyncio.to_thread(self._ranking.strip, source, index)
        headers = {"X-Psnr": f"{strip.psnr:.3f}", "Cache-Control": "no-store"}
        return web.Response(body=strip.jpeg, content_type="image/jpeg", headers=headers)

    async def _tab(self, request: web.Request) -> web.Response:
        tab = self._stage.tab(request.match_info["tab"])
        return web.json_response({"drawn": tab is not None and tab.session.last is not None})

    async def _link(self, request: web.Request) -> web.Response:
        tab = self._stage.tab(request.match_info["tab"])
        if tab is None:
            raise SplatkitError("view: expected a page that shows a scene; reload it")
        return web.json_response(tab.link())

    async def _open_path(self, request: web.Request) -> web.Response:
        tab = self._stage.tab(request.match_info["tab"])
        if tab is None:
            raise SplatkitError("path: expected a page that shows a scene; reload it")
        path = await receive_path(request)
        await asyncio.to_thread(tab.walking.open, path)
        return web.json_response({"views": len(path.cameras)})

    async def _stroke(self, request: web.Request) -> web.Response:
        tab = self._stage.tab(request.match_info["tab"])
        if tab is None:
            raise SplatkitError("brush: expected a page that shows a scene; reload it")
        told = await document_of(request)
        points, radius, how = (told.get(name, "") for name in ("points", "radius", "how"))
        if not (_is_stroke(points) and _is_share(radius) and how in ("add", "remove")):
            raise UsageError(
                f"brush: expected 1 to {MOST_POINTS} points and a radius, shares of the view, and "
                "add or remove"
            )
        count = await asyncio.to_thread(tab.paint, points, radius, how)
        return web.json_response({"selected": count})

    async def _picture(self, request: web.Request) -> web.Response:
        tab = self._stage.tab(request.match_info["tab"])
        shown = None if tab is None else tab.session.last
        if shown is None:
            raise SplatkitError("view: expected a page that shows a scene; reload it")
        page = io.BytesIO()
        await asyncio.to_thread(Image.fromarray(shown.pixels).save, page, "PNG")
        return web.Response(
            body=page.getvalue(), content_type="image/png", headers=_attached("view.png")
        )

    def _uploads(self) -> Path:
        if self._library.uploads is None:
            raise UsageError("upload: this viewer takes no files")
        return self._library.uploads


MOST_POINTS = 1000
"""Of a stroke."""


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_stroke(points: Any) -> bool:
    if not isinstance(points, list) or not 0 < len(points) <= MOST_POINTS:
        return False
    return all(isinstance(p, list) and len(p) == 2 and all(map(_is_share, p)) for p in points)


_REFUSALS = Refusals()
REFUSED = (400, 401, 403, 413)


@web.middleware
async def _logged(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Note what was refused."""
    try:
        answer = await handler(request)
    except web.HTTPException as error:
        if error.status in REFUSED:
            _REFUSALS.note(error.status, request.path, request.remote)
        raise
    if answer.status in REFUSED:
        _REFUSALS.note(answer.status, request.path, request.remote)
    return answer


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """What went wrong as one line of JSON, for the page to show."""
    try:
        return await handler(request)
    except SplatkitError as error:
        status = 400 if isinstance(error, UsageError) else 404
        return web.json_response({"error": " ".join(str(error).split())}, status=status)


def _page(name: str) -> Callable[[web.Request], Awaitable[web.FileResponse]]:
    async def answer(_: web.Request) -> web.FileResponse:
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY}
        return web.FileResponse(PAGES / name, headers=headers)

    return answer


async def _static(request: web.Request) -> web.FileResponse:
    path = STATIC.get(request.match_info["name"])
    if path is None:
        raise web.HTTPNotFound
    headers = {"Cache-Control": "no-cache", "Content-Type": TYPES[path.suffix]}
    return web.FileResponse(path, headers=headers)


async def _viser_page(request: web.Request) -> web.Response:
    """viser's own page, which the page of a scene frames."""
    packed = "gzip" in request.headers.get("Accept-Encoding", "")
    tag = f'"{viser.__version__}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Content-Security-Policy": POLICY}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    if packed:
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=_viser_bytes(packed), content_type="text/html", headers=headers)


@cache
def _viser_bytes(packed: bool) -> bytes:
    page = (Path(viser.__file__).parent / "client" / "build" / "index.html").read_bytes()
    return gzip.compress(page) if packed else page


def _told(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "name": entry.name,
        "file": entry.file.name,
        "size": entry.size,
        "modified": entry.modified,
        "photos": entry.photos,
        "psnr": entry.psnr,
        "is_run": entry.path.is_dir(),
        "report": RunFolder(entry.path).report.is_file(),
    }


def _told_open(scene: str, name: str) -> dict[str, Any]:
    """A scene that was handed over open and has no file."""
    return {"id": scene, "name": name, "file": None, "is_run": False, "report": False}


def _attached(name: str) -> dict[str, str]:
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
