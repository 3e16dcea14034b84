"""Camera lists of RealityCapture (RealityScan), "internal and external camera parameters" as CSV.

One line a photo: name, position in metres or local units (z up), heading, pitch and roll in
degrees, focal length as 35 mm equivalent, principal point as a share of the long side, and
Brown's distortion. The photo's axes turn about z by minus the heading, then about x by the pitch,
then about y by the roll; with all three at 0 the camera looks straight down.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from splatkit.core import SplatkitError
from splatkit.io.images import read_info
from splatkit.io.lenses import Lens
from splatkit.io.photo_names import PhotoNames
from splatkit.io.transforms import Frame

_NEEDED = ("x", "y", "alt", "heading", "pitch", "roll", "f")
_FILM_MM = 36.0
_MOST_BYTES = 1 << 26


def is_realitycapture(path: Path) -> bool:
    """Whether a file begins as such a list does."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    first = head.lstrip(b"\xef\xbb\xbf").split(b"\n")[0].decode("utf-8", "replace").lower()
    columns = {word.strip().lstrip("#") for word in first.split(",")}
    return {"name", *_NEEDED} <= columns


def read_realitycapture(path: Path, photos: Path) -> tuple[list[Frame], list[str]]:
    """Read cameras.

    Args:
        path: the CSV file.
        photos: the folder with the photos, at any depth.

    Returns:
        Frames sorted by name, and the names of photos that are not there.

    Raises:
        SplatkitError: the file is damaged, or none of its photos is there.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise SplatkitError(f"{path}: expected a list of cameras, got a much larger file")
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise SplatkitError(f"{path}: cannot be read ({error.strerror})") from error
    known = PhotoNames(photos)
    frames: list[Frame] = []
    missing: list[str] = []
    try:
        for number, row in enumerate(csv.DictReader(text.splitlines()), 2):
            values = {k.strip().lstrip("#").lower(): v for k, v in row.items() if k and v}
            name = values["name"].strip()
            photo = known[name]
            if photo is None:
                missing.append(name)
                continue
            try:
                frames.append(_frame(photo, photos, values))
            except (KeyError, ValueError, OverflowError) as error:
                raise SplatkitError(
                    f"{path}: line {number}: expected numbers for {', '.join(_NEEDED)} ({error})"
                ) from error
    except (KeyError, csv.Error) as error:
        raise SplatkitError(f"{path}: expected a list of cameras as CSV ({error})") from error
    if not frames:
        raise SplatkitError(
            f"{path}: none of its {len(missing)} photos is in {photos}; put them there"
        )
    return sorted(frames, key=lambda frame: frame.name), sorted(missing)


def _frame(photo: Path, folder: Path, values: dict[str, str]) -> Frame:
    def number(name: str) -> float:
        value = float(values.get(name) or 0)
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}")
        return value

    if not all(name in values for name in _NEEDED):
        raise ValueError("a column is empty")
    info = read_info(photo)
    width, height = info.width, info.height
    long_side = max(width, height)
    focal = number("f") * long_side / _FILM_MM
    center = number("px") * long_side + width / 2, number("py") * long_side + height / 2
    k = [number(f"k{i}") for i in (1, 2, 3, 4)]
    if k[3] and abs(k[3]) > 1e-6:
        raise ValueError(f"k4 is {k[3]:g}, which no common lens model has: export with three")
    lens = Lens(
        "FULL_OPENCV", width, height,
        (focal, focal, *center, k[0], k[1], number("t1"), number("t2"), k[2], 0, 0, 0),
    )  # fmt: skip
    world_from_camera = np.eye(4)
    world_from_camera[:3, :3] = _rotation(-number("heading"), number("pitch"), number("roll"))
    world_from_camera[:3, 3] = number("x"), number("y"), number("alt")
    pose = np.diag([1.0, -1.0, -1.0, 1.0]) @ np.linalg.inv(world_from_camera)
    return Frame(photo.relative_to(folder).as_posix(), photo, None, lens, pose, None)


def _rotation(about_z: float, about_x: float, about_y: float) -> np.ndarray:
    """[3,3] of turns in degrees: about y first, then x, then z."""
    cosines = [math.cos(math.radians(a)) for a in (about_z, about_x, about_y)]
    sines = [math.sin(math.radians(a)) for a in (about_z, about_x, about_y)]
    (cz, cx, cy), (sz, sx, sy) = cosines, sines
    turn_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    turn_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    turn_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    return turn_z @ turn_x @ turn_y
