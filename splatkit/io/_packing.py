"""What the compact formats share: bytes and numbers, quaternions, order in space, judgement."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splatkit.core import Gaussians, SplatkitError
from splatkit.core.sh import count_from_degree
from splatkit.io._describe import describe as describe
from splatkit.io._usable import MAX_LOG_SCALE as MAX_LOG_SCALE
from splatkit.io._usable import OPAQUE_LOGIT, keep_usable

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

BLOCK = 1 << 15
"""Gaussians that are held in the layout of a file at once."""
MIN_LOG_SCALE = -30.0
"""Stands for the logarithm of a scale of exactly 0."""
MAX_UNPACKED_BYTES = 1 << 28
"""A file may always unpack to this much, and beyond it to MAX_UNPACKED_RATIO times its size."""
MAX_UNPACKED_RATIO = 100


def blocks(count: int) -> Iterator[slice]:
    """Slices of at most ``BLOCK`` that cover so many."""
    for start in range(0, count, BLOCK):
        yield slice(start, min(start + BLOCK, count))


def read_bytes(path: Path) -> bytes:
    """The whole file."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise SplatkitError(f"{path}: cannot be read ({error.strerror or error})") from error


def read_array(path: Path) -> Bytes:
    """The same as an array, for large files: NumPy asks the system for large pages."""
    try:
        return np.fromfile(path, np.uint8)
    except OSError as error:
        raise SplatkitError(f"{path}: cannot be read ({error.strerror or error})") from error


def damaged(path: Path, what: str) -> SplatkitError:
    """The error for a file that contradicts itself; libraries' texts become one line."""
    fault = " ".join(what.split())
    return SplatkitError(
        f"{path}: {fault}: the file is damaged or cut short; get it again from its source"
    )


def check_unpacked_size(path: Path, unpacked: int, packed: int) -> None:
    """Refuse a file that claims to hold far more than its size makes plausible."""
    if unpacked > max(MAX_UNPACKED_BYTES, MAX_UNPACKED_RATIO * packed):
        raise SplatkitError(
            f"{path}: expected at most {MAX_UNPACKED_RATIO} times its {packed} bytes when "
            f"unpacked, but it claims {unpacked}; the file is damaged or hostile"
        )


def fit_for(
    gaussians: Gaussians,
    path: Path,
    *,
    name: str,
    max_degree: int,
    antialiased: bool = True,
    keep_all: bool = False,
) -> Gaussians:
    """The Gaussians as a compact format can hold them, with a warning that names what goes.

    Args:
        gaussians: any.
        path: of the file about to be written, for the warning.
        name: of the format, for the warning.
        max_degree: of the harmonics that the format holds.
        antialiased: whether the format says that a scene is antialiased.
        keep_all: do not look for rows that cannot be used.

    Returns:
        Detached float32 on the CPU, no ``extra``, at most ``max_degree``, and usable rows unless
        ``keep_all``.
    """
    lost = []
    if gaussians.sh_degree > max_degree:
        lost.append(f"harmonics above degree {max_degree}")
    if gaussians.extra:
        lost.append(f"the columns {', '.join(gaussians.extra)}")
    if gaussians.antialiased and not antialiased:
        lost.append("the mark that the scene is antialiased")
    if lost:
        warnings.warn(f"{path}: {name} does not hold {' and '.join(lost)}", stacklevel=3)
    sh = gaussians.sh[:, : count_from_degree(max_degree)]
    bare = replace(gaussians, sh=sh, extra={}).detach().to("cpu").to(torch.float32)
    return bare if keep_all else keep_usable(bare, path)


def to_bytes(values: Tensor) -> Bytes:
    """The nearest of 0..255."""
    return values.round().clamp(0, 255).to(torch.uint8).numpy()


def opacity_bytes(logits: Tensor) -> Bytes:
    """Opacity 0..1 as 0..255."""
    return to_bytes(logits.sigmoid() * 255)


def logits_of_bytes(values: Bytes) -> Tensor:
    """Inverse of ``opacity_bytes``; 0 and 255 become finite logits."""
    return torch.from_numpy(LOGITS[values])


LOGITS = (
    torch.logit(torch.arange(256, dtype=torch.float64) / 255)
    .clamp(-OPAQUE_LOGIT, OPAQUE_LOGIT)
    .to(torch.float32)
    .numpy()
)
"""Of each byte of opacity."""


def split_largest(quats: Tensor) -> tuple[Tensor, Tensor]:
    """A quaternion as the place of its largest component and the three others.

    Args:
        quats: [N,4] in the order of the format, of any length.

    Returns:
        [N] int64 place 0..3, and [N,3] the others in their order, of the unit quaternion whose
        largest component is positive: within +-sqrt(1/2).
    """
    unit = torch.nn.functional.normalize(quats, dim=-1)
    place = unit.abs().argmax(-1)
    largest = unit.gather(-1, place[:, None])
    unit = torch.where(largest < 0, -unit, unit)
    return place, unit.gather(1, _OTHERS.index_select(0, place))


_OTHERS = torch.tensor([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
"""For each place of the largest component, where the others lie."""


def join_largest(place: Tensor, others: Tensor) -> Tensor:
    """[N,4] unit quaternions: inverse of ``split_largest``."""
    largest = (1 - others.square().sum(-1, keepdim=True)).clamp(min=0).sqrt()
    return torch.cat((others, largest), 1).gather(1, _JOINED.index_select(0, place))


_JOINED = torch.tensor([[3, 0, 1, 2], [0, 3, 1, 2], [0, 1, 3, 2], [0, 1, 2, 3]])
"""For each place of the largest component, where the four lie in (others, largest)."""


def morton_order(means: Tensor) -> Tensor:
    """[N] int64 indices along a curve that keeps neighbours in space close (21 bits an axis)."""
    if len(means) == 0:
        return torch.zeros(0, dtype=torch.int64)
    points = means.to(torch.float64)
    low, high = points.amin(0), points.amax(0)
    cells = ((points - low) / (high - low).clamp(min=1e-30) * ((1 << 21) - 1)).long()
    code = torch.zeros(len(means), dtype=torch.int64)
    for axis in range(3):
        code |= _spread(cells[:, axis]) << axis
    return code.argsort(stable=True)


def in_order(gaussians: Gaussians, order: Tensor) -> Gaussians:
    """Those at some places [M] int64, three times faster than by indexing."""
    return gaussians.map(lambda tensor: tensor.index_select(0, order))


def _spread(value: Tensor) -> Tensor:
    """Puts two zero bits between the 21 low bits of each number."""
    for shift, mask in (
        (32, 0x1F00000000FFFF),
        (16, 0x1F0000FF0000FF),
        (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    ):
        value = (value | (value << shift)) & mask
    return value


def room_for(count: int, bases: int, antialiased: bool = False) -> Gaussians:
    """Gaussians with ``bases`` harmonics to be filled in, block by block; numbers undefined."""

    def room(*shape: int) -> Tensor:
        # NumPy asks the system for large pages, which are filled four times faster.
        return torch.from_numpy(np.empty(shape, np.float32))

    return Gaussians(
        means=room(count, 3),
        quats=room(count, 4),
        log_scales=room(count, 3),
        logit_opacities=room(count),
        sh=room(count, bases, 3),
        antialiased=antialiased,
    )
