"""What ingest hands to training: photos with cameras, sparse points, and the way back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from splatkit.core.cameras import Cameras
from splatkit.core.checks import check
from splatkit.core.errors import SplatkitError


@dataclass
class Photo:
    """One undistorted photo and the pinhole camera that took it."""

    name: str
    """Path of the original photo relative to the folder it came from; unique in the scene."""
    path: Path
    """The pixels to train on: undistorted, turned upright, sRGB or sRGB with alpha."""
    width: int
    """Width of the file at ``path``, pixels."""
    height: int
    """Height of the file at ``path``, pixels."""
    viewmat: Tensor
    """[4,4] float64 camera_from_world, rigid, OpenCV axes."""
    K: Tensor
    """[3,3] float64 intrinsics for ``width`` x ``height``, pixels."""
    camera_id: int = 0
    """Photos with the same number were taken with the same lens and settings."""
    held_out: bool = False
    """True for photos that evaluation uses and training never sees."""
    mask_path: Path | None = None
    """8-bit image of the same size: 0 where a pixel does not count (blank border, mask)."""
    exposure: float | None = None
    """EXIF exposure value at ISO 100 (log2), when the photo states it."""
    gps: tuple[float, float, float] | None = None
    """WGS84 latitude and longitude in degrees, altitude in metres."""


@dataclass
class Scene:
    """Photos with cameras and sparse points in one world frame (RDF: up is -y)."""

    photos: list[Photo]
    """Registered photos, sorted by name."""
    points: Tensor
    """[P,3] float32 sparse points, world frame."""
    point_colors: Tensor
    """[P,3] float32 sRGB 0..1."""
    source_from_world: Tensor = field(default_factory=lambda: torch.eye(4, dtype=torch.float64))
    """[4,4] float64 similarity back to the frame of the input (COLMAP's, the file's)."""
    missing: dict[str, str] = field(default_factory=dict)
    """Photos found but not placed: name -> reason."""
    missing_held_out: list[str] = field(default_factory=list)
    """Those of ``missing`` that had been chosen for evaluation."""
    background: tuple[float, float, float] | None = None
    """sRGB colour behind photos with alpha; None when the photos are opaque."""
    metric: bool = False
    """Whether one world unit is one metre."""
    enu_from_world: Tensor | None = None
    """[4,4] float64 similarity to metres east, north and up of ``enu_origin``, where GPS told."""
    enu_origin: tuple[float, float, float] | None = None
    """WGS84 latitude and longitude in degrees, altitude in metres."""
    color_space: str = "srgb"
    """Colour space of the photos' values."""

    def __post_init__(self) -> None:
        check(points=(self.points, "P 3"), point_colors=(self.point_colors, "P 3"))
        names = [photo.name for photo in self.photos]
        if len(set(names)) != len(names):
            raise SplatkitError("scene: expected unique photo names, got duplicates")

    @property
    def training_photos(self) -> list[Photo]:
        """Photos that training sees."""
        return [photo for photo in self.photos if not photo.held_out]

    @property
    def held_out_photos(self) -> list[Photo]:
        """Photos that only evaluation sees."""
        return [photo for photo in self.photos if photo.held_out]

    @property
    def extent(self) -> float:
        """Radius of the camera centres about their mean, world units (1 where it is 0)."""
        if not self.photos:
            return 1.0
        centers = torch.stack([camera_of(photo).positions[0] for photo in self.photos])
        radius = float((centers - centers.mean(0)).norm(dim=-1).max())
        return radius if radius > 0 else 1.0


def camera_of(photo: Photo, width: int | None = None, height: int | None = None) -> Cameras:
    """The photo's camera as a float64 batch of one, at its own or another image size."""
    camera = Cameras(photo.viewmat[None], photo.K[None], photo.width, photo.height)
    if width is None or height is None:
        return camera
    return camera.resized(width, height)
