"""Gaussians as a table of text, for spreadsheets and pipelines: the columns of splat-transform.

The first line names the columns, in any order; each further line is one Gaussian::

    x y z               centre
    rot_0 ... rot_3     quaternion wxyz, of any non-zero length
    scale_0 ... scale_2 natural logarithm of the standard deviations
    opacity             logit
    f_dc_0 ... f_dc_2   coefficients of degree 0, red green blue
    f_rest_0 ...        the others: all of red, then of green, then of blue (0, 9, 24, 45 or 72)

Numbers are separated by commas and have nine digits, which is all that float32 holds. ``nx ny
nz`` are passed over; other columns become ``extra``. The frame is that of the PLY files with the
same columns, which is the world frame.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from splatkit.core import Gaussians, SplatkitError
from splatkit.core.sh import MAX_DEGREE, count_from_degree
from splatkit.io import _packing as packing
from splatkit.io._linear import blocks
from splatkit.io._packing import Floats
from splatkit.io.files import atomic_path

NAME = "CSV"

_MEANS = ("x", "y", "z")
_QUATS = tuple(f"rot_{i}" for i in range(4))
_SCALES = tuple(f"scale_{i}" for i in range(3))
_DC = tuple(f"f_dc_{i}" for i in range(3))
_REQUIRED = (*_MEANS, *_QUATS, *_SCALES, "opacity", *_DC)
_PASSED_OVER = {"nx", "ny", "nz"}
_MAX_LINE_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 22
_COMMA, _NEWLINE = ord(","), ord("\n")


def read(path: Path) -> Gaussians:
    """Read Gaussians; rows with NaN, infinity or absurd scales are left out with a warning.

    Raises:
        SplatkitError: the file is missing, damaged, or has other columns.
    """
    return packing.keep_usable(_load(path), path)


def write(gaussians: Gaussians, path: Path) -> None:
    """Write Gaussians atomically; a warning names what cannot be held."""
    gaussians = packing.fit_for(
        gaussians, path, name=NAME, max_degree=MAX_DEGREE, antialiased=False
    )
    names = (*_REQUIRED, *_rest_names(gaussians.sh_degree))
    line = ",".join(["%.9g"] * len(names)) + "\n"
    with atomic_path(path) as temporary, temporary.open("w", newline="\n") as stream:
        stream.write(",".join(names) + "\n")
        for block in blocks(len(gaussians)):
            rows = _table(gaussians[block]).tolist()
            stream.write("".join([line % tuple(row) for row in rows]))


def info(path: Path) -> dict[str, Any]:
    """Describe a file: counts, degree, bounds, dead and broken Gaussians, further columns."""
    return packing.describe(path, NAME, _load(path), quantization="none")


def _rest_names(degree: int) -> tuple[str, ...]:
    return tuple(f"f_rest_{i}" for i in range(3 * count_from_degree(degree) - 3))


def _table(gaussians: Gaussians) -> Tensor:
    """[n, columns] in the order that is written."""
    return torch.cat(
        (
            gaussians.means,
            gaussians.quats,
            gaussians.log_scales,
            gaussians.logit_opacities[:, None],
            gaussians.sh[:, 0],
            gaussians.sh[:, 1:].mT.flatten(1),
        ),
        1,
    )


def _load(path: Path) -> Gaussians:
    try:
        with path.open("rb") as stream:
            names = _header(path, stream)
            bases = count_from_degree(_degree(names))
            whole = packing.room_for(_most_rows(stream, len(names)), bases)
            whole.extra = {name: torch.empty(len(whole)) for name in _extra_names(names)}
            done = 0
            for rows in _rows(path, stream, len(names)):
                place = slice(done, done + len(rows))
                _fill(whole[place], names, rows)
                done = place.stop
    except OSError as error:
        raise SplatkitError(f"{path}: cannot be read ({error.strerror or error})") from error
    return whole[:done]


def _most_rows(stream: IO[bytes], width: int) -> int:
    """How many rows of so many numbers can follow; the stream stays where it is."""
    start, lines, size = stream.tell(), 1, 0
    while text := stream.read(_BLOCK_BYTES):
        lines += text.count(b"\n")
        size += len(text)
    stream.seek(start)
    # A number is a digit and a separator at least: empty lines are given no room.
    return min(lines, (size + 1) // (2 * width))


def _header(path: Path, stream: IO[bytes]) -> list[str]:
    """The names of the columns, all that are needed among them."""
    line = stream.readline(_MAX_LINE_BYTES)
    text = line.decode("utf-8-sig", errors="replace").strip()
    names = [name.strip().strip('"') for name in text.split(",")]
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise SplatkitError(
            f"{path}: expected a first line of names with commas between them ({', '.join(_MEANS)} "
            f"and others), got none named {', '.join(missing[:4])}"
        )
    rest = [name for name in names if re.fullmatch(r"f_rest_\d+", name)]
    known = {frozenset(_rest_names(degree)) for degree in range(MAX_DEGREE + 1)}
    if len(set(names)) != len(names) or frozenset(rest) not in known:
        raise SplatkitError(
            f"{path}: expected each column once and 0, 9, 24, 45 or 72 named f_rest, got "
            f"{len(rest)} of {len(names)}"
        )
    return names


def _rows(path: Path, stream: IO[bytes], width: int) -> Iterator[Floats]:
    """The lines as [n, width] numbers, some megabytes of text at a time."""
    number = 1
    while text := stream.read(_BLOCK_BYTES) + stream.readline(_MAX_LINE_BYTES):
        text = text.replace(b"\r", b"").rstrip(b"\n")
        if not text:
            continue
        marks = np.frombuffer(text + b"\n", np.uint8)
        ends = np.flatnonzero(marks == _NEWLINE)
        commas = np.diff(np.cumsum(marks == _COMMA)[ends], prepend=0)
        wrong = np.flatnonzero(commas != width - 1)
        if len(wrong):
            raise packing.damaged(
                path,
                f"line {number + int(wrong[0]) + 1}: expected {width} numbers, got "
                f"{int(commas[wrong[0]]) + 1}",
            )
        try:
            with warnings.catch_warnings():
                # Text that is no number ends the parse with a mere warning.
                warnings.simplefilter("error")
                values = np.fromstring(text.replace(b"\n", b","), np.float32, sep=",")
            rows = values.reshape(len(ends), width)
        except (ValueError, DeprecationWarning) as error:
            raise packing.damaged(
                path, f"lines {number + 1} to {number + len(ends)}: not all are numbers"
            ) from error
        number += len(ends)
        yield rows


def _degree(names: list[str]) -> int:
    return next(d for d in range(MAX_DEGREE, -1, -1) if set(_rest_names(d)) <= set(names))


def _extra_names(names: list[str]) -> list[str]:
    used = {*_REQUIRED, *_rest_names(_degree(names)), *_PASSED_OVER}
    return [name for name in names if name not in used]


def _fill(gaussians: Gaussians, names: list[str], rows: Floats) -> None:
    """Put [n, columns] into n Gaussians, which are views of a larger set."""
    places = {name: place for place, name in enumerate(names)}

    def take(wanted: tuple[str, ...]) -> Tensor:
        return torch.from_numpy(rows[:, [places[name] for name in wanted]])

    gaussians.means[:] = take(_MEANS)
    gaussians.quats[:] = take(_QUATS)
    gaussians.log_scales[:] = take(_SCALES)
    gaussians.logit_opacities[:] = take(("opacity",))[:, 0]
    gaussians.sh[:, 0] = take(_DC)
    rest = take(_rest_names(gaussians.sh_degree))
    gaussians.sh[:, 1:] = rest.view(len(rows), 3, gaussians.sh.shape[1] - 1).mT
    for name, values in gaussians.extra.items():
        values[:] = take((name,))[:, 0]
