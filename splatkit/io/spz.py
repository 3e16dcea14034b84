"""SPZ, the compressed Gaussians of Niantic (github.com/nianticlabs/spz): versions 1 to 4.

Versions 1 to 3 are one gzip stream: a header of 16 bytes and the attributes behind one another.
Version 4 is a plain header of 32 bytes, extension records, a table of [packed size, size] pairs
(two uint64 each) and one zstandard stream per attribute. Numbers are little-endian::

    header      "NGSP", uint32 version, uint32 count, uint8 degree, uint8 fraction bits,
                uint8 flags (1 antialiased, 2 has extensions), uint8 streams (version 4)
    version 4   uint32 place of the table, 12 bytes 0
    extension   uint32 type, uint32 size, that many bytes

    positions   version 1: 3 float16; later: 3 fixed-point numbers of 24 bits
    alphas      uint8, opacity * 255
    colors      3 uint8, dc * 0.15 * 255 + 127.5
    scales      3 uint8, (log scale + 10) * 16
    rotations   versions 1 and 2: 3 uint8, (xyz + 1) * 127.5 with w >= 0; later: uint32, 2 bits
                the place of the largest of xyzw, then sign and 9 bits for each other / sqrt(1/2)
    sh          uint8, c * 128 + 128, coefficient by coefficient, red green blue innermost

Frame: RUB (x right, y up, z back), as the specification sets it, or what its coordinate-system
extension names; the world frame is RDF, so scenes are turned by 180 degrees about x, colours
included. Some programs store a PLY's own coordinates in SPZ as they are, against the
specification: such files come in upside down and need ``--rotate 180 0 0``.

Written files keep more fraction bits than the usual 12 where the splats are small for it, and
fewer where the scene is larger than +-2048.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zstandard
from torch import Tensor

from splatkit.core import Gaussians, SplatkitError, UsageError
from splatkit.core.sh import MAX_DEGREE, count_from_degree
from splatkit.core.sh_rotation import rotate_sh
from splatkit.core.similarity import transformed
from splatkit.io import _packing as packing
from splatkit.io._packing import Bytes
from splatkit.io.axes import world_from_axes
from splatkit.io.files import write_bytes

NAME = "SPZ"
GZIP_MAGIC = b"\x1f\x8b"
MAGIC = b"NGSP"
VERSIONS = (3, 4)
"""Those that are written."""

_HEADER = struct.Struct("<4sIIBBBB")
_TABLE_PLACE = struct.Struct("<I12x")
_TABLE_ENTRY = struct.Struct("<QQ")
_EXTENSION = struct.Struct("<II")
_STREAM_NAMES = ("positions", "alphas", "colors", "scales", "rotations", "sh")
_ANTIALIASED, _EXTENDED = 1, 2
_COORDINATE_SYSTEM = 0xADBE0003
_SYSTEMS = (
    "RUB", "LDB", "RDB", "LUB", "RUB", "LDF", "RDF", "LUF", "RUF",
    "LFD", "RFD", "LFU", "RFU", "LBD", "RBD", "LBU", "RBU",
)  # fmt: skip
"""By the extension's number; 0 is "unspecified" and means the usual one."""
_COLOR_SCALE = 0.15
PRECISIONS = {"low": (8, 16), "normal": (4, 8), "high": (1, 1)}
"""Steps of 256 of the harmonics, for degree 1 and for those above. Low, 5 and 4 bits, is the
reference's default: trained scenes then show 32 to 36 dB, and with one bit more 39 to 41 dB."""
_COMPONENT_STEPS = 511
_USUAL_FRACTION_BITS = 12
_MAX_FRACTION_BITS = 23
_FINEST = 8
"""Positions are stored at least this many times finer than the median splat is large."""
_ZSTD_LEVEL = 12


@dataclass(frozen=True)
class _Header:
    version: int
    count: int
    degree: int
    fraction_bits: int
    flags: int

    def sizes(self) -> dict[str, int]:
        """Bytes of each attribute, in the order of the file."""
        rest = 3 * (count_from_degree(self.degree) - 1)
        position, rotation = 6 if self.version == 1 else 9, 4 if self.version >= 3 else 3
        widths = (position, 1, 3, 3, rotation, rest)
        return {n: self.count * w for n, w in zip(_STREAM_NAMES, widths, strict=True)}


def read(path: Path) -> Gaussians:
    """Read Gaussians; rows with NaN, infinity or absurd scales are left out with a warning.

    Raises:
        SplatkitError: the file is missing, damaged, or of an unknown version.
    """
    return packing.keep_usable(_load(path)[0], path)


