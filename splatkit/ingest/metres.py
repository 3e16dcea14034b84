"""How long a unit of the reconstruction is: by GPS, by a distance that was measured, by markers.

Structure from motion knows shapes, not sizes. A printed marker or a measured distance is exact to
a few thousandths; GPS of phones and drones is some metres off each time, so it counts only where
the photos spread over several times that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from splatkit.core import SplatkitError, UsageError
from splatkit.ingest.alignment import camera_centers, residuals, similarity_of_points
from splatkit.ingest.geography import Place, east_north_up
from splatkit.ingest.sources import Posed
from splatkit.ingest.undistort import undistort_points
from splatkit.io.images import read_image

LEAST_GPS_SPREAD = 8.0
"""Metres that photos must be spread over for their GPS to tell a scale."""
MAX_GPS_SHARE = 0.15
"""Median error of GPS after alignment, as a share of that spread, above which it tells nothing."""
LEAST_WITH_GPS = 4
_NEIGHBOURS = 5
_MARKER_FAMILIES = {
    name.removeprefix("DICT_").lower().replace("apriltag_", "tag"): getattr(cv2.aruco, name)
    for name in dir(cv2.aruco)
    if name.startswith("DICT_")
}


@dataclass(frozen=True)
class Georeference:
    """Where on the globe a reconstruction is."""

    enu_from_source: np.ndarray
    """[4,4] float64 similarity to metres east, north and up of ``origin``."""
    origin: Place
    error: float
    """Median distance in metres between GPS and the photos' places."""
    level: bool
    """Whether the photos spread in two directions, so that up is known."""


def georeference(poses: np.ndarray, places: Sequence[Place | None]) -> Georeference | None:
    """The place of cameras [C,4,4] on the globe; None where GPS does not tell or contradicts."""
    known = [i for i, place in enumerate(places) if place is not None]
    if len(known) < LEAST_WITH_GPS:
        return None
    told = [place for place in places if place is not None]
    meters = east_north_up(told)
    centered = meters - meters.mean(0)
    spread = np.sqrt(np.linalg.eigvalsh(centered.T @ centered / len(meters)))[::-1]
    if spread[0] * 2 < LEAST_GPS_SPREAD:
        return None
    centers = camera_centers(poses[known])
    similarity = similarity_of_points(centers, meters)
    error = float(np.median(residuals(similarity, centers, meters)))
    if error > MAX_GPS_SHARE * spread[0]:
        return None
    return Georeference(similarity, told[0], error, bool(spread[1] > max(0.1 * spread[0], error)))


def check_scale_options(
    scale_distance: tuple[str, str, float] | None, marker: str | None, names: Sequence[str]
) -> None:
    """Refuse options that cannot be understood before an hour of work.

    Raises:
        UsageError: a place or a marker is not of the form expected, or names no photo.
    """
    if marker is not None:
        parse_marker(marker)
    if scale_distance is None:
        return
    for place in scale_distance[:2]:
        for name, _, _ in parse_place(place):
            if name not in set(names):
                raise UsageError(
                    f"--scale-distance {place}: expected a photo such as {names[0]}, got {name!r}"
                )


def parse_marker(text: str) -> tuple[int, float]:
    """The OpenCV dictionary and the side in metres of ``tag36h11:0.16``.

    Raises:
        UsageError: it is not of that form, or the family is unknown.
    """
    family, _, size = text.partition(":")
    number = _MARKER_FAMILIES.get(family.lower())
    try:
        metres = float(size)
    except ValueError:
        metres = 0.0
    if number is None or not 0 < metres < 1000:
        known = ", ".join(sorted(_MARKER_FAMILIES)[:40:6])
        raise UsageError(
            f"--marker: expected FAMILY:METRES such as tag36h11:0.16 (families: {known}, ...), got "
            f"{text!r}"
        )
    return number, metres


