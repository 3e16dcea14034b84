"""SOG, "spatially ordered Gaussians" (PlayCanvas): lossless WebP pictures in a zip or a folder.

``meta.json`` names the pictures; pixel i, row by row, is Gaussian i (``count`` of them)::

    means_l, means_u    RGB  low and high byte of 16 bits between mins and maxs of
                             sign(x) ln(1 + |x|), per axis
    quats               RGBA unit quaternion wxyz whose largest component is positive: A = 252 +
                             its place, RGB = (q * sqrt(1/2) + 0.5) * 255 of the others
    scales              RGB  places in a codebook of at most 256 log scales
    sh0                 RGBA places in a codebook of dc coefficients; A = opacity * 255
    shN_labels          RG   low and high byte of a place in the palette
    shN_centroids       RGB  the palette, 64 entries a row, each entry 3, 8 or 15 pixels wide: one
                             pixel a coefficient, its RGB places in a codebook

Read too: ``meta.json`` with its pictures beside it, and version 1, which has no ``version`` and no
codebooks. There a byte lies evenly between ``mins`` and ``maxs`` of its channel (``shN``: of all),
the A of ``sh0`` is a logit, ``means.shape[0]`` counts, and the palette's width tells the bands.

``shN`` carries ``bands`` (degree 1 to 3) and ``count`` (of palette entries). Antialiased scenes
are marked ``antialias: true`` and, as splat-transform does, ``model: "antialiased"``.

Frame: the specification's words are x right, y up, z back, but its programs (splat-transform
3.7, the SuperSplat viewer) store a PLY's own coordinates and turn every splat file alike by 180
degrees about z to show it. Files here follow the programs: the world frame, nothing turned.
"""

from __future__ import annotations

import io
import json
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from splatkit.core import Gaussians, SplatkitError
from splatkit.core.sh import count_from_degree
from splatkit.io import _packing as packing
from splatkit.io._codebook import ENTRIES, codebook, nearest_entries, palette
from splatkit.io._packing import Bytes, Floats
from splatkit.io.files import write_bytes

NAME = "SOG"
MAGIC = b"PK\x03\x04"
MAX_DEGREE = 3

META_NAME = "meta.json"

Source = Callable[[str, int], bytes]
"""Gives the bytes of a file of the scene by its name, at most so many."""

_MAX_META_BYTES = 1 << 22
_MAX_SIDE = 16383
_ROW = 64
"""Palette entries a row of the picture of the palette."""
_BANDS_OF_WIDTH = {_ROW * (count_from_degree(d) - 1): d for d in range(1, MAX_DEGREE + 1)}
_FIRST_TAG = 252
_BROKEN_PICTURE = (OSError, ValueError, SyntaxError, EOFError, RuntimeError, MemoryError,
                   Image.DecompressionBombError)  # fmt: skip
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError,
               struct.error)  # fmt: skip


def read(path: Path) -> Gaussians:
    """Read Gaussians; rows with NaN, infinity or absurd scales are left out with a warning.

    Args:
        path: of a ``.sog``, or of the ``meta.json`` of a scene in a folder.

    Raises:
        SplatkitError: the file is missing, damaged, or of another version.
    """
    return packing.keep_usable(_load(path)[0], path)


def write(gaussians: Gaussians, path: Path) -> None:
    """Write Gaussians atomically, sorted in space; a warning names what cannot be held."""
    gaussians = packing.fit_for(gaussians, path, name=NAME, max_degree=MAX_DEGREE)
    gaussians = packing.in_order(gaussians, packing.morton_order(gaussians.means))
    count = len(gaussians)
    width = max(4, 4 * math.ceil(math.sqrt(count) / 4))
    height = max(4, 4 * math.ceil(count / width / 4))
    if width > _MAX_SIDE:
        raise SplatkitError(
            f"{path}: expected at most {_MAX_SIDE**2} Gaussians, which is what SOG's pictures "
            f"hold, got {count}; prune or split the scene"
        )
    mins, maxs, low, high = _pack_means(gaussians.means)
    place, others = packing.split_largest(gaussians.quats)
    quats = np.empty((count, 4), np.uint8)
    quats[:, :3] = packing.to_bytes((others * math.sqrt(0.5) + 0.5) * 255)
    quats[:, 3] = place.numpy() + _FIRST_TAG
    scales = gaussians.log_scales.numpy()
    scale_book = codebook(scales)
    dc = gaussians.sh[:, 0].numpy()
    dc_book = codebook(dc)
    sh0 = np.empty((count, 4), np.uint8)
    sh0[:, :3] = nearest_entries(dc, dc_book)
    sh0[:, 3] = packing.opacity_bytes(gaussians.logit_opacities)
    columns = {
        "means_l.webp": low,
        "means_u.webp": high,
        "quats.webp": quats,
        "scales.webp": nearest_entries(scales, scale_book),
        "sh0.webp": sh0,
    }
    meta: dict[str, Any] = {
        "version": 2,
        "asset": {"generator": "splatkit"},
        "count": count,
        "antialias": gaussians.antialiased,
        "means": {"mins": mins, "maxs": maxs, "files": ["means_l.webp", "means_u.webp"]},
        "scales": {"codebook": scale_book.tolist(), "files": ["scales.webp"]},
        "quats": {"files": ["quats.webp"]},
        "sh0": {"codebook": dc_book.tolist(), "files": ["sh0.webp"]},
    }
    if gaussians.antialiased:
        meta["model"] = "antialiased"
    pictures = {name: _picture(data, width, height) for name, data in columns.items()}
    if gaussians.sh_degree:
        meta["shN"], rest = _pack_rest(gaussians.sh[:, 1:], width, height)
        pictures |= rest
    write_bytes(path, _zip(pictures | {META_NAME: json.dumps(meta).encode()}))


