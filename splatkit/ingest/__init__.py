"""Photos to a ``Scene``: what is found, where the cameras were, undistorted pinholes."""

from splatkit.ingest.capture import Capture, describe
from splatkit.ingest.config import IngestConfig
from splatkit.ingest.pipeline import check, ingest

__all__ = ["Capture", "IngestConfig", "check", "describe", "ingest"]
