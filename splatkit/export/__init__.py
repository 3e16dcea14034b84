"""What leaves the house: pictures and videos of a trained scene."""

from splatkit.export.frames import RenderOptions, render_frames, render_scene
from splatkit.export.opening import OpenScene, open_scene

__all__ = ["OpenScene", "RenderOptions", "open_scene", "render_frames", "render_scene"]