def info(path: Path) -> dict[str, Any]:
    """Describe a file: version, producer, counts, degree, bounds, dead and broken Gaussians."""
    gaussians, bundle = _load(path)
    asset = bundle.meta.values.get("asset")
    books = "the rest: codebooks" if bundle.meta.version == 2 else "the rest: 8 bit"
    told = packing.describe(
        path,
        NAME,
        gaussians,
        version=bundle.meta.version,
        producer=str(asset.get("generator", "")) if isinstance(asset, dict) else "",
        quantization=f"position: 16 bit (logarithmic); quat, opacity: 8 bit; {books}",
    )
    told["bytes"] = bundle.size
    told["bytes_per_gaussian"] = bundle.size / max(len(gaussians), 1)
    return told


def _load(path: Path) -> tuple[Gaussians, _Bundle]:
    data = packing.read_bytes(path)
    if not data.startswith(MAGIC):
        pictures = (file for file in path.parent.glob("*") if file.suffix in (".webp", ".png"))
        size = len(data) + sum(file.stat().st_size for file in pictures)
        bundle = _Bundle(path, partial(_beside, path), _Meta(path, data), size)
        return _unpack(bundle), bundle
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            source = partial(_member, path, archive)
            meta = _Meta(path, source(META_NAME, _MAX_META_BYTES))
            bundle = _Bundle(path, source, meta, len(data))
            return _unpack(bundle), bundle
    except _BROKEN_ZIP as error:
        raise packing.damaged(path, f"its zip archive cannot be opened ({error})") from error


