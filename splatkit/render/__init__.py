"""Differentiable rendering of Gaussians."""

from splatkit.render.api import OUTPUTS, Rendered, render
from splatkit.render.backends import BACKEND_NAMES, get_backend

__all__ = ["BACKEND_NAMES", "OUTPUTS", "Rendered", "get_backend", "render"]