def scale_by_markers(posed: Sequence[Posed], marker: str) -> float:
    """Metres of one source unit, by markers of known side that two or more photos show.

    Raises:
        UsageError: ``marker`` is not understood.
        SplatkitError: no marker is in two photos.
    """
    number, metres = parse_marker(marker)
    detector = cv2.aruco.ArucoDetector(cv2.aruco.getPredefinedDictionary(number))
    seen: dict[int, list[tuple[Posed, np.ndarray]]] = {}
    for photo in posed:
        image = read_image(photo.path, upright=photo.upright)[..., :3]
        corners, ids, _ = detector.detectMarkers(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
        lens = photo.lens.resized(image.shape[1], image.shape[0])
        for corner, name in zip(corners, [] if ids is None else ids.ravel(), strict=True):
            # cv2 counts from the centre of the first pixel.
            x, y = undistort_points(lens, *(corner.reshape(4, 2).T.astype(float) + 0.5))
            seen.setdefault(int(name), []).append((photo, np.stack((x, y, np.ones(4)), 1)))
    sides = []
    for views in seen.values():
        if len(views) >= 2:
            poses = np.stack([photo.camera_from_source for photo, _ in views])
            rays = np.stack([ray for _, ray in views])
            square = np.stack([_meet(poses, rays[:, k]) for k in range(4)])
            sides += np.linalg.norm(square - np.roll(square, 1, 0), axis=1).tolist()
    sides = [side for side in sides if np.isfinite(side) and side > 0]
    if not sides:
        raise SplatkitError(
            f"--marker {marker}: expected a marker of this family in at least two of the placed "
            f"photos, found {'none' if not seen else 'each in one photo only'}"
        )
    return metres / float(np.median(sides))


def scale_by_distance(
    posed: Sequence[Posed], points: np.ndarray, first: str, second: str, metres: float
) -> float:
    """Metres of one source unit, by the distance between two places in photos.

    Args:
        posed: the photos.
        points: [P,3] sparse points, source frame.
        first: a place as ``locate`` understands it.
        second: the other one.
        metres: how far they are apart.

    Raises:
        UsageError: a place is not understood, or ``metres`` is not positive.
    """
    if not 0 < metres < 1e6:
        raise UsageError(f"--scale-distance: expected a distance in metres, got {metres:g}")
    apart = np.linalg.norm(locate(posed, points, first) - locate(posed, points, second))
    if apart < 1e-9:
        raise UsageError(f"--scale-distance: {first} and {second} are the same place")
    return metres / float(apart)


def locate(posed: Sequence[Posed], points: np.ndarray, place: str) -> np.ndarray:
    """[3] source coordinates of ``PHOTO:X,Y``, or of ``PHOTO:X,Y+PHOTO:X,Y``, which is exact.

    X and Y are pixels of the photo from its upper left corner. A place in a single photo gets the
    distance of the sparse points that are nearest to it there.

    Raises:
        UsageError: the place is not understood, or a photo is unknown or has no place.
    """
    rays = [_ray(posed, part, place) for part in parse_place(place)]
    if len(rays) > 1:
        poses = np.stack([photo.camera_from_source for photo, _ in rays])
        return _meet(poses, np.stack([ray for _, ray in rays]))
    photo, ray = rays[0]
    pose = photo.camera_from_source
    seen = points @ pose[:3, :3].T + pose[:3, 3]
    seen = seen[seen[:, 2] > 0]
    if len(seen) < _NEIGHBOURS:
        raise UsageError(
            f"--scale-distance {place}: no points are known there; name it in two photos: "
            "PHOTO:X,Y+PHOTO:X,Y"
        )
    off = np.linalg.norm(seen[:, :2] / seen[:, 2:] - ray[:2], axis=1)
    depth = float(np.median(seen[np.argsort(off)[:_NEIGHBOURS], 2]))
    return pose[:3, :3].T @ (depth * ray - pose[:3, 3])


def parse_place(place: str) -> list[tuple[str, float, float]]:
    """Photo, X and Y of each part of a place.

    Raises:
        UsageError: it is not of the form that ``locate`` understands.
    """
    found = []
    for part in place.split("+"):
        match = re.fullmatch(r"(.+):(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)", part)
        if match is None:
            raise UsageError(
                f"--scale-distance {place}: expected PHOTO:X,Y such as IMG_1.jpg:1200,800, or the "
                "same place in two photos, joined by +"
            )
        found.append((match[1], float(match[2]), float(match[3])))
    return found


def _ray(
    posed: Sequence[Posed], named: tuple[str, float, float], place: str
) -> tuple[Posed, np.ndarray]:
    name, u, v = named
    by_name = {photo.name: photo for photo in posed}
    photo = by_name.get(name)
    if photo is None:
        raise UsageError(
            f"--scale-distance {place}: expected a photo that has a place such as "
            f"{next(iter(by_name), 'none')}, got {name!r}"
        )
    lens = photo.lens
    x, y = undistort_points(lens, np.array([u]), np.array([v]))
    if not np.isfinite(x[0]) or u > lens.width or v > lens.height:
        raise UsageError(
            f"--scale-distance {place}: expected a pixel of {lens.width}x{lens.height}, got "
            f"{u:g},{v:g}"
        )
    return photo, np.array([x[0], y[0], 1.0])


def _meet(poses: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """[3] source point nearest to rays [C,3] in camera axes of cameras [C,4,4]."""
    directions = np.einsum("nji,nj->ni", poses[:, :3, :3], rays)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    across = np.eye(3) - np.einsum("ni,nj->nij", directions, directions)
    right = np.einsum("nij,nj->ni", across, camera_centers(poses)).sum(0)
    return np.linalg.lstsq(across.sum(0), right, rcond=None)[0]
