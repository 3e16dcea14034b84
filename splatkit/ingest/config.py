"""What can be set about ingest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from splatkit.core import UsageError
from splatkit.io.camera_files import CameraForm


@dataclass(frozen=True)
class IngestConfig:
    """From photos to a scene; the defaults are meant to be right."""

    test_every: int = 8
    """Hold out every n-th photo by name, the first included, for evaluation; 0 for none."""
    split: Path | None = None
    """File with the names of the photos to hold out, one a line; replaces --test-every."""
    model: Path | None = None
    """COLMAP model folder of these photos, to use instead of running structure from motion."""
    frames: int | None = None
    """Frames to take of a video; the camera's motion decides when not given."""
    scale_distance: tuple[str, str, float] | None = None
    """Two places in photos (PHOTO:X,Y in pixels) and the metres between them; PHOTO:X,Y+PHOTO:X,Y
    names the same place in two photos, which is exact."""
    marker: str | None = None
    """Printed markers in the scene and their side in metres: tag36h11:0.16, 4x4_50:0.1."""
    write_cameras: tuple[CameraForm, ...] = ()
    """Write the cameras for other programs, too: tum, colmap, transforms."""
    keep_gps: bool = False
    """Leave GPS positions in the scene's photos and description."""
    max_image_size: int = 1600
    """Long side, pixels, at which features are looked for."""
    max_features: int = 8192
    """Most features of one photo."""
    threads: int = 0
    """Processor threads; 0 for all."""
    seed: int = 0
    """Of the random choices in structure from motion."""

    def __post_init__(self) -> None:
        least_values = {
            "test_every": 0,
            "max_image_size": 64,
            "max_features": 64,
            "threads": 0,
            "frames": 3,
        }
        for name, least in least_values.items():
            value = getattr(self, name)
            if value is not None and value < least:
                option = name.replace("_", "-")
                raise UsageError(f"--{option}: expected {least} or more, got {value}")
