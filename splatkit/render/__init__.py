"""Differentiable rendering of Gaussians and of triangles."""

import sys
from types import ModuleType

from splatkit.render.api import OUTPUTS, Rendered, render
from splatkit.render.backends import BACKEND_NAMES, get_backend, set_threads
from splatkit.render.triangles import TRIANGLE_OUTPUTS, RenderedTriangles, render_triangles

__all__ = [
    "BACKEND_NAMES",
    "OUTPUTS",
    "TRIANGLE_OUTPUTS",
    "Rendered",
    "RenderedTriangles",
    "get_backend",
    "render",
    "render_triangles",
    "set_threads",
]


class _CallableModule(ModuleType):
    """Lets ``splatkit.render(...)`` be the function while ``splatkit.render.paths`` is a module."""

    __call__ = staticmethod(render)


sys.modules[__name__].__class__ = _CallableModule
