"""Photos where the rasterizer works: kept there as 8-bit pictures, or brought one step ahead."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from splatkit.train.photos import View

ROOM_SHARE = 0.4
"""Share of a GPU's free memory that photos may fill; the rest is for Gaussians and images."""


def room_for_photos(device: torch.device) -> int:
    """Bytes that photos may fill on a device."""
    if device.type != "cuda":
        return 0
    free, _ = torch.cuda.mem_get_info(device)
    return int(ROOM_SHARE * free)


class PhotoStore:
    """Views on a device. On the CPU they stay what they are.

    Args:
        views: on the CPU.
        device: where pictures are wanted.
        room: bytes they may fill there; where they need more, each is brought for its step, the
            next one meanwhile.
    """

    def __init__(self, views: list[View], device: torch.device, room: int | None = None) -> None:
        self._views = views
        self._device = device
        room = room_for_photos(device) if room is None else room
        self.fits = sum(_size(view) for view in views) <= room
        """Whether all pictures stay on the device."""
        self._there: dict[int, View] = {}
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def at(self, index: int, following: int | None = None) -> View:
        """A view on the device.

        Args:
            index: which.
            following: the one that the next call will ask for, where that is known.
        """
        if self._views[index].image.device == self._device:
            return self._views[index]
        view = self._there.get(index) or self._brought(index)
        if self.fits:
            self._there[index] = view
            return view
        # The copy may still be on its way, and its memory must outlast this step.
        if self._stream is not None:
            current = torch.cuda.current_stream(self._device)
            current.wait_stream(self._stream)
            for tensor in _tensors(view).values():
                tensor.record_stream(current)
        self._there = {}
        if following is not None and following != index:
            self._there[following] = self._brought(following)
        return view

    def _brought(self, index: int) -> View:
        view = self._views[index]
        if self._stream is None or self.fits:
            return _moved(view, self._device, wait=True)
        with torch.cuda.stream(self._stream):
            return _moved(view, self._device, wait=False)


def _tensors(view: View) -> dict[str, Tensor]:
    """The pictures of a view that training reads."""
    named = {"image": view.image, "mask": view.mask}
    return {name: tensor for name, tensor in named.items() if tensor is not None}


def _size(view: View) -> int:
    return sum(tensor.nbytes for tensor in _tensors(view).values())


def _moved(view: View, device: torch.device, wait: bool) -> View:
    """A copy on the device; from pinned memory where nobody waits for it."""
    moved = {
        name: tensor.to(device) if wait else tensor.pin_memory().to(device, non_blocking=True)
        for name, tensor in _tensors(view).items()
    }
    return replace(view, camera=view.camera.to(device), **moved)