def _member(path: Path, archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """One file of the archive, by its exact name; nothing is ever unpacked to the disk."""
    try:
        member = archive.getinfo(name)
    except KeyError:
        raise SplatkitError(
            f"{path}: expected an SOG archive, got a zip without {name!r} at its top"
        ) from None
    if member.file_size > limit:
        raise packing.damaged(path, f"{name} claims {member.file_size} bytes")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise packing.damaged(path, f"{name} is packed in a way that SOG does not use")
    return archive.read(member)


def _beside(path: Path, name: str, limit: int) -> bytes:
    """One file in the folder of ``meta.json``; names that lead elsewhere are refused."""
    picture = path.parent / name
    if not re.fullmatch(r"[\w.-]{1,100}", name) or picture.is_symlink():
        raise SplatkitError(
            f"{path}: expected pictures in its own folder, got the name {name[:80]!r}"
        )
    if not picture.is_file():
        raise SplatkitError(f"{path}: expected {name} beside it, found none; copy the whole folder")
    if picture.stat().st_size > limit:
        raise packing.damaged(path, f"{name} is {picture.stat().st_size} bytes large")
    return packing.read_bytes(picture)


class _Meta:
    """``meta.json``, judged as it is asked."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path = path
        try:
            values = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise packing.damaged(path, f"{META_NAME} is not JSON ({error})") from error
        version = values.get("version", 1) if isinstance(values, dict) else None
        if version not in (1, 2) or not isinstance(values, dict):
            raise SplatkitError(
                f"{path}: expected SOG version 1 or 2, got {str(version)[:20]}; save it again with "
                "a current splat-transform or SuperSplat"
            )
        self.values: dict[str, Any] = values
        self.version = int(version)
        shape = self.part("means").get("shape")
        first = shape[0] if isinstance(shape, list) and shape else None
        count = values.get("count") if self.version == 2 else first
        self.count = self.whole(count, "count", _MAX_SIDE**2)
        self.antialiased = values.get("antialias") is True or values.get("model") == "antialiased"

    def part(self, name: str) -> dict[str, Any]:
        value = self.values.get(name)
        if not isinstance(value, dict):
            raise packing.damaged(self.path, f"{META_NAME} has no {name}")
        return value

    def whole(self, value: Any, name: str, largest: int) -> int:
        if type(value) is not int or not 0 <= value <= largest:
            raise packing.damaged(self.path, f"{META_NAME}: {name} is {str(value)[:20]}")
        return value

    def numbers(self, part: str, name: str, lengths: range) -> Floats:
        values = self.part(part).get(name)
        values = [values] if type(values) in (int, float) else values
        if (
            not isinstance(values, list)
            or len(values) not in lengths
            or any(type(value) not in (int, float) for value in values)
        ):
            raise packing.damaged(self.path, f"{META_NAME}: {part}.{name} is not a list of numbers")
        with np.errstate(over="ignore"):
            array = np.array(values, np.float64).astype(np.float32)
        if not np.isfinite(array).all():
            raise packing.damaged(self.path, f"{META_NAME}: {part}.{name} is not finite")
        return array

    def files(self, part: str, number: int) -> list[str]:
        names = self.part(part).get("files")
        if not isinstance(names, list) or len(names) != number:
            raise packing.damaged(self.path, f"{META_NAME}: {part}.files are not {number} names")
        return [str(name) for name in names]


class _Bundle:
    """The pictures of a scene."""

    def __init__(self, path: Path, source: Source, meta: _Meta, size: int) -> None:
        self.path, self.source, self.meta, self.size = path, source, meta, size

    def picture(self, name: str) -> Bytes:
        """[H,W,4] RGBA."""
        limit = packing.MAX_UNPACKED_BYTES + self.size
        data = self.source(name, limit)
        try:
            picture = Image.open(io.BytesIO(data), formats=("WEBP", "PNG"))
            packing.check_unpacked_size(self.path, 4 * picture.width * picture.height, self.size)
            return _decoded(picture)
        except _BROKEN_PICTURE as error:
            raise packing.damaged(self.path, f"{name} is no picture ({error})") from error

    def column(self, part: str, index: int = 0, number: int = 1) -> Bytes:
        """[count,4] the pixels of a picture with one pixel a Gaussian."""
        name = self.meta.files(part, number)[index]
        pixels = self.picture(name).reshape(-1, 4)
        if len(pixels) < self.meta.count:
            raise packing.damaged(
                self.path, f"{name}: expected {self.meta.count} pixels, got {len(pixels)}"
            )
        return pixels[: self.meta.count]

    def look_up(self, part: str, places: Bytes) -> Tensor:
        """What bytes stand for: entries of a part's codebook, or in version 1 shares of a range."""
        if self.meta.version == 1:
            widths = range(1, places.shape[-1] + 1)
            low, high = (self.meta.numbers(part, name, widths) for name in ("mins", "maxs"))
            if not len(low) == len(high) in (1, places.shape[-1]):
                raise packing.damaged(self.path, f"{META_NAME}: {part} has {len(low)} ranges")
            return torch.from_numpy(low + (high - low) * (places.astype(np.float32) / 255))
        book = self.meta.numbers(part, "codebook", range(1, ENTRIES + 1))
        if places.size and int(places.max()) >= len(book):
            raise packing.damaged(self.path, f"{part} points beyond its codebook")
        return torch.from_numpy(book[places])


def _unpack(bundle: _Bundle) -> Gaussians:
    quats = bundle.column("quats")
    place = torch.from_numpy(quats[:, 3].astype(np.int64)) - _FIRST_TAG
    others = (torch.from_numpy(quats[:, :3].astype(np.float32)) / 255 - 0.5) * math.sqrt(2)
    unit = packing.join_largest(place.clamp(min=0), others)
    # Tags below 252 are kept for other encodings; the format's programs take them as no turn.
    unit[place < 0] = torch.tensor([1.0, 0, 0, 0])
    dc, logits = _unpack_base(bundle)
    rest = _unpack_rest(bundle)
    return Gaussians(
        means=_unpack_means(bundle),
        quats=unit,
        log_scales=bundle.look_up("scales", bundle.column("scales")[:, :3]),
        logit_opacities=logits,
        sh=torch.cat((dc[:, None], rest), 1),
        antialiased=bundle.meta.antialiased,
    )


def _unpack_base(bundle: _Bundle) -> tuple[Tensor, Tensor]:
    """[N,3] coefficients of degree 0, and [N] logits of the opacities."""
    sh0 = bundle.column("sh0")
    if bundle.meta.version == 1:
        values = bundle.look_up("sh0", sh0)
        return values[:, :3], values[:, 3]
    return bundle.look_up("sh0", sh0[:, :3]), packing.logits_of_bytes(sh0[:, 3])


def _pack_means(means: Tensor) -> tuple[list[float], list[float], Bytes, Bytes]:
    logs = means.double().sign() * means.double().abs().log1p()
    low = logs.amin(0) if len(logs) else torch.zeros(3, dtype=torch.float64)
    high = logs.amax(0) if len(logs) else torch.zeros(3, dtype=torch.float64)
    where = (logs - low) / (high - low).clamp(min=1e-30)
    words = (where * 65535).round().long().clamp(0, 65535).numpy()
    parts = [part.astype(np.uint8) for part in (words & 255, words >> 8)]
    return low.tolist(), high.tolist(), parts[0], parts[1]


def _unpack_means(bundle: _Bundle) -> Tensor:
    low = bundle.column("means", 0, 2)[:, :3].astype(np.float64)
    words = low + 256.0 * bundle.column("means", 1, 2)[:, :3]
    mins = bundle.meta.numbers("means", "mins", range(3, 4)).astype(np.float64)
    maxs = bundle.meta.numbers("means", "maxs", range(3, 4)).astype(np.float64)
    logs = mins + (maxs - mins) * (words / 65535)
    with np.errstate(over="ignore"):
        return torch.from_numpy((np.sign(logs) * np.expm1(np.abs(logs))).astype(np.float32))


def _pack_rest(rest: Tensor, width: int, height: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The entry of ``meta.json`` and the pictures of the harmonics above degree 0."""
    coefficients = rest.shape[1]
    entries, labels = palette(rest.reshape(len(rest), coefficients * 3))
    values = entries.numpy()
    book = codebook(values)
    pixels = nearest_entries(values, book).reshape(-1, 3)
    places = np.zeros((len(labels), 3), np.uint8)
    places[:, 0], places[:, 1] = labels & 255, labels >> 8
    names = ["shN_centroids.webp", "shN_labels.webp"]
    rows = max(1, math.ceil(len(values) / _ROW))
    pictures = (_picture(pixels, _ROW * coefficients, rows), _picture(places, width, height))
    bands = math.isqrt(coefficients + 1) - 1
    meta = {"count": len(values), "bands": bands, "codebook": book.tolist(), "files": names}
    return meta, dict(zip(names, pictures, strict=True))


def _unpack_rest(bundle: _Bundle) -> Tensor:
    """[N,K-1,3] the coefficients above degree 0."""
    meta = bundle.meta
    if meta.values.get("shN") is None:
        return torch.zeros(meta.count, 0, 3)
    pixels = bundle.picture(meta.files("shN", 2)[0])
    bands = meta.part("shN").get("bands")
    if meta.version == 1:
        bands = _BANDS_OF_WIDTH.get(pixels.shape[1])
    coefficients = count_from_degree(meta.whole(bands, "shN.bands", MAX_DEGREE)) - 1
    if coefficients == 0:
        return torch.zeros(meta.count, 0, 3)
    labels = bundle.column("shN", 1, 2).astype(np.int64)
    places = labels[:, 0] + 256 * labels[:, 1]
    if pixels.shape[1] != _ROW * coefficients:
        raise packing.damaged(bundle.path, f"the palette is {pixels.shape[1]} pixels wide")
    entries = pixels[:, :, :3].reshape(-1, coefficients, 3)
    if places.size and int(places.max()) >= len(entries):
        raise packing.damaged(bundle.path, "shN_labels points beyond the palette")
    return bundle.look_up("shN", entries)[torch.from_numpy(places)]


def _picture(pixels: Bytes, width: int, height: int) -> bytes:
    """A lossless WebP of [N,3] or [N,4] pixels row by row, the rest filled with zeros."""
    whole = np.zeros((height * width, pixels.shape[1]), np.uint8)
    whole[: len(pixels)] = pixels
    stream = io.BytesIO()
    # "exact" keeps the colour of pixels whose alpha is 0: alpha is data here.
    Image.fromarray(whole.reshape(height, width, -1)).save(
        stream, "WEBP", lossless=True, exact=True, method=4
    )
    return stream.getvalue()


def _decoded(picture: Image.Image) -> Bytes:
    return np.asarray(picture.convert("RGBA"))


def _zip(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            # A ZipInfo of its own has a fixed date: the same scene gives the same bytes.
            archive.writestr(zipfile.ZipInfo(name), data)
    return stream.getvalue()
