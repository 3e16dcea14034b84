"""Scenes in the browser: our renderer on the server, viser on the page, one port in front."""

from splatkit.viewer.app import Viewer
from splatkit.viewer.guard import is_loopback
from splatkit.viewer.library import Library
from splatkit.viewer.source import FixedSource, SceneSource
from splatkit.viewer.training import Training

__all__ = ["FixedSource", "Library", "SceneSource", "Training", "Viewer", "is_loopback"]
