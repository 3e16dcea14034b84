"""Photos that are there twice: the same bytes again, or one shot in two formats."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from splatkit.io.raw import SUFFIXES as RAW_SUFFIXES

_BESIDE = RAW_SUFFIXES | {".heic", ".heif", ".hif"}
"""Formats in which cameras keep a second copy of a JPEG."""
_DEVELOPED = (".jpg", ".jpeg")


def find_twins(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Photos to leave out: name -> the name of the one that stays."""
    developed = {
        PurePosixPath(name).with_suffix("").as_posix().lower(): name
        for name in names
        if PurePosixPath(name).suffix.lower() in _DEVELOPED
    }
    twins = {}
    for name in names:
        path = PurePosixPath(name)
        stem = path.with_suffix("").as_posix().lower()
        if path.suffix.lower() in _BESIDE and stem in developed:
            twins[name] = developed[stem]
    return twins | _same_bytes(folder, [name for name in names if name not in twins])


def _same_bytes(folder: Path, names: Sequence[str]) -> dict[str, str]:
    by_size: dict[int, list[str]] = {}
    for name in names:
        by_size.setdefault((folder / name).stat().st_size, []).append(name)
    twins = {}
    for group in by_size.values():
        seen: dict[bytes, str] = {}
        for name in group if len(group) > 1 else []:
            with (folder / name).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
            if digest in seen:
                twins[name] = seen[digest]
            seen.setdefault(digest, name)
    return twins
