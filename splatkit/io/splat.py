"""Gaussians as plain records of 32 bytes: the ``.splat`` files of web viewers.

The layout of antimatter15/splat (no version, no header; little-endian)::

    bytes    type       what
    0-11     3 float32  centre, world units
    12-23    3 float32  standard deviations (not their logarithms)
    24-26    3 uint8    colour, (0.5 + C0 * dc) * 255, clamped
    27       uint8      opacity * 255
    28-31    4 uint8    unit quaternion wxyz, q * 128 + 128

Records are sorted by falling volume times opacity (to a sixteenth of an octave), so that a viewer
which is still loading shows the scene's bulk first. The frame is that of the PLY files it is made
from, which is the world frame (y down): nothing is turned. Harmonics above degree 0, colours
outside 0..1, ``extra`` and the antialiased mark have no place in it.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from splatkit import _native
from splatkit.core import Gaussians
from splatkit.core.sh import C0, rgb_from_sh
from splatkit.io import _packing as packing
from splatkit.io.files import atomic_path

NAME = ".splat"
_NOTABLE = 0.01
"""Colours this far outside 0..1, and this share of the Gaussians, are worth a warning."""
_SAMPLES = 1 << 13
"""Gaussians that are asked for it."""
_RECORD_BYTES = 32
_STEPS = torch.tensor([255 * C0] * 3 + [255.0] + [128.0] * 4)
_OFFSETS = torch.tensor([127.5] * 3 + [0.0] + [128.0] * 4)
"""Byte = number * step + offset, for coefficients of degree 0, opacity and quaternion."""


def read(path: Path) -> Gaussians:
    """Read Gaussians; rows with NaN, infinity or absurd scales are left out with a warning.

    Raises:
        SplatkitError: the file is missing or its size is not a whole number of records.
    """
    return packing.keep_usable(_load(path), path)


def write(gaussians: Gaussians, path: Path) -> None:
    """Write Gaussians atomically; a warning names what the format cannot hold."""
    gaussians = packing.fit_for(
        gaussians, path, name=NAME, max_degree=0, antialiased=False, keep_all=True
    )
    _warn_of_clamped(gaussians, path)
    records, usable = _packed(gaussians)
    if not usable:
        records, _ = _packed(packing.keep_usable(gaussians, path))
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        stream.write(records.data)


def _packed(gaussians: Gaussians) -> tuple[packing.Bytes, bool]:
    """Records [N,32], and whether every row is surely usable: packing sees all numbers anyway."""
    records = np.empty((len(gaussians), _RECORD_BYTES), np.uint8)
    usable = _native.pack_splats(
        gaussians.means.contiguous(),
        gaussians.quats.contiguous(),
        gaussians.log_scales.contiguous(),
        gaussians.logit_opacities.contiguous(),
        gaussians.sh[:, 0].contiguous(),
        _STEPS,
        _OFFSETS,
        packing.MAX_LOG_SCALE,
        records,
    )
    return records, usable


def info(path: Path) -> dict[str, Any]:
    """Describe a file: counts, bounds, dead and broken Gaussians."""
    return packing.describe(path, NAME, _load(path), quantization="colour, opacity, quat: 8 bit")


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
    data = packing.read_array(path)
    if len(data) % _RECORD_BYTES:
        raise packing.damaged(
            path, f"expected records of {_RECORD_BYTES} bytes, got {len(data)} bytes"
        )
    records = data.reshape(-1, _RECORD_BYTES)
    whole = packing.room_for(len(records), 1)
    _native.unpack_splats(
        records,
        _STEPS,
        _OFFSETS,
        packing.LOGITS,
        packing.MIN_LOG_SCALE,
        whole.means,
        whole.quats,
        whole.log_scales,
        whole.logit_opacities,
        whole.sh,
    )
    return whole