def write(gaussians: Gaussians, path: Path, *, version: int = 4, precision: str = "normal") -> None:
    """Write Gaussians atomically.

    Args:
        gaussians: centres within +-8388607.
        path: of the file.
        version: 4, or 3 for readers older than July 2026.
        precision: of the harmonics, one of ``PRECISIONS``.

    Raises:
        UsageError: there is no such version or precision.
        SplatkitError: a centre is farther away than SPZ reaches.
    """
    if version not in VERSIONS:
        raise UsageError(f"SPZ version: expected 3 or 4, got {version}")
    if precision not in PRECISIONS:
        raise UsageError(f"precision: expected {', '.join(PRECISIONS)}; got {precision!r}")
    gaussians = packing.fit_for(gaussians, path, name=NAME, max_degree=MAX_DEGREE)
    header = _Header(
        version,
        len(gaussians),
        gaussians.sh_degree,
        _fraction_bits(gaussians, path),
        _ANTIALIASED if gaussians.antialiased else 0,
    )
    streams = [data for data in _pack(gaussians, header, PRECISIONS[precision]) if len(data)]
    start = _HEADER.pack(
        MAGIC, version, header.count, header.degree, header.fraction_bits, header.flags,
        len(streams) if version == 4 else 0,
    )  # fmt: skip
    if version == 3:
        write_bytes(path, _gzip(start, streams))
        return
    packed = _compressed(streams)
    table = [_TABLE_ENTRY.pack(len(p), len(d)) for p, d in zip(packed, streams, strict=True)]
    place = _TABLE_PLACE.pack(_HEADER.size + _TABLE_PLACE.size)
    write_bytes(path, b"".join((start, place, *table, *packed)))


def info(path: Path) -> dict[str, Any]:
    """Describe a file: version, frame, counts, degree, bounds, dead and broken Gaussians."""
    gaussians, header, system = _load(path)
    return packing.describe(
        path,
        NAME,
        gaussians,
        version=header.version,
        coordinates=system,
        quantization="position: 16 bit float"
        if header.version == 1
        else f"position: 24 bit, step 2^-{header.fraction_bits}; the rest: 8 bit",
    )


def parse(data: bytes, path: Path) -> Gaussians:
    """The Gaussians in the bytes of an SPZ file, broken rows included, in the world frame.

    Args:
        data: all of them.
        path: of the file that carries them, for error messages.
    """
    return _parse(data, path)[0]


def _load(path: Path) -> tuple[Gaussians, _Header, str]:
    return _parse(packing.read_bytes(path), path)


def _parse(data: bytes, path: Path) -> tuple[Gaussians, _Header, str]:
    """The Gaussians in the world frame, the header, and the frame of the file."""
    if data.startswith(GZIP_MAGIC):
        header, streams, extensions = _open_gzip(path, data)
    else:
        header, streams, extensions = _open_zstd(path, data)
    system = _coordinate_system(path, extensions)
    return _unpack(streams, header, system), header, system


def _read_header(path: Path, data: bytes, versions: range) -> tuple[_Header, int]:
    """The header, and the byte that counts streams."""
    if len(data) < _HEADER.size:
        raise packing.damaged(path, f"expected a header of {_HEADER.size} bytes, got {len(data)}")
    magic, version, count, degree, bits, flags, streams = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise SplatkitError(f"{path}: expected an SPZ file, got something else")
    if version not in versions:
        raise SplatkitError(
            f"{path}: expected SPZ version {versions[0]} to {versions[-1]} in this kind of file, "
            f"got {version}"
        )
    if degree > MAX_DEGREE or bits > 30:
        raise packing.damaged(path, f"impossible degree {degree} or fraction bits {bits}")
    return _Header(version, count, degree, bits, flags), streams


def _open_gzip(path: Path, data: bytes) -> tuple[_Header, dict[str, Bytes], bytes]:
    stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        start = stream.decompress(data, _HEADER.size)
        header, _ = _read_header(path, start, range(1, 4))
        sizes = header.sizes()
        whole = sum(sizes.values())
        packing.check_unpacked_size(path, whole, len(data))
        # At most one byte more than wanted is ever unpacked (a bound of 0 would mean none).
        body = stream.decompress(stream.unconsumed_tail, whole + 1)
        extensions = body[whole:]
        if header.flags & _EXTENDED:
            extensions += stream.decompress(stream.unconsumed_tail, 1 << 16)
    except zlib.error as error:
        raise packing.damaged(path, str(error)) from error
    if len(body) < whole:
        raise packing.damaged(path, f"expected {whole} bytes for {header.count} Gaussians, "
                                    f"got {len(body)}")  # fmt: skip
    streams, place = {}, 0
    for name, size in sizes.items():
        streams[name] = np.frombuffer(body, np.uint8, size, place)
        place += size
    return header, streams, extensions if header.flags & _EXTENDED else b""


