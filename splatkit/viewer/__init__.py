"""Scenes in the browser: our renderer on the server, viser on the page."""

from splatkit.viewer.app import Viewer, is_loopback
from splatkit.viewer.source import FixedSource, SceneSource

__all__ = ["FixedSource", "SceneSource", "Viewer", "is_loopback"]
