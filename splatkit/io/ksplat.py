""".ksplat, the files of the GaussianSplats3D web viewer (version 0.1): read, never written.

Little-endian; a header of 4096 bytes, a section header of 1024 bytes for each section, then the
data of the sections behind one another::

    header      0 uint8 major, 1 uint8 minor, 4 uint32 sections with a header, 16 uint32 count,
                20 uint16 compression level, 36 float32 lowest and 40 highest harmonic (level 2)
    section     0 uint32 count, 4 uint32 room for so many, 8 uint32 bucket size, 12 uint32
                buckets, 16 float32 bucket edge, 20 uint16 bytes a bucket, 24 uint32 range,
                32 uint32 full buckets, 36 uint32 partial buckets, 40 uint16 degree (0 to 2)
    data        uint32 length of each partial bucket, 3 float32 centre of each bucket, Gaussians

    Gaussian    level 0                 levels 1 and 2
      centre    3 float32               3 uint16: (value - range) * edge / 2 / range + bucket centre
      scale     3 float32, linear       3 float16, linear
      rotation  4 float32 wxyz          4 float16 wxyz
      colour    4 uint8 RGBA            4 uint8 RGBA
      harmonics float32                 level 1 float16; level 2 uint8 between lowest and highest;
                                        of each degree all of red, then green, then blue

The frame is that of the PLY or .splat the file was made from: the world frame, nothing is turned.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splatkit.core import Gaussians, SplatkitError
from splatkit.core.sh import count_from_degree, sh_from_rgb
from splatkit.io import _packing as packing
from splatkit.io._packing import Floats

NAME = ".ksplat"
_HEADER_BYTES = 4096
_SECTION_BYTES = 1024
_SECTION = struct.Struct("<IIIIfH2xI4xIIH")
_MAX_DEGREE = 2
_DEFAULT_HARMONIC = 1.5
_DEFAULT_RANGES = (1, 32767, 32767)
# Per level: types of centre, scale and rotation, harmonics.
_TYPES = (("<f4", "<f4", "<f4"), ("<u2", "<f2", "<f2"), ("<u2", "<f2", "u1"))


@dataclass(frozen=True)
class _Header:
    version: str
    sections: int
    count: int
    level: int
    lowest: float
    highest: float


def read(path: Path) -> Gaussians:
    """Read Gaussians; rows with NaN, infinity or absurd scales are left out with a warning.

    Raises:
        SplatkitError: the file is missing, damaged, or of another version.
    """
    return packing.keep_usable(_load(path)[0], path)


def info(path: Path) -> dict[str, Any]:
    """Describe a file: version, level, counts, degree, bounds, dead and broken Gaussians."""
    gaussians, header = _load(path)
    quantization = ("none but colour: 8 bit", "16 bit, colour: 8 bit", "16 bit, the rest: 8 bit")
    return packing.describe(
        path, NAME, gaussians, version=header.version, quantization=quantization[header.level]
    )


def _load(path: Path) -> tuple[Gaussians, _Header]:
    data = packing.read_bytes(path)
    header = _read_header(path, data)
    place = _HEADER_BYTES + header.sections * _SECTION_BYTES
    parts: list[Gaussians] = []
    for index in range(header.sections):
        start = _HEADER_BYTES + index * _SECTION_BYTES
        part, place = _section(path, data, header, start, place)
        parts.append(part)
    count = sum(map(len, parts))
    if count != header.count:
        raise packing.damaged(path, f"expected {header.count} Gaussians, its sections have {count}")
    coefficients = max(part.sh.shape[1] for part in parts)
    for part in parts:
        part.sh = torch.nn.functional.pad(part.sh, (0, 0, 0, coefficients - part.sh.shape[1]))
    return Gaussians.concatenate(parts), header


def _read_header(path: Path, data: bytes) -> _Header:
    if len(data) < _HEADER_BYTES:
        raise packing.damaged(path, f"expected a header of {_HEADER_BYTES} bytes, got {len(data)}")
    major, minor = data[0], data[1]
    sections, count = (struct.unpack_from("<I", data, at)[0] for at in (4, 16))
    (level,) = struct.unpack_from("<H", data, 20)
    lowest, highest = struct.unpack_from("<2f", data, 36)
    if major != 0 or minor < 1 or level >= len(_TYPES):
        raise SplatkitError(
            f"{path}: expected a .ksplat file of version 0.1 and level 0 to 2, got version "
            f"{major}.{minor}, level {level}"
        )
    if not 1 <= sections <= (len(data) - _HEADER_BYTES) // _SECTION_BYTES:
        raise packing.damaged(path, f"it has no room for its {sections} section headers")
    return _Header(
        f"{major}.{minor}",
        sections,
        count,
        level,
        lowest or -_DEFAULT_HARMONIC,
        highest or _DEFAULT_HARMONIC,
    )


def _section(
    path: Path, data: bytes, header: _Header, start: int, place: int
) -> tuple[Gaussians, int]:
    """The Gaussians of one section, and where the data of the next one begins."""
    (
        count, room, bucket_size, buckets, edge, bucket_bytes, value_range, full, partial, degree,
    ) = _SECTION.unpack_from(data, start)  # fmt: skip
    if degree > _MAX_DEGREE or count > room:
        raise packing.damaged(path, f"a section of degree {degree} has {count} of {room} Gaussians")
    center_type, turn_type, rest_type = _TYPES[header.level]
    rest = 3 * (count_from_degree(degree) - 1)
    record = np.dtype(
        [("mean", center_type, 3), ("scale", turn_type, 3), ("quat", turn_type, 4),
         ("rgba", "u1", 4), ("rest", rest_type, (rest,))]
    )  # fmt: skip
    centers_at = place + 4 * partial
    rows_at = centers_at + bucket_bytes * buckets
    end = rows_at + record.itemsize * room
    if end > len(data) or (buckets and bucket_bytes != 12):
        raise packing.damaged(path, f"a section needs {end} bytes, got {len(data)}")
    rows = np.frombuffer(data, record, count, rows_at)
    if header.level == 0:
        means = torch.from_numpy(rows["mean"].copy())
    else:
        partials = np.frombuffer(data, "<u4", partial, place).astype(np.int64)
        centers = np.frombuffer(data, "<f4", 3 * buckets, centers_at).reshape(-1, 3)
        bucket = _bucket_of(np.arange(count), full, bucket_size, partials)
        if count and int(bucket.max()) >= buckets:
            raise packing.damaged(path, "a section has Gaussians outside its buckets")
        value_range = value_range or _DEFAULT_RANGES[header.level]
        with np.errstate(over="ignore", invalid="ignore"):
            step = np.float32(edge / 2 / value_range)
            offsets = (rows["mean"].astype(np.float32) - value_range) * step
            means = torch.from_numpy(offsets + centers[bucket])
    return _gaussians(rows, means, _rest(rows["rest"], header, degree)), end


def _bucket_of(
    index: NDArray[np.int64], full: int, size: int, partials: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Which bucket each Gaussian is in: the full ones come first, then the partial ones."""
    behind = index - min(full * size, len(index))
    late = full + np.searchsorted(np.cumsum(partials), behind, side="right")
    return np.where(behind < 0, index // max(size, 1), late)


def _gaussians(rows: NDArray[np.void], means: Tensor, rest: Tensor) -> Gaussians:
    with np.errstate(invalid="ignore", divide="ignore"):
        log_scales = np.log(rows["scale"].astype(np.float32))
    log_scales[np.isneginf(log_scales)] = packing.MIN_LOG_SCALE
    rgb = torch.from_numpy(rows["rgba"][:, :3].astype(np.float32)) / 255
    quats = torch.from_numpy(rows["quat"].astype(np.float32))
    quats[(quats == 0).all(1), 0] = 1
    return Gaussians(
        means=means,
        quats=quats,
        log_scales=torch.from_numpy(log_scales),
        logit_opacities=packing.logits_of_bytes(rows["rgba"][:, 3]),
        sh=torch.cat((sh_from_rgb(rgb)[:, None], rest), 1),
    )


def _rest(values: NDArray[Any], header: _Header, degree: int) -> Tensor:
    """[N,K-1,3] the coefficients above degree 0."""
    floats: Floats = values.astype(np.float32)
    if header.level == 2:
        with np.errstate(over="ignore", invalid="ignore"):
            span = np.float32(header.highest) - np.float32(header.lowest)
            floats = floats / np.float32(255) * span + np.float32(header.lowest)
    bands, place = [torch.zeros(len(floats), 0, 3)], 0
    for band in range(1, degree + 1):
        width = 3 * (2 * band + 1)
        flat = torch.from_numpy(floats[:, place : place + width].copy())
        bands.append(flat.view(len(floats), 3, 2 * band + 1).mT)
        place += width
    return torch.cat(bands, 1)
