"""Photos to a ``Scene``: what is found, where the cameras were, undistorted pinholes."""

from splatkit.ingest.config import IngestConfig
from splatkit.ingest.pipeline import ingest

__all__ = ["IngestConfig", "ingest"]
