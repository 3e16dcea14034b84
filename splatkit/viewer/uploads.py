"""What people send to the page: scene files and photos, bounded, checked, and kept apart."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from tempfile import TemporaryDirectory

from aiohttp import web

from splatkit.core import SplatkitError, UsageError
from splatkit.io import atomic_path, read_gaussians
from splatkit.io.camera_path import CameraPath, read_camera_path
from splatkit.io.images import SUFFIXES as PHOTO_SUFFIXES
from splatkit.viewer.library import is_scene_file

MOST_SCENE_BYTES = 2 << 30
MOST_PHOTO_BYTES = 100 << 20
MOST_PHOTOS = 2000
"""In one folder."""
MOST_PATH_BYTES = 32 << 20
_CHUNK = 1 << 18


async def receive_scene(request: web.Request, uploads: Path, name: str) -> Path:
    """Take a scene file whose bytes are the body, and read it once as a check.

    Returns:
        Where it is kept; a number is added where the name is taken.

    Raises:
        SplatkitError: it is no scene file, a damaged one, or too large.
    """
    name = plain_name(name)
    final = _free(uploads / "scenes" / name)
    with atomic_path(final) as kept:
        await _receive(request, kept, MOST_SCENE_BYTES)
        if not is_scene_file(kept):
            raise UsageError(f"{name}: expected a scene file (.ply, .splat, .spz, .sog, ...)")
        try:
            await asyncio.to_thread(read_gaussians, kept)
        except SplatkitError as error:
            # The temporary name means nothing to who sent the file.
            raise SplatkitError(str(error).replace(str(kept), name)) from error
    return final


async def receive_photo(request: web.Request, uploads: Path, folder: str, name: str) -> Path:
    """Take a photo whose bytes are the body into a folder of photos.

    Returns:
        The folder.

    Raises:
        SplatkitError: it is no photo by its name, too large, or one too many.
    """
    name = plain_name(name)
    if Path(name).suffix.lower() not in PHOTO_SUFFIXES:
        raise UsageError(f"{name}: expected a photo ({', '.join(sorted(PHOTO_SUFFIXES))})")
    target = uploads / "photos" / plain_name(folder)
    if target.is_dir() and sum(1 for _ in target.iterdir()) >= MOST_PHOTOS:
        raise UsageError(f"{folder}: expected at most {MOST_PHOTOS} photos")
    with atomic_path(_free(target / name)) as kept:
        await _receive(request, kept, MOST_PHOTO_BYTES)
    return target


async def receive_path(request: web.Request) -> CameraPath:
    """Take a camera path whose bytes are the body; nothing is kept.

    Raises:
        SplatkitError: it is none, or too large.
    """
    with TemporaryDirectory(prefix="splatkit-path-") as folder:
        file = Path(folder) / "path.json"
        await _receive(request, file, MOST_PATH_BYTES)
        try:
            return await asyncio.to_thread(read_camera_path, file)
        except SplatkitError as error:
            raise UsageError(str(error).replace(str(file), "path")) from error


def plain_name(name: str) -> str:
    """The last part of a file name, without what has a meaning in paths.

    Raises:
        UsageError: nothing is left of it.
    """
    last = re.split(r"[\\/]", name)[-1]
    plain = re.sub(r"[^\w .()+-]", "_", last).strip(" .")[-120:]
    if not plain:
        raise UsageError(f"{name!r}: expected the name of a file")
    return plain


async def _receive(request: web.Request, target: Path, most: int) -> None:
    if (request.content_length or 0) > most:
        raise UsageError(
            f"expected at most {most >> 20} MB, got {request.content_length or 0} bytes"
        )
    received = 0
    with target.open("wb") as file:
        async for chunk in request.content.iter_chunked(_CHUNK):
            received += len(chunk)
            if received > most:
                raise UsageError(f"expected at most {most >> 20} MB, got more")
            await asyncio.to_thread(file.write, chunk)


def _free(path: Path) -> Path:
    """The path, or the first one of that name with a number that does not exist."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free
