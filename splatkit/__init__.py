"""splatkit: photos to Gaussian-splat scenes that you can train, browse and take elsewhere."""

from importlib.metadata import version

__version__ = version("splatkit")
