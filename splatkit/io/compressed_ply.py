"""The compressed PLY of PlayCanvas and SuperSplat (``.compressed.ply``): 16 bytes a Gaussian.

A binary little-endian PLY of two or three elements; Gaussians are sorted along a space-filling
curve and share a box of ranges per 256 of them::

    chunk   18 float32  min x y z, max x y z, min/max of log scale x y z, min/max of r g b
                        (older files: the first 12 alone, colour then within 0..1)
    vertex  uint32 packed_position  11, 10, 11 bits: where between the chunk's min and max
            uint32 packed_rotation  2 bits the place of the largest of wxyz, then 10 bits for
                                    each other: q * sqrt(1/2) + 0.5
            uint32 packed_scale     11, 10, 11 bits of the log scale, like the position
            uint32 packed_color     8 bits each: r g b (0.5 + C0 * dc) in the chunk's range, opacity
    sh      uint8 f_rest_*          (c / 8 + 0.5) * 256, all of red, then green, then blue;
                                    9, 24 or 45 of them; read as the middle of their step

No step of f_rest stands for 0, and as many zeros as scenes have would be one and the same error
where a scene is seen from a side that nobody took a photo from: numbers close to 0 go up or down
by chance, which is the same for every file. Of f_rest, 0 and 255 stand for -4 and 4. Log scales
are clamped to +-20. A comment ``SplatRenderMode: mip`` marks antialiased scenes. The frame is that
of the standard PLY, which is the world frame: nothing is turned (PlayCanvas viewers turn all
splats by 180 degrees about z).
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splatkit.core import Gaussians, SplatkitError
from splatkit.core.sh import rgb_from_sh, sh_from_rgb
from splatkit.io import _packing as packing
from splatkit.io._packing import Bytes, Floats
from splatkit.io.files import atomic_path
from splatkit.io.ply import MAGIC, producer

NAME = "compressed PLY"
MARK = b"element chunk "
"""What the header of a compressed PLY holds, and that of a standard one does not."""
MAX_DEGREE = 3
MAX_HEADER_BYTES = 1 << 16

Words = NDArray[np.uint32]

_CHUNK = 256
_AXES = ("x", "y", "z")
_POSITIONS = tuple(f"{end}_{axis}" for end in ("min", "max") for axis in _AXES)
_SCALES = tuple(f"{end}_scale_{axis}" for end in ("min", "max") for axis in _AXES)
_COLORS = tuple(f"{end}_{channel}" for end in ("min", "max") for channel in "rgb")
_PACKED = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
_TYPES = {"float": "<f4", "float32": "<f4", "uint": "<u4", "uint32": "<u4",
          "uchar": "u1", "uint8": "u1"}  # fmt: skip
_MAX_LOG_SCALE = 20.0
_BITS = (11, 10, 11)
_NEARLY_ZERO = 1e-3
"""Coefficients are moved by this much, up or down by chance, before they are rounded."""
_CHANCE = (torch.rand(_CHUNK, 45, generator=torch.Generator().manual_seed(0)) - 0.5).sign()
_ANTIALIASED = re.compile(r"SplatRenderMode:\s*mip\b", re.I)
_LINE = re.compile(
    r"(?P<what>element)[ \t]+(?P<element>\w+)[ \t]+(?P<count>\d{1,10})"
    r"|property[ \t]+(?P<type>\w+)[ \t]+(?P<property>\w+)"
    r"|(?:comment|obj_info)\b.*|ply"
)

# What a byte of the harmonics stands for: the middle of its step, but the ends themselves.
_STEPS = np.array([-4.0, *((i + 0.5) / 32 - 4 for i in range(1, 255)), 4.0], np.float32)

Elements = dict[str, NDArray[np.void]]


def read(path: Path) -> Gaussians:
    """Read Gaussians; rows with NaN, infinity or absurd scales are left out with a warning.

    Raises:
        SplatkitError: the file is missing, damaged, or a PLY of another kind.
    """
    return packing.keep_usable(_load(path)[0], path)


def write(gaussians: Gaussians, path: Path) -> None:
    """Write Gaussians atomically, sorted in space; a warning names what cannot be held."""
    gaussians = packing.fit_for(gaussians, path, name=NAME, max_degree=MAX_DEGREE)
    order = packing.morton_order(gaussians.means)
    count, rest = len(gaussians), 3 * (gaussians.sh.shape[1] - 1)
    chunks = np.empty((math.ceil(count / _CHUNK), 18), "<f4")
    words, sh = np.empty((count, 4), "<u4"), np.empty((count, rest), np.uint8)
    # Blocks are whole chunks.
    for start in range(0, count, packing.BLOCK):
        part = slice(start, start + packing.BLOCK)
        own = slice(start // _CHUNK, (start + packing.BLOCK) // _CHUNK)
        chunks[own], words[part], sh[part] = _packed(packing.in_order(gaussians, order[part]))
    header = _header(len(chunks), count, rest, gaussians.antialiased)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        for data in (header, chunks.data, words.data, sh.data):
            stream.write(data)


def _packed(gaussians: Gaussians) -> tuple[Floats, Words, Bytes]:
    """[C,18] ranges of the chunks, [B,4] words and [B,3(K-1)] bytes of the harmonics."""
    log_scales = gaussians.log_scales.clamp(-_MAX_LOG_SCALE, _MAX_LOG_SCALE)
    position_range, position = _within_chunks(gaussians.means)
    scale_range, scale = _within_chunks(log_scales)
    color_range, color = _within_chunks(rgb_from_sh(gaussians.sh[:, 0]))
    rgba = torch.cat((color, gaussians.opacities[:, None].double()), 1)
    chunks = np.concatenate((position_range, scale_range, color_range), 1)
    words = np.stack(
        (
            _pack(position, _BITS),
            _rotation_words(gaussians.quats),
            _pack(scale, _BITS),
            _pack(rgba, (8, 8, 8, 8)),
        ),
        1,
    )
    return chunks, words, _rest_bytes(gaussians.sh)


def _rest_bytes(sh: Tensor) -> Bytes:
    """[B,3(K-1)] of the harmonics [B,K,3] above degree 0, one colour after the other."""
    flat = sh[:, 1:].mT.flatten(1)
    rows, columns = flat.shape
    chance = _CHANCE[:, :columns].repeat(math.ceil(rows / _CHUNK), 1)[:rows]
    # The format cuts where others round, and its readers add the half step that this loses.
    steps = chance.mul_(32 * _NEARLY_ZERO).add_(flat, alpha=32).add_(128)
    return steps.clamp_(0, 255).to(torch.uint8).numpy()


def _fill_rest(sh: Tensor, data: Bytes) -> None:
    """Inverse of ``_rest_bytes``."""
    sh[:, 1:] = torch.from_numpy(_STEPS.take(data)).view(len(sh), 3, sh.shape[1] - 1).mT


def info(path: Path) -> dict[str, Any]:
    """Describe a file: counts, degree, bounds, dead and broken Gaussians."""
    gaussians, comments = _load(path)
    return packing.describe(
        path,
        NAME,
        gaussians,
        producer=producer(tuple(comments)),
        quantization="position, scale: 11, 10, 11 bit per chunk; quat: 10 bit; the rest: 8 bit",
        comments=comments,
    )


def _load(path: Path) -> tuple[Gaussians, list[str]]:
    """The Gaussians and the comments of the header."""
    elements, comments = _elements(path, packing.read_bytes(path))
    count = len(elements["vertex"])
    width = elements["sh"].dtype.itemsize if "sh" in elements else 0
    antialiased = any(_ANTIALIASED.search(comment) for comment in comments)
    whole = packing.room_for(count, 1 + width // 3, antialiased)
    for start in range(0, count, packing.BLOCK):
        part = slice(start, start + packing.BLOCK)
        rest = elements["sh"][part].view(np.uint8).reshape(-1, width) if width else None
        # Which chunk each Gaussian belongs to.
        of = np.arange(start, min(start + packing.BLOCK, count)) // _CHUNK
        _unpack_into(whole[part], elements["chunk"], elements["vertex"][part], rest, of)
    return whole, comments


def _unpack_into(
    target: Gaussians,
    chunk: NDArray[np.void],
    vertex: NDArray[np.void],
    rest: Bytes | None,
    of: NDArray[np.int64],
) -> None:
    """Fill some of the Gaussians."""
    position, scale = (_unpack(vertex[f"packed_{name}"], _BITS) for name in ("position", "scale"))
    rgba = _unpack(vertex["packed_color"], (8, 8, 8, 8))
    colors = rgba[:, :3]
    if _COLORS[0] in (chunk.dtype.names or ()):
        colors = _between(chunk, _COLORS, of, colors)
    target.means[:] = torch.from_numpy(_between(chunk, _POSITIONS, of, position))
    target.quats[:] = _quats(vertex["packed_rotation"])
    target.log_scales[:] = torch.from_numpy(_between(chunk, _SCALES, of, scale))
    opacities = (vertex["packed_color"] & 255).astype(np.uint8)
    target.logit_opacities[:] = packing.logits_of_bytes(opacities)
    target.sh[:, 0] = sh_from_rgb(torch.from_numpy(colors))
    if rest is not None:
        _fill_rest(target.sh, rest)


def _elements(path: Path, data: bytes) -> tuple[Elements, list[str]]:
    """The tables of the file by name, judged before any of it is unpacked, and the comments."""
    end = re.search(rb"\nend_header[ \t]*\r?\n", data[:MAX_HEADER_BYTES])
    if not data.startswith(MAGIC) or end is None:
        raise SplatkitError(f"{path}: expected a PLY file, got one without a complete PLY header")
    lines = data[: end.start()].decode("latin-1").replace("\r", "").split("\n")
    if "format binary_little_endian 1.0" not in lines:
        raise SplatkitError(f"{path}: expected a binary little-endian compressed PLY")
    counts: dict[str, int] = {}
    fields: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for line in lines:
        match = _LINE.fullmatch(line.strip())
        if match is None and not line.startswith("format "):
            raise packing.damaged(path, f"its PLY header has the line {line[:60]!r}")
        if match is None:
            continue
        if match["what"]:
            counts[match["element"]] = int(match["count"])
            current = fields[match["element"]] = []
        elif match["type"]:
            kind = _TYPES.get(match["type"], "")
            current.append((match["property"], kind))
    elements: Elements = {}
    place = end.end()
    for name, columns in fields.items():
        try:
            dtype = np.dtype(columns)
        except (TypeError, ValueError) as error:
            raise packing.damaged(path, f"the columns of element {name}: {error}") from error
        size = counts[name] * dtype.itemsize
        if size > len(data) - place:
            raise packing.damaged(
                path, f"expected {size} bytes of element {name}, got {len(data) - place}"
            )
        elements[name] = np.frombuffer(data, dtype, counts[name], place)
        place += size
    _check_layout(path, elements)
    comments = [line.split(" ", 1)[1] for line in lines if line.startswith("comment ")]
    return elements, comments


def _check_layout(path: Path, elements: Elements) -> None:
    def lacks(name: str, columns: tuple[str, ...], kind: str) -> bool:
        fields = elements[name].dtype.fields if name in elements else None
        found = {str(column): field[0] for column, field in (fields or {}).items()}
        return any(found.get(column) != np.dtype(kind) for column in columns)

    if lacks("chunk", _POSITIONS + _SCALES, "<f4") or lacks("vertex", _PACKED, "<u4"):
        raise SplatkitError(
            f"{path}: expected the chunk and vertex columns of a compressed splat PLY, got others"
        )
    if _COLORS[0] in (elements["chunk"].dtype.names or ()) and lacks("chunk", _COLORS, "<f4"):
        raise packing.damaged(path, "its chunks lack some colour ranges")
    count, chunks = len(elements["vertex"]), len(elements["chunk"])
    if chunks < math.ceil(count / _CHUNK):
        raise packing.damaged(path, f"expected a chunk per {_CHUNK} Gaussians, got {chunks}")
    if "sh" in elements:
        names = elements["sh"].dtype.names or ()
        rest = len(names)
        expected = tuple(f"f_rest_{i}" for i in range(rest))
        if rest not in (9, 24, 45) or names != expected or lacks("sh", names, "u1"):
            raise packing.damaged(path, f"expected 9, 24 or 45 f_rest columns, got {rest}")
        if len(elements["sh"]) != count:
            raise packing.damaged(path, "it has harmonics for another number of Gaussians")


def _header(chunks: int, count: int, rest: int, antialiased: bool) -> bytes:
    lines = ["ply", "format binary_little_endian 1.0", "comment Generated by splatkit"]
    lines.append(f"comment SplatRenderMode: {'mip' if antialiased else 'default'}")
    lines.append(f"{MARK.decode()}{chunks}")
    lines += [f"property float {name}" for name in _POSITIONS + _SCALES + _COLORS]
    lines.append(f"element vertex {count}")
    lines += [f"property uint {name}" for name in _PACKED]
    if rest:
        lines.append(f"element sh {count}")
        lines += [f"property uchar f_rest_{i}" for i in range(rest)]
    return "\n".join((*lines, "end_header", "")).encode()


def _within_chunks(values: Tensor) -> tuple[Floats, Tensor]:
    """[C,6] smallest and largest per chunk, and [N,3] float64 where each value lies, 0..1."""
    count = len(values)
    chunks = math.ceil(count / _CHUNK)
    padded = torch.cat((values, values[-1:].expand(chunks * _CHUNK - count, 3)))
    padded = padded.view(chunks, _CHUNK, 3)
    low, high = padded.amin(1), padded.amax(1)
    span = (high.double() - low.double()).clamp(min=1e-30)
    where = (padded.double() - low[:, None].double()) / span[:, None]
    return torch.cat((low, high), 1).numpy(), where.view(-1, 3)[:count]


def _between(chunk: NDArray[np.void], names: tuple[str, ...], of: NDArray, where: Floats) -> Floats:
    """[N,3] values at 0..1 between each chunk's smallest and largest."""
    out = np.empty_like(where)
    for axis in range(3):
        low, high = chunk[names[axis]][of], chunk[names[axis + 3]][of]
        with np.errstate(over="ignore", invalid="ignore"):
            out[:, axis] = low * (1 - where[:, axis]) + high * where[:, axis]
    return out


