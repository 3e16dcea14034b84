"""Cameras of Agisoft Metashape: "Export cameras" as XML.

A camera's transform takes camera coordinates (x right, y down, z forward) to the chunk's, which
is the frame read here. The lens is Brown's: principal point relative to the middle, K1 to K4 as in
OpenCV, P1 and P2 exchanged (Metashape's manual, appendix C).
"""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from splatkit.core import SplatkitError
from splatkit.io.lenses import Lens
from splatkit.io.photo_names import PhotoNames
from splatkit.io.transforms import Frame

_MOST_BYTES = 1 << 28
_NEGLIGIBLE = 1e-6


def is_metashape(path: Path) -> bool:
    """Whether a file begins as such an export does."""
    try:
        with path.open("rb") as file:
            head = file.read(2048)
    except OSError:
        return False
    return b"<document" in head and b"<chunk" in head


def read_metashape(path: Path, photos: Path) -> tuple[list[Frame], list[str]]:
    """Read cameras; arguments, results and errors as ``read_realitycapture``'s."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise SplatkitError(f"{path}: expected a list of cameras, got a much larger file")
        data = path.read_bytes()
    except OSError as error:
        raise SplatkitError(f"{path}: cannot be read ({error.strerror})") from error
    if b"<!ENTITY" in data or b"<!DOCTYPE" in data:
        raise SplatkitError(f"{path}: expected plain XML, got a file that defines entities")
    try:
        document = ElementTree.fromstring(data)
        lenses = {
            sensor.get("id", ""): _lens(sensor) for sensor in document.iterfind(".//sensors/sensor")
        }
        known = PhotoNames(photos)
        frames: list[Frame] = []
        missing: list[str] = []
        for camera in document.iterfind(".//cameras//camera"):
            label, transform = camera.get("label", ""), camera.findtext("transform")
            photo = known[label]
            lens = lenses.get(camera.get("sensor_id", ""))
            if transform is None or lens is None:
                continue  # Metashape could not place it
            if photo is None:
                missing.append(label)
                continue
            name = photo.relative_to(photos).as_posix()
            frames.append(Frame(name, photo, None, lens, _pose(transform), None))
    except (ElementTree.ParseError, ValueError, OverflowError, np.linalg.LinAlgError) as error:
        raise SplatkitError(f"{path}: expected cameras of Metashape as XML ({error})") from error
    except SplatkitError as error:
        raise SplatkitError(f"{path}: {error}") from error
    if not frames:
        raise SplatkitError(
            f"{path}: none of its {len(missing)} placed photos is in {photos}; put them there"
        )
    return sorted(frames, key=lambda frame: frame.name), sorted(missing)


def _pose(text: str) -> np.ndarray:
    matrix = np.array(text.split(), np.float64)
    if matrix.size != 16 or not np.isfinite(matrix).all():
        raise ValueError("a transform is not 16 numbers")
    chunk_from_camera = matrix.reshape(4, 4)
    u, s, vt = np.linalg.svd(chunk_from_camera[:3, :3])
    if s.max() - s.min() > 0.01 * s.max() or np.linalg.det(u @ vt) < 0:
        raise ValueError("a transform is not a rotation")
    pose = np.eye(4)
    pose[:3, :3] = (u @ vt).T
    pose[:3, 3] = -pose[:3, :3] @ chunk_from_camera[:3, 3]
    return pose


def _lens(sensor: ElementTree.Element) -> Lens | None:
    """The sensor's calibration, the adjusted one where there are two; None without one."""
    found = sensor.findall("calibration")
    adjusted = [c for c in found if c.get("class") == "adjusted"]
    if not found:
        return None
    calibration = (adjusted or found)[-1]
    size = calibration.find("resolution")
    if size is None:
        size = sensor.find("resolution")
    if size is None:
        raise ValueError("a sensor has no resolution")
    width, height = int(size.get("width", "0")), int(size.get("height", "0"))

    def number(name: str) -> float:
        value = float(calibration.findtext(name) or 0)
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}")
        return value

    kind = sensor.get("type", "frame")
    focal = number("f")
    center = width / 2 + number("cx"), height / 2 + number("cy")
    if kind in ("fisheye", "equidistant_fisheye"):
        k = [number(f"k{i}") for i in (1, 2, 3, 4)]
        return Lens("OPENCV_FISHEYE", width, height, (focal, focal, *center, *k))
    if kind != "frame":
        raise ValueError(f"a sensor of the type {kind!r} is not a frame camera")
    for name in ("k4", "b2"):
        if abs(number(name)) > _NEGLIGIBLE * (focal if name == "b2" else 1):
            raise ValueError(f"{name} is {number(name):g}: export with a lens model without it")
    k1, k2, k3 = (number(f"k{i}") for i in (1, 2, 3))
    tangential = number("p2"), number("p1")
    return Lens(
        "FULL_OPENCV", width, height,
        (focal + number("b1"), focal, *center, k1, k2, *tangential, k3, 0, 0, 0),
    )  # fmt: skip
