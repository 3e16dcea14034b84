"""Raw photos (DNG, CR3, NEF, ...), developed as the camera would have: the extra ``raw``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from splatkit.core import SplatkitError

SUFFIXES = frozenset(
    (".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw")
)
_QUARTER_TURNS = (5, 6)
"""LibRaw's flips that exchange width and height."""


def read_raw(path: Path, *, upright: bool = True) -> np.ndarray:
    """Develop a raw photo with the camera's white balance: [H,W,3] uint8 sRGB.

    Raises:
        SplatkitError: rawpy is not installed, or the file is damaged.
    """
    with _opened(path) as raw:
        flip = {} if upright else {"user_flip": 0}
        return raw.postprocess(use_camera_wb=True, output_bps=8, **flip)


def raw_size(path: Path) -> tuple[int, int]:
    """Width and height of the developed, upright picture; errors as ``read_raw``'s."""
    with _opened(path) as raw:
        sizes = raw.sizes
        turned = sizes.flip in _QUARTER_TURNS
        return (sizes.height, sizes.width) if turned else (sizes.width, sizes.height)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import rawpy
    except ImportError as error:
        raise SplatkitError(
            f"{path}: raw photos need rawpy: pip install 'splatkit[raw]', or develop them to JPEG"
        ) from error
    try:
        with rawpy.imread(str(path)) as raw:
            yield raw
    except FileNotFoundError as error:
        raise SplatkitError(f"{path}: no such file") from error
    except (rawpy.LibRawError, OSError, ValueError, MemoryError) as error:
        said = error.args[0] if error.args else type(error).__name__
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise SplatkitError(
            f"{path}: expected a raw photo, got a damaged file ({text.splitlines()[0]})"
        ) from error
