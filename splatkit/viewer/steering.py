"""Trainings that the page starts and steers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from aiohttp import web

from splatkit.core import SplatkitError, UsageError
from splatkit.train.config import PRESETS, TrainConfig
from splatkit.viewer.library import Library
from splatkit.viewer.training import Training


class Steering:
    """Routes below ``/api/trainings``.

    Args:
        library: knows the photo folders and the trainings.
        runs: where new run folders go; None starts none.
    """

    def __init__(self, library: Library, runs: Path | None) -> None:
        self._library = library
        self._runs = runs

    def routes(self) -> list[web.RouteDef]:
        """What the front answers."""
        return [
            web.get("/api/folders", self._folders),
            web.get("/api/trainings", self._trainings),
            web.post("/api/trainings", self._start),
            web.post("/api/trainings/{scene}/{wish}", self._obey),
        ]

    async def _folders(self, _: web.Request) -> web.Response:
        folders = await asyncio.to_thread(self._library.photo_folders)
        told = [{"path": str(path), "photos": photos} for path, photos in folders]
        presets = {name: preset.iterations for name, preset in PRESETS.items()}
        return web.json_response(
            {"folders": told, "presets": presets, "can_train": self._runs is not None}
        )

    async def _trainings(self, _: web.Request) -> web.Response:
        told = [{"id": name} | t.status() for name, t in self._library.trainings.items()]
        return web.json_response({"trainings": told})

    async def _start(self, request: web.Request) -> web.Response:
        if self._runs is None:
            raise UsageError("training: this viewer starts none")
        wish = await document_of(request)
        folders = await asyncio.to_thread(self._library.photo_folders)
        photos = next((path for path, _ in folders if str(path) == wish.get("folder")), None)
        if photos is None:
            raise UsageError(f"training: expected a folder of the list, got {wish.get('folder')!r}")
        if wish.get("preset") not in PRESETS:
            raise UsageError(f"training: expected one of {', '.join(PRESETS)} as its effort")
        config = TrainConfig(preset=wish["preset"], iterations=_number(wish, "iterations"))
        training = Training(photos, _free(self._runs / photos.name), config)
        scene = self._library.add_training(training)
        training.start()
        return web.json_response({"id": scene})

    async def _obey(self, request: web.Request) -> web.Response:
        training = self._library.trainings.get(request.match_info["scene"])
        if training is None:
            raise SplatkitError("training: expected one that this viewer knows")
        wish = request.match_info["wish"]
        wishes = {
            "pause": training.pause,
            "go_on": training.go_on,
            "save": training.save,
            "stop": training.stop,
        }
        if wish == "longer":
            training.longer(_number(await document_of(request), "steps") or 0)
        elif wish in wishes:
            wishes[wish]()
        else:
            raise UsageError(f"training: expected {', '.join(wishes)} or longer, got {wish!r}")
        return web.json_response(training.status())


async def document_of(request: web.Request) -> dict[str, Any]:
    """The JSON object that is the body of a request.

    Raises:
        UsageError: it is none.
    """
    try:
        document = json.loads(await request.text())
    except ValueError as error:
        raise UsageError("request: expected JSON") from error
    if not isinstance(document, dict):
        raise UsageError("request: expected a JSON object")
    return document


def _number(document: dict[str, Any], name: str) -> int | None:
    value = document.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise UsageError(f"{name}: expected a whole number, got {value!r}")
    return value


def _free(folder: Path) -> Path:
    """The folder, or the first one of that name with a number that does not exist."""
    number, free = 1, folder
    while free.exists():
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free
