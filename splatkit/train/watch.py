"""How well a scene does while it is still in training: a few held-out photos, now and then."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from statistics import fmean
from typing import TypeVar

from splatkit.core import Event, Photo
from splatkit.render.backends import Backend
from splatkit.train.evaluate import render_view
from splatkit.train.events import Measured, StepDone
from splatkit.train.metrics import psnr
from splatkit.train.photos import View

T = TypeVar("T")
WATCHED = 4
"""Photos looked at."""
LOOKS = 20
"""Times in a run."""


def watched_photos(held_out: list[Photo]) -> list[Photo]:
    """A few of the held-out photos, evenly spread."""
    count = min(WATCHED, len(held_out))
    return [held_out[(2 * i + 1) * len(held_out) // (2 * count)] for i in range(count)]


def watched(
    work: Generator[Event, None, T],
    views: list[View],
    background: tuple[float, float, float] | None,
    backend: Backend,
) -> Generator[Event, None, T]:
    """Pass training's events on and add ``Measured`` after every twentieth of the run.

    Args:
        work: the training.
        views: photos to compare; nothing is added when there are none.
        background: sRGB behind everything.
        backend: that of the training.
    """
    seen = 0
    with closing(work):
        while True:
            try:
                event = next(work)
            except StopIteration as stop:
                return stop.value
            yield event
            if not views or not isinstance(event, StepDone):
                continue
            look = LOOKS * event.step // max(event.iterations, 1)
            if look > seen:
                seen = look
                values = [_psnr(event, view, background, backend) for view in views]
                yield Measured(event.step, fmean(values), len(values))


def _psnr(
    event: StepDone,
    view: View,
    background: tuple[float, float, float] | None,
    backend: Backend,
) -> float:
    image = render_view(event.gaussians, view, background, backend)
    return psnr(image, *view.truth(image.device))
