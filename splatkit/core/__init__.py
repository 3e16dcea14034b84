"""Core types and formulas: tensors only; no files, no rendering."""

from splatkit.core.cameras import Cameras, intrinsics
from splatkit.core.checks import all_finite, check
from splatkit.core.errors import SplatkitError, UsageError
from splatkit.core.events import Event, Note, Progress, drain
from splatkit.core.gaussians import PARAMETER_NAMES, Gaussians
from splatkit.core.scene import Photo, Scene, camera_of
from splatkit.core.triangles import Triangles

__all__ = [
    "PARAMETER_NAMES",
    "Cameras",
    "Event",
    "Gaussians",
    "Note",
    "Photo",
    "Progress",
    "Scene",
    "SplatkitError",
    "Triangles",
    "UsageError",
    "all_finite",
    "camera_of",
    "check",
    "drain",
    "intrinsics",
]
