"""Scenes that are shown again and again stay where they are drawn."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from threading import Lock

from torch import Tensor

from splatkit.core import Gaussians
from splatkit.render.backends import Backend, get_backend

MOST_KEPT = 2
"""Scenes: the one that is shown, and the one that it is compared with."""


class Display:
    """Keeps copies of the last few scenes on a backend's device while the originals live.

    Args:
        backend: or its name; ``auto`` is the fastest of this machine.
    """

    def __init__(self, backend: str | Backend = "auto") -> None:
        self.backend = get_backend(backend) if isinstance(backend, str) else backend
        self._kept: OrderedDict[tuple[tuple[int, int], ...], _Copy] = OrderedDict()
        self._lock = Lock()

    def scene(self, gaussians: Gaussians) -> Gaussians:
        """The Gaussians on the backend's device; themselves where they are there."""
        if gaussians.device == self.backend.device:
            return gaussians
        tensors = [*gaussians.parameters().values(), *gaussians.extra.values()]
        # A change in place counts as another tensor.
        key = tuple((id(tensor), tensor._version) for tensor in tensors)
        with self._lock:
            copy = self._kept.pop(key, None)
            if copy is None or not copy.is_of(tensors):
                copy = _Copy(gaussians.to(self.backend.device), tensors)
            self._kept[key] = copy
            for old in [k for k, c in self._kept.items() if not c.alive]:
                del self._kept[old]
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return copy.gaussians


class _Copy:
    def __init__(self, gaussians: Gaussians, originals: list[Tensor]) -> None:
        self.gaussians = gaussians
        self._originals = [weakref.ref(tensor) for tensor in originals]

    @property
    def alive(self) -> bool:
        return all(original() is not None for original in self._originals)

    def is_of(self, tensors: list[Tensor]) -> bool:
        """Whether it was made of these very tensors."""
        return all(o() is t for o, t in zip(self._originals, tensors, strict=True))
