"""TensorBoard's files in ``RUN/tensorboard``, on request: ``splatkit train --tensorboard``."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from splatkit.core import Event, UsageError
from splatkit.train.events import Measured, StepDone

T = TypeVar("T")


def boarded(work: Generator[Event, None, T], folder: Path) -> Generator[Event, None, T]:
    """Pass events on and write their figures for TensorBoard.

    Raises:
        UsageError: the library is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(
            "--tensorboard: expected the tensorboard package, found none; "
            "pip install 'splatkit[tensorboard]'"
        ) from error
    with closing(work), SummaryWriter(str(folder)) as writer:
        while True:
            try:
                event = next(work)
            except StopIteration as stop:
                return stop.value
            for name, value in _figures(event).items():
                writer.add_scalar(name, value, getattr(event, "step", 0))
            yield event


def _figures(event: Event) -> dict[str, float]:
    if isinstance(event, Measured):
        return {"held-out PSNR": event.psnr}
    if isinstance(event, StepDone):
        return {
            "loss": event.loss,
            "Gaussians": event.num_gaussians,
            "steps per second": event.steps_per_second,
        }
    return {}
