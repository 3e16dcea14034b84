"""Masks that lie beside photos, in the ways that tools and people name them.

A mask is a picture of its photo's size or shape: black where the photo does not count. It is
called ``x.mask.png`` or ``x_mask.png`` beside ``x.jpg``, or lies in a folder ``masks`` (or
``mask``) inside or beside the photos', as ``x.png``, ``x.jpg.png`` or ``x.jpg``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

_FOLDERS = ("masks", "mask")
_ENDINGS = (".mask", "_mask")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")


def without_masks(names: Sequence[str]) -> list[str]:
    """The names that are no mask of another one."""
    stems = {_stem(name) for name in names}
    return [name for name in names if _photo_stem(name) not in stems]


def find_masks(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """The masks of photos, as far as there are any: photo name -> file."""
    places = [place / sub for place in (folder, folder.parent) for sub in _FOLDERS]
    places = [place for place in places if place.is_dir()]
    masks = {}
    for name in names:
        stem = _stem(name)
        beside = [folder / f"{stem}{end}{suffix}" for end in _ENDINGS for suffix in _SUFFIXES]
        inside = [
            place / f"{known}{suffix}"
            for place in places
            for known in (stem, name)
            for suffix in _SUFFIXES
        ] + [place / name for place in places]
        found = next((path for path in (*beside, *inside) if path.is_file()), None)
        if found is not None:
            masks[name] = found
    return masks


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()


def _photo_stem(name: str) -> str | None:
    """The stem of the photo that a mask's name speaks of; None for other names."""
    stem = _stem(name)
    for ending in _ENDINGS:
        if stem.endswith(ending) and PurePosixPath(name).suffix.lower() in _SUFFIXES:
            return stem.removesuffix(ending)
    return None