def _open_zstd(path: Path, data: bytes) -> tuple[_Header, dict[str, Bytes], bytes]:
    header, number = _read_header(path, data, range(4, 5))
    sizes = header.sizes()
    wanted = [name for name, size in sizes.items() if size]
    packing.check_unpacked_size(path, sum(sizes.values()), len(data))
    start = _HEADER.size + _TABLE_PLACE.size
    if len(data) < start:
        raise packing.damaged(path, f"expected a header of {start} bytes, got {len(data)}")
    (table,) = _TABLE_PLACE.unpack_from(data, _HEADER.size)
    place = table + number * _TABLE_ENTRY.size
    if number != len(wanted) or not start <= table <= place <= len(data):
        raise packing.damaged(path, f"expected a table of {len(wanted)} streams, got {number}")
    streams = {name: np.zeros(0, np.uint8) for name in sizes}
    for index, name in enumerate(wanted):
        packed, size = _TABLE_ENTRY.unpack_from(data, table + index * _TABLE_ENTRY.size)
        if size != sizes[name] or packed > len(data) - place:
            raise packing.damaged(path, f"the stream of {name} has the wrong size")
        streams[name] = _unzstd(path, name, data[place : place + packed], size)
        place += packed
    return header, streams, data[start:table] if header.flags & _EXTENDED else b""


def _unzstd(path: Path, name: str, packed: bytes, size: int) -> Bytes:
    out = np.empty(size, np.uint8)
    try:
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed)) as reader:
            done = 0
            while done < size and (step := reader.readinto(out.data[done:])):
                done += step
            more = reader.read(1)
    except zstandard.ZstdError as error:
        raise packing.damaged(path, f"the stream of {name}: {error}") from error
    if done < size or more:
        raise packing.damaged(path, f"the stream of {name} has the wrong size")
    return out


def _compressed(streams: list[memoryview]) -> list[bytes]:
    compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
    return [compressor.compress(data) for data in streams]


def _gzip(start: bytes, streams: list[memoryview]) -> bytes:
    # Without a time or name in its header the same scene gives the same bytes.
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    return b"".join((packer.compress(start), *map(packer.compress, streams), packer.flush()))


def _coordinate_system(path: Path, extensions: bytes) -> str:
    """The frame that an extension names, or the usual one; other extensions are passed over."""
    place, number = 0, 0
    while place + _EXTENSION.size <= len(extensions):
        kind, size = _EXTENSION.unpack_from(extensions, place)
        place += _EXTENSION.size
        if kind == _COORDINATE_SYSTEM and size == 4 and place + 4 <= len(extensions):
            number = int.from_bytes(extensions[place : place + 4], "little")
        place += size
    if number >= len(_SYSTEMS):
        raise packing.damaged(path, f"unknown coordinate system {number}")
    return _SYSTEMS[number]


def _fraction_bits(stored: Gaussians, path: Path) -> int:
    if len(stored) == 0:
        return _USUAL_FRACTION_BITS
    farthest = float(stored.means.abs().max())
    room = _MAX_FRACTION_BITS - max(0, math.ceil(math.log2(farthest + 1)))
    if room < 0:
        raise SplatkitError(
            f"{path}: expected centres within +-8388607, which is as far as SPZ reaches, got "
            f"{farthest:.3g}; scale the scene down or crop it"
        )
    size = float(stored.scales.amax(1).median())
    fine = math.ceil(math.log2(_FINEST / max(size, 1e-12)))
    return min(max(fine, _USUAL_FRACTION_BITS), room)


