"""What a photo looks like before any work is done on it: sharp or blurred, bright or dark, twice.

Blur is measured by blurring once more, after Crete and others (*The blur effect: perception and
estimation with a new no-reference perceptual blur metric*, 2007): a picture that was sharp loses
much of its variation between neighbouring pixels, one that was blurred already loses little. They
compare pixel by pixel, we compare sums: in a blurred photo the edges of JPEG's blocks are sharp,
but together they vary no more than what they stand for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from splatkit.io.images import fit_within, resize_area

BLURRED_ABOVE_OTHERS = 0.22
"""How much more blurred than the middle photo of a set one is called blurred."""
BLURRED_AT_LEAST = 0.5
SAME_BITS = 10
"""Photos whose 256 bits differ in no more than this show the same picture."""
_LONG_SIDE = 1000
_WINDOW = 9
_HASH = 16


@dataclass(frozen=True)
class Look:
    """Figures of one photo, all without unit."""

    blur: float
    """0 for sharp, 1 for a picture without any detail."""
    brightness: float
    """Mean of the grey values, 0..1 sRGB."""
    clipped: float
    """Share of pixels that are black or white to the end."""
    bits: str
    """Hexadecimal differences of neighbours in a tiny copy: near copies have nearly the same."""


def look_at_photo(image: np.ndarray) -> Look:
    """Measure [H,W,3 or 4] uint8."""
    height, width = image.shape[:2]
    small = resize_area(image[..., :3], *fit_within(width, height, _LONG_SIDE))
    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    tiny = cv2.resize(gray, (_HASH + 1, _HASH), interpolation=cv2.INTER_AREA).astype(np.int16)
    return Look(
        blur=_blur(gray.astype(np.float32)),
        brightness=float(gray.mean()) / 255,
        clipped=float(((gray <= 2) | (gray >= 253)).mean()),
        bits=np.packbits(tiny[:, 1:] > tiny[:, :-1]).tobytes().hex(),
    )


def blurred_photos(looks: Mapping[str, Look]) -> list[str]:
    """Names of photos that are blurred beside the others of their set."""
    if not looks:
        return []
    usual = float(np.median([look.blur for look in looks.values()]))
    limit = max(usual + BLURRED_ABOVE_OTHERS, BLURRED_AT_LEAST)
    return [name for name, look in looks.items() if look.blur > limit]


def near_copies(looks: Mapping[str, Look]) -> dict[str, str]:
    """Photos that show the same picture as an earlier one: name -> that one's name."""
    names = list(looks)
    if not names:
        return {}
    packed = [np.frombuffer(bytes.fromhex(looks[n].bits), np.uint8) for n in names]
    bits = np.unpackbits(np.stack(packed), axis=1).astype(np.float32) * 2 - 1
    copies: dict[str, str] = {}
    for i in range(1, len(names)):
        differ = (bits.shape[1] - bits[:i] @ bits[i]) / 2
        nearest = int(differ.argmin())
        # A picture without structure has the same bits as every other one.
        if differ[nearest] <= SAME_BITS and np.ptp(bits[i]) > 0:
            copies[names[i]] = copies.get(names[nearest], names[nearest])
    return copies


def _blur(gray: np.ndarray) -> float:
    """The larger of the blur along rows and along columns (a moved camera blurs one of them)."""
    return max(_blur_along(gray, 1), _blur_along(gray, 0))


def _blur_along(gray: np.ndarray, axis: int) -> float:
    window = (_WINDOW, 1) if axis == 1 else (1, _WINDOW)
    before = np.abs(np.diff(gray, axis=axis))
    after = np.abs(np.diff(cv2.blur(gray, window), axis=axis))
    total = float(before.sum())
    return min(float(after.sum()) / total, 1.0) if total > 0 else 1.0
