"""splatkit: photos to Gaussian-splat scenes that you can train, browse and take elsewhere.

The names below are the everyday ones; each is imported at its first use, so that
``import splatkit`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splatkit.core import Cameras, Gaussians, Photo, Scene, SplatkitError, UsageError
    from splatkit.render import Rendered, render

    __version__: str

_HOMES = {
    "Cameras": "splatkit.core",
    "Gaussians": "splatkit.core",
    "Photo": "splatkit.core",
    "Rendered": "splatkit.render",
    "Scene": "splatkit.core",
    "SplatkitError": "splatkit.core",
    "UsageError": "splatkit.core",
    "render": "splatkit.render",
}

__all__ = [
    "Cameras",
    "Gaussians",
    "Photo",
    "Rendered",
    "Scene",
    "SplatkitError",
    "UsageError",
    "__version__",
    "render",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("splatkit")
    if name not in _HOMES:
        raise AttributeError(f"module 'splatkit' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
