"""Gaussians as plain records of 32 bytes: the ``.splat`` files of web viewers.

The layout of antimatter15/splat (no version, no header; little-endian)::

    bytes    type       what
    0-11     3 float32  centre, world units
    12-23    3 float32  standard deviations (not their logarithms)
    24-26    3 uint8    colour, (0.5 + C0 * dc) * 255, clamped
    27       uint8      opacity * 255
    28-31    4 uint8    unit quaternion wxyz, q * 128 + 128

Records are sorted by falling volume times opacity, so that a viewer which is still loading shows
the scene's bulk first. The frame is that of the PLY files it is made from, which is the world
frame (y down): nothing is turned. Harmonics above degree 0, colours outside 0..1, ``extra`` and
the antialiased mark have no place in it.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from splatkit.core import Gaussians
from splatkit.core.sh import rgb_from_sh, sh_from_rgb
from splatkit.io import _packing as packing
from splatkit.io.files import atomic_path

NAME = ".splat"
_NOTABLE = 0.01
"""Colours this far outside 0..1, and this share of the Gaussians, are worth a warning."""
_RECORD = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])


def read(path: Path) -> Gaussians:
    """Read Gaussians; rows with NaN, infinity or absurd scales are left out with a warning.

    Raises:
        SplatkitError: the file is missing or its size is not a whole number of records.
    """
    return packing.keep_usable(_load(path), path)


def write(gaussians: Gaussians, path: Path) -> None:
    """Write Gaussians atomically; a warning names what the format cannot hold."""
    gaussians = packing.fit_for(gaussians, path, name=NAME, max_degree=0, antialiased=False)
    records = np.empty(len(gaussians), _RECORD)
    outside = 0
    for start in range(0, len(gaussians), packing.BLOCK):
        part = gaussians[start : start + packing.BLOCK]
        rows = records[start : start + packing.BLOCK]
        rows["mean"] = part.means.numpy()
        rows["scale"] = part.scales.numpy()
        rgb = rgb_from_sh(part.sh[:, 0])
        outside += int(((rgb < -_NOTABLE) | (rgb > 1 + _NOTABLE)).any(1).sum())
        rows["rgba"][:, :3] = packing.to_bytes(rgb * 255)
        rows["rgba"][:, 3] = packing.opacity_bytes(part.logit_opacities)
        unit = torch.nn.functional.normalize(part.quats, dim=-1)
        rows["quat"] = packing.to_bytes(unit * 128 + 128)
    _warn_of_clamped(outside, len(gaussians), path)
    order = _bulk_first(gaussians)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        stream.write(records.view("V32")[order].data)


def info(path: Path) -> dict[str, Any]:
    """Describe a file: counts, bounds, dead and broken Gaussians."""
    return packing.describe(path, NAME, _load(path), quantization="colour, opacity, quat: 8 bit")


def _bulk_first(gaussians: Gaussians) -> NDArray[np.int64]:
    """[N] order by falling volume times opacity, to 1/65535 of the range of its logarithm."""
    size = gaussians.log_scales.sum(1)
    size += torch.nn.functional.logsigmoid(gaussians.logit_opacities)
    if len(size) == 0:
        return np.zeros(0, np.int64)
    low, high = (float(end) for end in size.aminmax())
    # Sorting 16-bit numbers takes a fraction of the time, and a viewer cannot tell.
    steps = ((high - size) * (65535 / max(high - low, 1e-30))).round_().numpy()
    return np.argsort(steps.astype(np.uint16), kind="stable")


def _warn_of_clamped(outside: int, count: int, path: Path) -> None:
    """Scenes trained with harmonics may have base colours that no byte holds."""
    if outside > _NOTABLE * count:
        warnings.warn(
            f"{path}: {outside / count:.0%} of the Gaussians have colours beyond "
            f"what {NAME} holds; they are clamped (train with --sh-degree 0 for {NAME} files)",
            stacklevel=3,
        )


def _load(path: Path) -> Gaussians:
    data = packing.read_bytes(path)
    if len(data) % _RECORD.itemsize:
        raise packing.damaged(
            path, f"expected records of {_RECORD.itemsize} bytes, got {len(data)} bytes"
        )
    records = np.frombuffer(data, _RECORD)
    count = len(records)
    means, quats, log_scales = (torch.empty(count, width) for width in (3, 4, 3))
    logits, sh = torch.empty(count), torch.empty(count, 1, 3)
    for start in range(0, count, packing.BLOCK):
        rows, part = records[start : start + packing.BLOCK], slice(start, start + packing.BLOCK)
        means[part] = torch.from_numpy(rows["mean"].copy())
        # Only a scale of 0 (a flat splat) has the logarithm -inf; a negative one becomes NaN.
        logs = torch.from_numpy(rows["scale"].copy()).log_()
        log_scales[part] = logs.masked_fill_(logs == -torch.inf, packing.MIN_LOG_SCALE)
        turns = torch.from_numpy(rows["quat"].astype(np.float32)).sub_(128)
        turns[(turns == 0).all(1), 0] = 1
        quats[part] = torch.nn.functional.normalize(turns, dim=-1)
        logits[part] = packing.logits_of_bytes(rows["rgba"][:, 3])
        sh[part, 0] = sh_from_rgb(torch.from_numpy(rows["rgba"][:, :3].astype(np.float32)) / 255)
    return Gaussians(means, quats, log_scales, logits, sh)
