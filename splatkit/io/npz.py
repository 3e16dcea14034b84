"""Gaussians as NumPy arrays in one ``.npz``: exact, for pipelines of one's own.

``np.load`` opens it without splatkit; all of it is what ``Gaussians`` holds, in the world frame::

    means             float32 [N,3]    centres (float16 and float64 are read, too)
    quats             float32 [N,4]    wxyz, of any non-zero length
    log_scales        float32 [N,3]    natural logarithm of the standard deviations
    logit_opacities   float32 [N]
    sh                float32 [N,K,3]  K = 1, 4, 9, 16 or 25; colour = SH + 0.5, sRGB
    antialiased       bool []          optional, false
    extra.NAME        [N, ...]         optional; floats become float32, whole numbers stay

Arrays are stored uncompressed; compressed ones (``np.savez_compressed``) are read as well. Pickled
objects are refused.
"""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from io import BufferedIOBase
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray
from torch import Tensor

from splatkit.core import PARAMETER_NAMES, Gaussians, SplatkitError, UsageError
from splatkit.io import _packing as packing
from splatkit.io.files import atomic_path

NAME = "NPZ"
MAGIC = b"PK\x03\x04"
MARK = b".npy"
"""What the names of the members end with; other zip formats have no such names."""

_EXTRA = "extra."
_PIECE = 1 << 18
"""Bytes packed or unpacked at once: few enough for a processor's cache."""
_ANTIALIASED = "antialiased"
_BROKEN = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, TypeError, SyntaxError,
           RuntimeError, MemoryError, struct.error, tokenize.TokenError)  # fmt: skip


def read(path: Path) -> Gaussians:
    """Read Gaussians; rows with NaN, infinity or absurd scales are left out with a warning.

    Raises:
        SplatkitError: the file is missing, damaged, or holds other arrays.
    """
    return packing.keep_usable(_load(path), path)


def write(gaussians: Gaussians, path: Path, *, precision: str = "normal") -> None:
    """Write Gaussians atomically.

    Args:
        gaussians: any.
        path: of the file.
        precision: ``normal`` or ``high``, every number as it is in float32; ``low``, all but the
            centres in float16.

    Raises:
        UsageError: there is no such precision.
    """
    if precision not in ("low", "normal", "high"):
        raise UsageError(f"precision: expected low, normal, high; got {precision!r}")
    plain = gaussians.detach().to("cpu").to(torch.float32)
    arrays = {name: tensor.numpy() for name, tensor in plain.parameters().items()}
    if precision == "low":
        limit = float(np.finfo(np.float16).max)
        for name in PARAMETER_NAMES[1:]:
            arrays[name] = arrays[name].clip(-limit, limit).astype(np.float16)
    arrays[_ANTIALIASED] = np.array(plain.antialiased)
    arrays |= {_EXTRA + name: tensor.numpy() for name, tensor in plain.extra.items()}
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            _add(archive, name, np.asarray(array, order="C"))


def info(path: Path) -> dict[str, Any]:
    """Describe a file: counts, degree, bounds, dead and broken Gaussians, further arrays."""
    return packing.describe(path, NAME, _load(path), stated_up="-y", quantization="none")


def _add(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    """One array as ``np.savez`` stores it, without that function's copy of all its bytes."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        npy.write_array_header_1_0(member, npy.header_data_from_array_1_0(array))
        data = array.reshape(-1).view(np.uint8).data
        for start in range(0, len(data), _PIECE):
            member.write(data[start : start + _PIECE])


def _load(path: Path) -> Gaussians:
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            total = sum(member.file_size for member in members.values())
            packing.check_unpacked_size(path, total, path.stat().st_size)
            missing = [name for name in PARAMETER_NAMES if name not in members]
            if missing:
                raise SplatkitError(
                    f"{path}: expected the arrays {', '.join(PARAMETER_NAMES)}, got none named "
                    f"{', '.join(missing)}"
                )
            wanted = [n for n in members if n in PARAMETER_NAMES or n.startswith(_EXTRA)]
            arrays = {name: _array(path, archive, members[name]) for name in wanted}
            mark = members.get(_ANTIALIASED)
            antialiased = mark is not None and bool(_array(path, archive, mark).all())
    except _BROKEN as error:
        raise packing.damaged(path, f"its arrays cannot be opened ({error})") from error
    tensors = {name: _tensor(array) for name, array in arrays.items()}
    extra = {n.removeprefix(_EXTRA): tensors.pop(n) for n in list(tensors) if n.startswith(_EXTRA)}
    try:
        parameters = {name: tensor.to(torch.float32) for name, tensor in tensors.items()}
        return Gaussians(**parameters, extra=extra, antialiased=antialiased)
    except (SplatkitError, IndexError) as error:
        raise packing.damaged(path, str(error)) from error


def _array(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """One array of numbers, judged by its header before it is made."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise packing.damaged(path, f"{member.filename} is packed in an unknown way")
    with cast(BufferedIOBase, archive.open(member)) as stream:
        version = npy.read_magic(stream)
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = header(stream)
        count = 1
        for length in shape:
            count *= length
        if dtype.kind not in "fiub" or count * dtype.itemsize != member.file_size - stream.tell():
            raise packing.damaged(
                path, f"{member.filename}: expected plain numbers, got {dtype} {list(shape)[:4]}"
            )
        flat = np.empty(count, dtype)
        bytes_left = flat.view(np.uint8).data
        # Piece by piece into its place: the archive's own read would hold everything twice.
        while len(bytes_left):
            done = stream.readinto(bytes_left[:_PIECE])
            if not done:
                raise packing.damaged(path, f"{member.filename} is cut short")
            bytes_left = bytes_left[done:]
        # Only the end of a member has its checksum looked at.
        stream.read(1)
    return flat.reshape(shape, order="F" if fortran else "C")


def _tensor(array: NDArray[Any]) -> Tensor:
    """float32 of floats, int64 of unsigned numbers that torch lacks, the others as they are."""
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return torch.from_numpy(np.ascontiguousarray(array, np.float32))
    target = np.int64 if array.dtype.kind == "u" and array.dtype.itemsize > 1 else None
    native = array.dtype.newbyteorder("=") if target is None else np.dtype(target)
    return torch.from_numpy(array.astype(native, order="C"))
