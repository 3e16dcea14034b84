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
from splatkit.core.sh import C0, rgb_from_sh
from splatkit.io import _packing as packing
from splatkit.io.files import atomic_path

NAME = ".splat"
_NOTABLE = 0.01
"""Colours this far outside 0..1, and this share of the Gaussians, are worth a warning."""
_SAMPLES = 1 << 16
"""Gaussians that are asked for it."""
_RECORD_BYTES = 32
_STEPS = torch.tensor([255 * C0] * 3 + [255.0] + [128.0] * 4)
_OFFSETS = torch.tensor([127.5] * 3 + [0.0] + [128.0] * 4)
"""Byte = number * step + offset, for coefficients of degree 0, opacity and quaternion."""
_NO_TURN = 0x80808080
"""The four bytes of a quaternion of length 0."""
_BLOCK = 1 << 14
"""Gaussians converted at once: few enough for a processor's cache."""


def read(path: Path) -> Gaussians:
    """Read Gaussians; rows with NaN, infinity or absurd scales are left out with a warning.

    Raises:
        SplatkitError: the file is missing or its size is not a whole number of records.
    """
    return packing.keep_usable(_load(path), path)


def write(gaussians: Gaussians, path: Path) -> None:
    """Write Gaussians atomically; a warning names what the format cannot hold."""
    gaussians = packing.fit_for(gaussians, path, name=NAME, max_degree=0, antialiased=False)
    _warn_of_clamped(gaussians, path)
    # Eight words of four bytes a row: two copies of a block are faster than a field at a time.
    table = torch.from_numpy(np.empty((len(gaussians), 8), np.float32))
    for start in range(0, len(gaussians), _BLOCK):
        part = gaussians[start : start + _BLOCK]
        unit = torch.nn.functional.normalize(part.quats, dim=-1)
        values = torch.cat((part.sh[:, 0], part.opacities[:, None], unit), 1)
        data = torch.addcmul(_OFFSETS, values, _STEPS).round_().clamp_(0, 255).to(torch.uint8)
        rows = table[start : start + _BLOCK]
        torch.cat((part.means, part.scales, data.view(torch.float32)), 1, out=rows)
    records = table.numpy().view("V32")[:, 0]
    order = _bulk_first(gaussians)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        stream.write(records.take(order).data)


def info(path: Path) -> dict[str, Any]:
    """Describe a file: counts, bounds, dead and broken Gaussians."""
    return packing.describe(path, NAME, _load(path), quantization="colour, opacity, quat: 8 bit")


def _bulk_first(gaussians: Gaussians) -> NDArray[np.int64]:
    """[N] order by falling volume times opacity, to 1/65535 of the range of its logarithm."""
    size = torch.mv(gaussians.log_scales, torch.ones(3))
    size += torch.nn.functional.logsigmoid(gaussians.logit_opacities)
    if len(size) == 0:
        return np.zeros(0, np.int64)
    low, high = (float(end) for end in size.aminmax())
    # Sorting 16-bit numbers takes a fraction of the time, and a viewer cannot tell.
    steps = ((high - size) * (65535 / max(high - low, 1e-30))).round_().numpy()
    return np.argsort(steps.astype(np.uint16), kind="stable")


def _warn_of_clamped(gaussians: Gaussians, path: Path) -> None:
    """Scenes trained with harmonics may have base colours that no byte holds."""
    count = len(gaussians)
    some = rgb_from_sh(gaussians.sh[:: max(1, count // _SAMPLES), 0])
    outside = ((some < -_NOTABLE) | (some > 1 + _NOTABLE)).any(1).float()
    if count and float(outside.mean()) > _NOTABLE:
        warnings.warn(
            f"{path}: {float(outside.mean()):.0%} of the Gaussians have colours beyond "
            f"what {NAME} holds; they are clamped (train with --sh-degree 0 for {NAME} files)",
            stacklevel=3,
        )


def _load(path: Path) -> Gaussians:
    data = packing.read_bytes(path)
    if len(data) % _RECORD_BYTES:
        raise packing.damaged(
            path, f"expected records of {_RECORD_BYTES} bytes, got {len(data)} bytes"
        )
    table = np.frombuffer(data, "<f4").reshape(-1, 8)
    count = len(table)
    whole = packing.room_for(count, 1)
    for start in range(0, count, _BLOCK):
        part = slice(start, start + _BLOCK)
        floats, numbers = table[part], table[part, 6:].view(np.uint8)
        whole.means[part] = torch.from_numpy(floats[:, :3].copy())
        # Only a scale of 0 (a flat splat) has the logarithm -inf; a negative one becomes NaN.
        logs = torch.log(torch.from_numpy(floats[:, 3:6].copy()), out=whole.log_scales[part])
        logs.clamp_(min=packing.MIN_LOG_SCALE)
        values = torch.from_numpy(numbers.astype(np.float32)).sub_(_OFFSETS).div_(_STEPS)
        whole.sh[part, 0] = values[:, :3]
        whole.logit_opacities[part] = packing.logits_of_bytes(numbers[:, 3])
        turns = values[:, 4:]
        turns[torch.from_numpy(floats[:, 7].view("<u4") == _NO_TURN), 0] = 1
        whole.quats[part] = torch.nn.functional.normalize(turns, dim=-1)
    return whole
