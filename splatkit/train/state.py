"""What a checkpoint holds: the state from which training goes on bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from torch import Tensor

from splatkit.core import PARAMETER_NAMES, Gaussians, SplatkitError
from splatkit.io.checkpoint import read_checkpoint, write_checkpoint
from splatkit.render.backends.base import AdamState, DensityStatistics
from splatkit.train.photo_colors import PhotoColors
from splatkit.train.schedule import Pace
from splatkit.train.strategies import Budget, Model

VERSION = 2
KEPT = 2
"""Checkpoints that stay in the folder; older ones are deleted."""
_STATISTICS = tuple(f.name for f in fields(DensityStatistics))
_COLORS = tuple(f.name for f in fields(PhotoColors))


@dataclass
class TrainingState:
    """Everything that changes while training."""

    model: Model
    budget: Budget
    pace: Pace
    step: int = 0
    """Steps done."""
    seconds: float = 0.0
    """Training time over all sessions."""
    colors: PhotoColors | None = None
    """The photos' colour maps, where they are learned."""
    limit: float | None = None
    """The time limit in seconds that the schedule was made for."""
    recoveries: int = 0
    """How often training diverged and went on from an older state, with smaller steps."""


def save_state(state: TrainingState, folder: Path) -> Path:
    """Write a checkpoint of this state and delete the oldest ones."""
    gaussians, adam = state.model.gaussians, state.model.adam
    tensors: dict[str, Tensor] = {}
    tensors.update({f"gaussians/{n}": t for n, t in gaussians.parameters().items()})
    tensors.update({f"extra/{n}": t for n, t in gaussians.extra.items()})
    tensors.update({f"first/{n}": t for n, t in adam.first.items()})
    tensors.update({f"second/{n}": t for n, t in adam.second.items()})
    tensors.update({f"statistics/{n}": getattr(state.model.statistics, n) for n in _STATISTICS})
    if state.colors is not None:
        tensors.update({f"colors/{n}": getattr(state.colors, n) for n in _COLORS})
    document = {
        "version": VERSION,
        "recoveries": state.recoveries,
        "step": state.step,
        "seconds": state.seconds,
        "limit": state.limit,
        "adam_step": adam.step,
        "antialiased": gaussians.antialiased,
        "pace": asdict(state.pace),
        "budget": asdict(state.budget),
    }
    path = folder / f"step_{state.step:07d}.npz"
    write_checkpoint(path, tensors, document)
    for old in _newest_first(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def load_state(path: Path) -> TrainingState:
    """Read a checkpoint.

    Raises:
        SplatkitError: the file is damaged or of another version.
    """
    tensors, document = read_checkpoint(path)
    if document.get("version") != VERSION:
        raise SplatkitError(
            f"{path}: expected a checkpoint of version {VERSION}, got {document.get('version')}"
        )
    try:
        gaussians = Gaussians(
            **{name: tensors[f"gaussians/{name}"] for name in PARAMETER_NAMES},
            extra=_under("extra/", tensors),
            antialiased=document["antialiased"],
        )
        adam = AdamState(
            _under("first/", tensors), _under("second/", tensors), document["adam_step"]
        )
        statistics = DensityStatistics(**_under("statistics/", tensors))
        colors = _under("colors/", tensors)
        return TrainingState(
            Model(gaussians, adam, statistics),
            Budget(**document["budget"]),
            Pace(**document["pace"]),
            document["step"],
            document["seconds"],
            PhotoColors(**colors) if colors else None,
            document.get("limit"),
            document["recoveries"],
        )
    except (KeyError, TypeError) as error:
        raise SplatkitError(f"{path}: expected a complete checkpoint, {error} is wrong") from error


def states_newest_first(folder: Path) -> Iterator[TrainingState | SplatkitError]:
    """Checkpoints from the newest on: each one's state, or the reason why it cannot be read."""
    for path in _newest_first(folder):
        try:
            yield load_state(path)
        except SplatkitError as error:
            yield error


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint with the most steps."""
    return next(iter(_newest_first(folder)), None)


def step_of(checkpoint: Path) -> int:
    """Steps done when a checkpoint was written, from its name."""
    return int(checkpoint.stem.removeprefix("step_"))


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step_*.npz"), reverse=True)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
