"""The world frame of a scene, with metres and a place on the globe where something tells them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from splatkit.core import Event, Note, SplatkitError
from splatkit.ingest.config import IngestConfig
from splatkit.ingest.frame import source_from_world, up_by_gravity
from splatkit.ingest.geography import Place
from splatkit.ingest.metres import georeference, scale_by_distance, scale_by_markers
from splatkit.ingest.sources import Cameras, Posed
from splatkit.io.images import PhotoInfo, read_info


@dataclass(frozen=True)
class World:
    """The frame that a scene is written in."""

    source_from_world: np.ndarray
    """[4,4] float64 similarity."""
    metric: bool
    enu_from_world: np.ndarray | None = None
    """[4,4] float64 similarity to metres east, north and up of ``enu_origin``."""
    enu_origin: Place | None = None


def choose_world(cameras: Cameras, config: IngestConfig) -> Generator[Event, None, World]:
    """Choose up, centre and size: a measured distance before markers before GPS.

    Raises:
        UsageError: the distance or the marker is not understood.
        SplatkitError: no marker was found.
    """
    asked = config.scale_distance is not None or config.marker is not None
    if cameras.settled and not asked:
        return World(np.eye(4), cameras.metric)
    poses = np.stack([posed.camera_from_source for posed in cameras.posed])
    infos = [_info(posed) for posed in cameras.posed]
    globe = georeference(poses, [info.gps if info else None for info in infos])
    metres: float | None = None
    if config.scale_distance is not None:
        metres = scale_by_distance(cameras.posed, cameras.points, *config.scale_distance)
        yield Note(f"Scale: {config.scale_distance[2]:g} m between the two places that were named")
    elif config.marker is not None:
        yield Note(f"Looking for markers {config.marker}")
        metres = scale_by_markers(cameras.posed, config.marker)
        yield Note("Scale: by the markers")
    up = _up_by_gravity(cameras.posed, infos)
    if up is not None:
        yield Note("Up: by the direction of gravity that the photos state")
    if globe is not None:
        linear = globe.enu_from_source[:3, :3]
        if up is None and globe.level:
            up = linear[2] / np.linalg.norm(linear[2])
        if metres is None:
            metres = float(np.cbrt(np.linalg.det(linear)))
            yield Note(f"Scale: metres by GPS, which is {globe.error:.1f} m off in the middle")
    frame = source_from_world(poses, cameras.points, up, None if metres is None else 1 / metres)
    if globe is None:
        return World(frame, metres is not None)
    return World(frame, metres is not None, globe.enu_from_source @ frame, globe.origin)


def _up_by_gravity(posed: Sequence[Posed], infos: Sequence[PhotoInfo | None]) -> np.ndarray | None:
    """Up by the photos that state gravity, where they are the half of all or more."""
    told = [
        (photo.camera_from_source[:3, :3], info.gravity)
        for photo, info in zip(posed, infos, strict=True)
        if info is not None and info.gravity is not None and (photo.upright or not info.turned)
    ]
    if not told or len(told) < len(posed) / 2:
        return None
    return up_by_gravity(*(np.array(parts) for parts in zip(*told, strict=True)))


def _info(posed: Posed) -> PhotoInfo | None:
    try:
        return read_info(posed.path)
    except SplatkitError:
        return None  # named where it is read for good
