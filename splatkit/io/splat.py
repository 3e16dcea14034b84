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
from torch import Tensor

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
    logits = gaussians.logit_opacities
    size = gaussians.log_scales.sum(1) + torch.nn.functional.logsigmoid(logits)
    gaussians = gaussians[size.argsort(descending=True, stable=True)]
    records = np.empty(len(gaussians), _RECORD)
    records["mean"] = gaussians.means.numpy()
    records["scale"] = gaussians.scales.numpy()
    rgb = rgb_from_sh(gaussians.sh[:, 0])
    _warn_of_clamped(rgb, path)
    records["rgba"][:, :3] = packing.to_bytes(rgb * 255)
    records["rgba"][:, 3] = packing.opacity_bytes(gaussians.logit_opacities)
    unit = torch.nn.functional.normalize(gaussians.quats, dim=-1)
    records["quat"] = packing.to_bytes(unit * 128 + 128)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        stream.write(records.view(np.uint8).data)


def info(path: Path) -> dict[str, Any]:
    """Describe a file: counts, bounds, dead and broken Gaussians."""
    return packing.describe(path, NAME, _load(path), quantization="colour, opacity, quat: 8 bit")


def _warn_of_clamped(rgb: Tensor, path: Path) -> None:
    """Scenes trained with harmonics may have base colours that no byte holds."""
    outside = ((rgb < -_NOTABLE) | (rgb > 1 + _NOTABLE)).any(1)
    if len(rgb) and float(outside.float().mean()) > _NOTABLE:
        warnings.warn(
            f"{path}: {float(outside.float().mean()):.0%} of the Gaussians have colours beyond "
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
    with np.errstate(invalid="ignore", divide="ignore"):
        log_scales = np.log(records["scale"])
    # Only a scale of 0 (a flat splat) has this logarithm; a negative one becomes NaN.
    log_scales[np.isneginf(log_scales)] = packing.MIN_LOG_SCALE
    rgb = torch.from_numpy(records["rgba"][:, :3].astype(np.float32)) / 255
    quats = torch.from_numpy(records["quat"].astype(np.float32)) / 128 - 1
    quats[(quats == 0).all(1), 0] = 1
    return Gaussians(
        means=torch.from_numpy(records["mean"].copy()),
        quats=torch.nn.functional.normalize(quats, dim=-1),
        log_scales=torch.from_numpy(log_scales),
        logit_opacities=packing.logits_of_bytes(records["rgba"][:, 3]),
        sh=sh_from_rgb(rgb)[:, None],
    )
