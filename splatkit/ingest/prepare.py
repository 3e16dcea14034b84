"""Photos made ready for feature detection: upright, opaque, of a size, grouped by lens."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from splatkit.core import Event, Note, Progress, SplatkitError
from splatkit.ingest.config import IngestConfig
from splatkit.ingest.look import Look, look_at_photo
from splatkit.io.files import link_or_copy
from splatkit.io.images import (
    PhotoInfo,
    fit_within,
    read_image,
    read_info,
    read_mask,
    resize_area,
    write_image,
)

PHOTOS, MASKS = "photos", "masks"
BLANK = "%20"
"""A blank in the name of a copy: the mapper's lists of pairs are separated by blanks."""
DEFAULT_FOCAL = 1.2
"""Focal length over the long side where EXIF says nothing: what phones have."""


@dataclass(frozen=True)
class Prepared:
    """A photo and its copy."""

    name: str
    copy: str
    """Name in the work folder."""
    info: PhotoInfo
    look: Look
    width: int
    """Of the copy."""
    height: int
    mask: Path | None = None
    """The user's mask of the photo."""


def prepare_photos(
    folder: Path,
    names: list[str],
    work: Path,
    config: IngestConfig,
    missing: dict[str, str],
    masks: Mapping[str, Path],
) -> Generator[Event, None, list[Prepared]]:
    """Upright 8-bit copies of a size for feature detection, and masks where there are any.

    Args:
        folder: where the photos are.
        names: the photos, relative to it.
        work: receives ``photos`` and ``masks``.
        config: size of the copies, threads.
        missing: collects the photos that cannot be read: name -> reason.
        masks: photo name -> its mask.
    """
    copies = work / PHOTOS
    copies.mkdir(parents=True, exist_ok=True)
    prepared = []

    def prepare(name: str) -> Prepared | SplatkitError:
        try:
            return _copy(folder / name, name, work, config.max_image_size, masks.get(name))
        except _UnreadableError as error:
            return error

    with ThreadPoolExecutor(config.threads or os.cpu_count() or 1) as pool:
        try:
            for i, (name, result) in enumerate(zip(names, pool.map(prepare, names), strict=True)):
                if isinstance(result, Prepared):
                    prepared.append(result)
                else:
                    missing[name] = "cannot be read"
                    yield Note(f"left out: {result}", warning=True)
                yield Progress("Reading photos", i + 1, len(names), name)
        finally:
            pool.shutdown(cancel_futures=True)
    return prepared


class _UnreadableError(SplatkitError):
    """One photo is at fault, not the work as a whole."""


def _copy(source: Path, name: str, work: Path, longest: int, mask: Path | None) -> Prepared:
    try:
        info = read_info(source)
        width, height = fit_within(info.width, info.height, longest)
        same = info.plain and (width, height) == (info.width, info.height)
        copy = name if source.suffix.lower() in (".jpg", ".jpeg", ".png") else f"{name}.jpg"
        copy = copy.replace(" ", BLANK)
        target = work / PHOTOS / copy
        # Reading every photo here finds the damaged ones before an hour of work.
        masked = mask is not None or info.transparent
        image = read_image(target if target.is_file() and not masked else source)
        if masked:
            small = resize_area(image, width, height)
            _write_mask(source, small, mask, work / MASKS / f"{copy}.png")
    except SplatkitError as error:
        raise _UnreadableError(str(error)) from error
    small = resize_area(_opaque(image), width, height)
    if not target.is_file():
        if same:
            link_or_copy(source, target)
        else:
            write_image(target, small)
    return Prepared(name, copy, info, look_at_photo(small), width, height, mask)


def _write_mask(source: Path, image: np.ndarray, mask: Path | None, target: Path) -> None:
    """Black where no features are to be looked for: masked by the user, or transparent."""
    height, width = image.shape[:2]
    counts = np.full((height, width), 255, np.uint8)
    if mask is not None:
        counts = np.minimum(counts, resize_area(read_mask(mask, source), width, height))
    if image.shape[2] == 4:
        counts = np.minimum(counts, image[..., 3])
    write_image(target, np.where(counts < 128, 0, 255).astype(np.uint8))


def _opaque(image: np.ndarray) -> np.ndarray:
    """[H,W,3]: transparent pixels become white, whatever colour hides under them."""
    if image.shape[2] == 3:
        return image
    alpha = image[..., 3:].astype(np.float32) / 255
    return np.round(image[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def camera_groups(prepared: list[Prepared]) -> list[dict[str, Any]]:
    """Photos of one lens and setting share a camera, as far as EXIF can tell."""
    groups: dict[tuple, dict[str, Any]] = {}
    for photo in prepared:
        info = photo.info
        known = info.focal is not None
        focal = (info.focal or 0) * photo.width / info.width
        key = (info.width, info.height, info.camera, round(focal, 1))
        group = groups.setdefault(
            key,
            {
                "width": photo.width,
                "height": photo.height,
                "focal": focal if known else DEFAULT_FOCAL * max(photo.width, photo.height),
                "focal_known": known,
                "names": [],
            },
        )
        group["names"].append(photo.copy)
    return list(groups.values())