def _pack(gaussians: Gaussians, header: _Header, steps: tuple[int, int]) -> list[memoryview]:
    """The bytes of each attribute, in the order of the file."""
    sizes = header.sizes()
    rest = 3 * (count_from_degree(header.degree) - 1)
    streams = {name: np.empty(size, np.uint8) for name, size in sizes.items()}
    rows = {
        name: stream.reshape(header.count, rest if name == "sh" else sizes[name] // header.count)
        for name, stream in streams.items()
        if header.count
    }
    turn = world_from_axes("RUB").mT
    for start in range(0, header.count, packing.BLOCK):
        part = slice(start, start + packing.BLOCK)
        for name, values in _packed(transformed(gaussians[part], turn), header, steps).items():
            rows[name][part] = values
    return [stream.data for stream in streams.values()]


def _packed(stored: Gaussians, header: _Header, steps: tuple[int, int]) -> dict[str, Bytes]:
    """[B, bytes of one Gaussian] of each attribute, in the format's frame."""
    fixed = (stored.means.double() * 2**header.fraction_bits).round().to(torch.int32)
    place, others = packing.split_largest(stored.quats[:, (1, 2, 3, 0)])
    sizes = (others.abs() / math.sqrt(0.5) * _COMPONENT_STEPS).round().clamp(max=_COMPONENT_STEPS)
    words = sizes.long() | ((others < 0).long() << 9)
    rotations = (place << 30) | (words[:, 0] << 20) | (words[:, 1] << 10) | words[:, 2]
    count = len(stored)
    sh = []
    for band in range(1, header.degree + 1):
        step = steps[0 if band == 1 else 1]
        part = stored.sh[:, band**2 : (band + 1) ** 2].reshape(count, 3 * (2 * band + 1))
        sh.append(packing.to_bytes((part * (128 / step)).round() * step + 128))
    return {
        "positions": fixed.numpy()
        .astype("<i4")
        .view(np.uint8)
        .reshape(-1, 3, 4)[:, :, :3]
        .reshape(count, 9),
        "alphas": packing.opacity_bytes(stored.logit_opacities)[:, None],
        "colors": packing.to_bytes(stored.sh[:, 0] * (_COLOR_SCALE * 255) + 127.5),
        "scales": packing.to_bytes((stored.log_scales + 10) * 16),
        "rotations": rotations.numpy().astype("<u4").view(np.uint8).reshape(count, 4),
        "sh": np.concatenate(sh, 1) if sh else np.zeros((count, 0), np.uint8),
    }


def _unpack(streams: dict[str, Bytes], header: _Header, system: str) -> Gaussians:
    """The Gaussians in the world frame."""
    count, bases = header.count, count_from_degree(header.degree)
    sizes = header.sizes()
    turn = world_from_axes(system)
    # Most of its frames differ by signs alone: the harmonics' steps then have them.
    flips = torch.equal(turn, turn.diagonal().diag())
    ones = torch.ones(1, bases, 3)
    steps = (rotate_sh(ones, turn) if flips else ones)[0, 1:] / 128
    whole = packing.room_for(count, bases, bool(header.flags & _ANTIALIASED))
    for start in range(0, count, packing.BLOCK):
        part = slice(start, min(start + packing.BLOCK, count))
        block = {
            name: stream[part.start * sizes[name] // count : part.stop * sizes[name] // count]
            for name, stream in streams.items()
        }
        target = whole[part]
        _unpacked(block, header, steps, target)
        turned = transformed(replace(target, sh=target.sh[:, :1]), turn)
        target.means[:], target.quats[:] = turned.means, turned.quats
        if not flips:
            rotate_sh(target.sh, turn, out=target.sh)
    return whole


def _unpacked(streams: dict[str, Bytes], header: _Header, steps: Tensor, target: Gaussians) -> None:
    """Fill some of the Gaussians, in the format's frame; ``steps`` [K-1,3] are the harmonics'."""

    def floats(name: str, width: int) -> Tensor:
        return torch.from_numpy(streams[name].reshape(-1, width).astype(np.float32))

    target.means[:] = _positions(streams["positions"], header)
    target.quats[:] = _rotations(streams["rotations"], header)
    target.log_scales[:] = floats("scales", 3) / 16 - 10
    target.logit_opacities[:] = packing.logits_of_bytes(streams["alphas"])
    target.sh[:, 0] = (floats("colors", 3) / 255 - 0.5) / _COLOR_SCALE
    rest = target.sh[:, 1:]
    rest.numpy()[:] = streams["sh"].reshape(rest.shape)
    rest.sub_(128).mul_(steps)


def _positions(data: Bytes, header: _Header) -> Tensor:
    if header.version == 1:
        return torch.from_numpy(data.view("<f2").astype(np.float32).reshape(-1, 3))
    # The three bytes become the upper ones of a word, whose sign is then the number's.
    words = np.zeros((len(data) // 3, 4), np.uint8)
    words[:, 1:] = data.reshape(-1, 3)
    fixed = words.view("<i4").reshape(-1, 3) >> 8
    return torch.from_numpy((fixed * 2.0**-header.fraction_bits).astype(np.float32))


def _rotations(data: Bytes, header: _Header) -> Tensor:
    """[N,4] wxyz."""
    if header.version < 3:
        xyz = torch.from_numpy(data.reshape(-1, 3).astype(np.float32)) / 127.5 - 1
        w = (1 - xyz.square().sum(1, keepdim=True)).clamp(min=0).sqrt()
        return torch.cat((w, xyz), 1)
    words = torch.from_numpy(data.view("<u4").astype(np.int64))
    fields = torch.stack((words >> 20, words >> 10, words), 1) & 1023
    sizes = (fields & _COMPONENT_STEPS).float() * (math.sqrt(0.5) / _COMPONENT_STEPS)
    others = torch.where(fields > _COMPONENT_STEPS, -sizes, sizes)
    return packing.join_largest(words >> 30, others)[:, (3, 0, 1, 2)]
