"""Photos where the rasterizer works: kept there as 8-bit pictures, or brought one step ahead."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import torch
from torch import Tensor

from splatkit.render.rows import own_stream
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
    """Views on a device, divided in size.

    Pictures come to a GPU as the files' bytes and are made smaller there. Where all fit, each comes
    once. Else one thread pins and sends the next step's picture on a stream of its own while this
    step works.

    Args:
        views: on the CPU.
        device: where pictures are wanted.
        room: bytes they may fill there; what the GPU has to spare when None.
        factor: that their size is divided by.
    """

    def __init__(
        self,
        views: list[View],
        device: torch.device,
        room: int | None = None,
        factor: int = 1,
    ) -> None:
        self._views = views
        self._device = device
        self._room = room_for_photos(device) if room is None else room
        self.factor = factor
        at_home = device.type == "cpu"
        self.fits = at_home or sum(_size(view) for view in views) <= self._room * factor**2
        """Whether all pictures stay on the device."""
        self._there: dict[int, View] = {}
        self._coming: tuple[int, Future[View]] | None = None
        self._stream = own_stream(device, "photos") if device.type == "cuda" else None
        self._sender = None if self.fits else ThreadPoolExecutor(1, "splatkit photos")

    def reduced(self, factor: int) -> PhotoStore:
        """The same photos divided by another factor; this one is not to be used any more."""
        if self._sender is not None:
            self._sender.shutdown()
        self._there = {}
        return PhotoStore(self._views, self._device, self._room, factor)

    def at(self, index: int, following: int | None = None) -> View:
        """A view on the device.

        Args:
            index: which.
            following: the one that the next call will ask for, where that is known.
        """
        if self._sender is not None:
            return self._streamed(self._sender, index, following)
        if index not in self._there:
            self._there[index] = self._moved(index)
        return self._there[index]

    def _streamed(self, sender: ThreadPoolExecutor, index: int, following: int | None) -> View:
        if self._coming is not None and self._coming[0] == index:
            view = self._coming[1].result()
        else:
            view = sender.submit(self._sent, index).result()
        if self._stream is not None:
            # The copy may still be on its way, and its memory must outlast this step.
            current = torch.cuda.current_stream(self._device)
            current.wait_stream(self._stream)
            for tensor in (*_pictures(view).values(), view.camera.viewmats, view.camera.Ks):
                tensor.record_stream(current)
        if following is None:
            self._coming = None
        elif following == index:
            self._coming = (index, _done(view))
        else:
            self._coming = (following, sender.submit(self._sent, following))
        return view

    def _sent(self, index: int) -> View:
        """A view on the device as soon as the store's own stream is there."""
        if self._stream is None:
            return self._moved(index)
        with torch.cuda.stream(self._stream):
            return self._moved(index, pinned=True)

    def _moved(self, index: int, pinned: bool = False) -> View:
        view = self._views[index]
        if view.image.device == self._device:
            return view.reduced(self.factor)
        moved = {
            name: (tensor.pin_memory() if pinned else tensor).to(self._device, non_blocking=pinned)
            for name, tensor in _pictures(view).items()
        }
        view = replace(view, **moved).reduced(self.factor)
        return replace(view, camera=view.camera.to(self._device))


def _done(view: View) -> Future[View]:
    future: Future[View] = Future()
    future.set_result(view)
    return future


def _pictures(view: View) -> dict[str, Tensor]:
    """The pictures of a view that training reads."""
    named = {"image": view.image, "mask": view.mask, "alpha": view.alpha}
    return {name: tensor for name, tensor in named.items() if tensor is not None}


def _size(view: View) -> int:
    return sum(tensor.nbytes for tensor in _pictures(view).values())
