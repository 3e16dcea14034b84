"""Training: a Scene becomes Gaussians, step by step, as a generator of events."""

import sys
from types import ModuleType
from typing import Any


class _CallableModule(ModuleType):
    """Lets ``splatkit.train(...)`` be the function while ``splatkit.train.trainer`` is a module."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from splatkit.train.api import train

        return train(*arguments, **options)


sys.modules[__name__].__class__ = _CallableModule
