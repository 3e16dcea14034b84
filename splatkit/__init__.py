"""splatkit: photos to Gaussian-splat scenes that you can train, browse and take elsewhere.

The names below are the everyday ones; each is imported at its first use, so that
``import splatkit`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splatkit.core import Cameras, Gaussians, Photo, Scene, SplatkitError, Triangles, UsageError
    from splatkit.export.opening import load, open_scene
    from splatkit.io import write_gaussians as save
    from splatkit.render import Rendered, render, render_triangles
    from splatkit.train.api import evaluate, train

    __version__: str

_HOMES = {
    "Cameras": "splatkit.core:Cameras",
    "Gaussians": "splatkit.core:Gaussians",
    "Photo": "splatkit.core:Photo",
    "Rendered": "splatkit.render:Rendered",
    "Scene": "splatkit.core:Scene",
    "SplatkitError": "splatkit.core:SplatkitError",
    "Triangles": "splatkit.core:Triangles",
    "UsageError": "splatkit.core:UsageError",
    "evaluate": "splatkit.train.api:evaluate",
    "load": "splatkit.export.opening:load",
    "open_scene": "splatkit.export.opening:open_scene",
    "render": "splatkit.render:render",
    "render_triangles": "splatkit.render:render_triangles",
    "save": "splatkit.io:write_gaussians",
    "train": "splatkit.train.api:train",
}

__all__ = [
    "Cameras",
    "Gaussians",
    "Photo",
    "Rendered",
    "Scene",
    "SplatkitError",
    "Triangles",
    "UsageError",
    "__version__",
    "evaluate",
    "load",
    "open_scene",
    "render",
    "render_triangles",
    "save",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("splatkit")
    if name not in _HOMES:
        raise AttributeError(f"module 'splatkit' has no attribute {name!r}")
    home, original = _HOMES[name].split(":")
    return getattr(import_module(home), original)
