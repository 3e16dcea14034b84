"""Photo sets made harder, in the ways in which people's own photos are hard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from splatkit.io.images import list_images, read_image, read_info

FULL_FRAME_DIAGONAL = np.hypot(36.0, 24.0)
Change = Callable[[Path, Path], dict[str, str]]
"""Writes the photos of one folder to another; returns new name -> old name, or "" for photos that
do not belong to the scene and must not be placed."""


def exif_stripped(photos: Path, out: Path) -> dict[str, str]:
    """No camera, no focal length, no orientation."""
    return _each(photos, out, lambda i, image: image)


def focal_wrong(photos: Path, out: Path, factor: float = 1.4) -> dict[str, str]:
    """EXIF states a focal length that is 40% too long; where it stated none, one is made up."""

    def exif(name: str) -> Image.Exif:
        info = read_info(photos / name)
        diagonal = np.hypot(info.width, info.height)
        focal = info.focal or 0.8 * max(info.width, info.height)
        made = Image.Exif()
        made[0x010F] = "Maker"
        made.get_ifd(0x8769)[0xA405] = round(factor * focal * FULL_FRAME_DIAGONAL / diagonal)
        return made

    return _each(photos, out, lambda i, image: image, exif=exif)


def orientations_mixed(photos: Path, out: Path) -> dict[str, str]:
    """Stored in four directions, with the EXIF tag that says so."""
    names = list_images(photos)
    stored = ((1, 0), (6, 1), (3, 2), (8, 3))  # tag, quarter turns anticlockwise

    def exif(name: str) -> Image.Exif:
        made = Image.Exif()
        made[0x0112] = stored[names.index(name) % 4][0]
        return made

    return _each(photos, out, lambda i, image: np.rot90(image, stored[i % 4][1]), exif=exif)


def third_downscaled(photos: Path, out: Path) -> dict[str, str]:
    """Every third photo at half the size."""
    half = {0: 0.5}
    return _each(photos, out, lambda i, image: _resized(image, half.get(i % 3, 1.0)))


def five_blurred(photos: Path, out: Path, count: int = 5) -> dict[str, str]:
    """Photos spread over the set out of focus beyond use."""
    names = list_images(photos)
    spoilt = {round(k) for k in np.linspace(1, len(names) - 2, count)}

    def blur(i: int, image: np.ndarray) -> np.ndarray:
        sigma = max(image.shape[:2]) / 60
        return cv2.GaussianBlur(image, (0, 0), sigma) if i in spoilt else image

    return _each(photos, out, blur)


def with_strangers(strangers: list[np.ndarray]) -> Change:
    """Photos of another scene among them."""

    def change(photos: Path, out: Path) -> dict[str, str]:
        placed = exif_stripped(photos, out)
        for k, image in enumerate(strangers):
            Image.fromarray(image).save(out / f"another_{k}.jpg", quality=95)
            placed[f"another_{k}.jpg"] = ""
        return placed

    return change


def order_shuffled(photos: Path, out: Path) -> dict[str, str]:
    """Names that say nothing about the order in which the photos were taken."""
    order = np.random.default_rng(0).permutation(len(list_images(photos)))
    return _each(photos, out, lambda i, image: image, rename=lambda i: f"p{order[i]:03d}.jpg")


def recompressed(photos: Path, out: Path) -> dict[str, str]:
    """JPEG of quality 30."""
    return _each(photos, out, lambda i, image: image, quality=30)


def _each(
    photos: Path,
    out: Path,
    change: Callable[[int, np.ndarray], np.ndarray],
    *,
    exif: Callable[[str], Image.Exif] | None = None,
    rename: Callable[[int], str] | None = None,
    quality: int = 95,
) -> dict[str, str]:
    out.mkdir(parents=True)
    found = {}
    for i, name in enumerate(list_images(photos)):
        image = change(i, read_image(photos / name)[..., :3])
        new = rename(i) if rename else f"{Path(name).stem}.jpg"
        more = {} if exif is None else {"exif": exif(name)}
        Image.fromarray(np.ascontiguousarray(image)).save(out / new, quality=quality, **more)
        found[new] = name
    return found


def _resized(image: np.ndarray, factor: float) -> np.ndarray:
    if factor == 1:
        return image
    size = round(image.shape[1] * factor), round(image.shape[0] * factor)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


CHANGES: dict[str, Change] = {
    "EXIF stripped": exif_stripped,
    "EXIF focal length 40% off": focal_wrong,
    "orientations mixed": orientations_mixed,
    "a third downscaled": third_downscaled,
    "five blurred": five_blurred,
    "order shuffled": order_shuffled,
    "recompressed": recompressed,
}
