"""Photos on the device: all of them where they fit, else one ahead."""

import torch

from splatkit.core import Cameras, intrinsics
from splatkit.train.photo_store import PhotoStore
from splatkit.train.photos import View

META = torch.device("meta")
"""A device that holds no values: enough to see what is moved and when."""


def views(count: int) -> list[View]:
    camera = Cameras(torch.eye(4)[None], intrinsics(10, 10, 4, 3).float()[None], 8, 6)
    return [
        View(str(i), camera, torch.zeros(1, 6, 8, 3, dtype=torch.uint8), None) for i in range(count)
    ]


def test_on_the_cpu_nothing_is_copied() -> None:
    own = views(2)
    store = PhotoStore(own, torch.device("cpu"))
    assert store.at(1, 0) is own[1]


def test_smaller_pictures_are_made_when_they_are_asked_for() -> None:
    own = views(2)
    store = PhotoStore(own, torch.device("cpu")).reduced(2)
    small = store.at(1)
    assert small.image.shape == (1, 3, 4, 3)
    assert store.at(1) is small
    assert store.reduced(1).at(1) is own[1]


def test_what_fits_is_moved_once() -> None:
    own = views(3)
    store = PhotoStore(own, META, room=3 * 6 * 8 * 3)
    assert store.fits
    first = store.at(2)
    assert first.image.device == first.camera.viewmats.device == META
    assert first.name == "2"
    assert store.at(2) is first
    assert own[2].image.device.type == "cpu"


def test_what_does_not_fit_comes_one_ahead() -> None:
    store = PhotoStore(views(3), META, room=3 * 6 * 8 * 3 - 1)
    moved: list[int] = []
    bring = store._moved

    def counted(index: int) -> View:
        moved.append(index)
        return bring(index)

    store._moved = counted  # type: ignore[method-assign]
    for index, following in ((0, 2), (2, 1), (1, 1), (1, None)):
        assert store.at(index, following).name == str(index)
    assert not store.fits
    assert moved == [0, 2, 1]