def _pack(values: Tensor, bits: tuple[int, ...]) -> Words:
    """[N] words of [N,len(bits)] values 0..1, the first in the highest bits."""
    word = torch.zeros(len(values), dtype=torch.int64)
    for column, width in enumerate(bits):
        top = (1 << width) - 1
        word = (word << width) | (values[:, column] * top).round().clamp(0, top).long()
    return word.numpy().astype(np.uint32)


def _unpack(words: Words, bits: tuple[int, ...]) -> Floats:
    out = np.empty((len(words), len(bits)), np.float32)
    shift = sum(bits)
    for column, width in enumerate(bits):
        shift -= width
        top = (1 << width) - 1
        out[:, column] = ((words >> shift) & top).astype(np.float32) / np.float32(top)
    return out


def _rotation_words(quats: Tensor) -> Words:
    place, others = packing.split_largest(quats)
    fields = _pack(others * math.sqrt(0.5) + 0.5, (10, 10, 10))
    return (place.numpy().astype(np.uint32) << np.uint32(30)) | fields


def _quats(words: Words) -> Tensor:
    others = (
        torch.from_numpy(_unpack(words & np.uint32(0x3FFFFFFF), (10, 10, 10))) - 0.5
    ) * math.sqrt(2)
    return packing.join_largest(torch.from_numpy((words >> 30).astype(np.int64)), others)
