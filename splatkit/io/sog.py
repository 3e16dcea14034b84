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
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from splatkit.core import Gaussians, SplatkitError
from splatkit.core.sh import count_from_degree
from splatkit.io import _packing as packing
from splatkit.io._codebook import ENTRIES, codebook, nearest_entries, palette
from splatkit.io._packing import Bytes, Floats
from splatkit.io.files import atomic_path

NAME = "SOG"
MAGIC = b"PK\x03\x04"
MAX_DEGREE = 3

META_NAME = "meta.json"

Packed = tuple[dict[str, Any], dict[str, Bytes]]
"""A part of ``meta.json``, and the pixels of its pictures by their names."""
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
    count = len(gaussians)
    width = max(4, 4 * math.ceil(math.sqrt(count) / 4))
    height = max(4, 4 * math.ceil(count / width / 4))
    if width > _MAX_SIDE:
        raise SplatkitError(
            f"{path}: expected at most {_MAX_SIDE**2} Gaussians, which is what SOG's pictures "
            f"hold, got {count}; prune or split the scene"
        )
    order = packing.morton_order(gaussians.means)
    meta: dict[str, Any] = {
        "version": 2,
        "asset": {"generator": "splatkit"},
        "count": count,
        "antialias": gaussians.antialiased,
    }
    if gaussians.antialiased:
        meta["model"] = "antialiased"
    pictures = {}
    # One attribute after another, so that the scene is never held a second time.
    for name, pack in (
        ("means", _pack_means),
        ("scales", _pack_scales),
        ("quats", _pack_quats),
        ("sh0", _pack_base),
        ("shN", _pack_rest),
    ):
        if name == "shN" and gaussians.sh_degree == 0:
            continue
        meta[name], columns = pack(gaussians, order)
        meta[name]["files"] = list(columns)
        for file, pixels in columns.items():
            pictures[file] = _picture(pixels, width, height)
    with atomic_path(path) as temporary:
        _zip(temporary, pictures | {META_NAME: json.dumps(meta).encode()})


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

    def look_up(self, part: str, places: Bytes, target: Tensor) -> None:
        """Fill a tensor [N,...,C] with what bytes [N,...,C] stand for.

        They are places in a part's codebook, or in version 1 shares of a range.
        """
        if self.meta.version == 1:
            widths = range(1, places.shape[-1] + 1)
            low, high = (self.meta.numbers(part, name, widths) for name in ("mins", "maxs"))
            if not len(low) == len(high) in (1, places.shape[-1]):
                raise packing.damaged(self.path, f"{META_NAME}: {part} has {len(low)} ranges")
            for rows in packing.blocks(len(places)):
                shares = places[rows].astype(np.float32) / 255
                target[rows] = torch.from_numpy(low + (high - low) * shares)
            return
        book = self.meta.numbers(part, "codebook", range(1, ENTRIES + 1))
        if len(book) < ENTRIES and places.size and int(places.max()) >= len(book):
            raise packing.damaged(self.path, f"{part} points beyond its codebook")
        for rows in packing.blocks(len(places)):
            target[rows] = torch.from_numpy(book.take(places[rows]))


def _unpack(bundle: _Bundle) -> Gaussians:
    # Judged before room is made for as many Gaussians as the file claims.
    words = _mean_words(bundle)
    entries, labels = _unpack_palette(bundle)
    whole = packing.room_for(bundle.meta.count, entries.shape[1], bundle.meta.antialiased)
    _unpack_means(bundle, words, whole.means)
    _unpack_quats(bundle.column("quats"), whole.quats)
    bundle.look_up("scales", bundle.column("scales")[:, :3], whole.log_scales)
    # The palette has room for degree 0, so that its entries are copied as whole rows.
    torch.index_select(entries, 0, labels, out=whole.sh)
    _unpack_base(bundle, whole)
    return whole


def _mean_words(bundle: _Bundle) -> NDArray[np.uint16]:
    """[N,3] the positions as they are stored."""
    words = bundle.column("means", 0, 2)[:, :3].astype(np.uint16)
    words |= bundle.column("means", 1, 2)[:, :3].astype(np.uint16) << np.uint16(8)
    return words


def _unpack_means(bundle: _Bundle, words: NDArray[np.uint16], target: Tensor) -> None:
    mins = bundle.meta.numbers("means", "mins", range(3, 4)).astype(np.float64)
    maxs = bundle.meta.numbers("means", "maxs", range(3, 4)).astype(np.float64)
    for axis in range(3):
        logs = mins[axis] + (maxs[axis] - mins[axis]) * (np.arange(1 << 16) / 65535)
        with np.errstate(over="ignore"):
            table = (np.sign(logs) * np.expm1(np.abs(logs))).astype(np.float32)
        for part in packing.blocks(len(words)):
            target[part, axis] = torch.from_numpy(table.take(words[part, axis]))


def _unpack_quats(pixels: Bytes, target: Tensor) -> None:
    steps = ((torch.arange(256).float() / 255 - 0.5) * math.sqrt(2)).numpy()
    for part in packing.blocks(len(pixels)):
        place = torch.from_numpy(pixels[part, 3].astype(np.int64)) - _FIRST_TAG
        others = torch.from_numpy(steps.take(pixels[part, :3]))
        target[part] = packing.join_largest(place.clamp(min=0), others)
        # Tags below 252 are kept for other encodings; the format's programs take them as no turn.
        target[part][place < 0] = torch.tensor([1.0, 0, 0, 0])


def _unpack_base(bundle: _Bundle, target: Gaussians) -> None:
    """The coefficients of degree 0 and the opacities."""
    sh0 = bundle.column("sh0")
    if bundle.meta.version == 1:
        values = torch.empty(sh0.shape)
        bundle.look_up("sh0", sh0, values)
        target.sh[:, 0], target.logit_opacities[:] = values[:, :3], values[:, 3]
        return
    bundle.look_up("sh0", sh0[:, :3], target.sh[:, 0])
    target.logit_opacities[:] = packing.logits_of_bytes(sh0[:, 3])


def _unpack_palette(bundle: _Bundle) -> tuple[Tensor, Tensor]:
    """[P,K,3] coefficients with zeros for degree 0, and [N] int32 which ones each Gaussian has."""
    meta = bundle.meta
    none = torch.zeros(1, 1, 3), torch.zeros(meta.count, dtype=torch.int32)
    if meta.values.get("shN") is None:
        return none
    pixels = bundle.picture(meta.files("shN", 2)[0])
    bands = meta.part("shN").get("bands")
    if meta.version == 1:
        bands = _BANDS_OF_WIDTH.get(pixels.shape[1])
    bases = count_from_degree(meta.whole(bands, "shN.bands", MAX_DEGREE))
    if bases == 1:
        return none
    labels = bundle.column("shN", 1, 2)
    places = labels[:, 0] + (labels[:, 1].astype(np.int32) << 8)
    if pixels.shape[1] != _ROW * (bases - 1):
        raise packing.damaged(bundle.path, f"the palette is {pixels.shape[1]} pixels wide")
    stored = pixels[:, :, :3].reshape(-1, bases - 1, 3)
    if places.size and int(places.max()) >= len(stored):
        raise packing.damaged(bundle.path, "shN_labels points beyond the palette")
    entries = torch.zeros(len(stored), bases, 3)
    bundle.look_up("shN", stored, entries[:, 1:])
    return entries, torch.from_numpy(places)


def _pack_means(gaussians: Gaussians, order: Tensor) -> Packed:
    logs = gaussians.means.index_select(0, order).double()
    logs = logs.sign().mul_(logs.abs_().log1p_())
    low = logs.amin(0) if len(logs) else torch.zeros(3, dtype=torch.float64)
    high = logs.amax(0) if len(logs) else torch.zeros(3, dtype=torch.float64)
    where = logs.sub_(low).div_((high - low).clamp(min=1e-30))
    words = where.mul_(65535).round_().clamp_(0, 65535).to(torch.int32).numpy()
    names = ("means_l.webp", "means_u.webp")
    parts = [part.astype(np.uint8) for part in (words & 255, words >> 8)]
    ranges = {"mins": low.tolist(), "maxs": high.tolist()}
    return ranges, dict(zip(names, parts, strict=True))


def _pack_scales(gaussians: Gaussians, order: Tensor) -> Packed:
    scales = gaussians.log_scales.index_select(0, order).numpy()
    book = codebook(scales)
    return {"codebook": book.tolist()}, {"scales.webp": nearest_entries(scales, book)}


def _pack_quats(gaussians: Gaussians, order: Tensor) -> Packed:
    pixels = np.empty((len(order), 4), np.uint8)
    for part in packing.blocks(len(order)):
        place, others = packing.split_largest(gaussians.quats.index_select(0, order[part]))
        pixels[part, :3] = packing.to_bytes((others * math.sqrt(0.5) + 0.5) * 255)
        pixels[part, 3] = place.numpy() + _FIRST_TAG
    return {}, {"quats.webp": pixels}


def _pack_base(gaussians: Gaussians, order: Tensor) -> Packed:
    dc = gaussians.sh[:, 0].index_select(0, order).numpy()
    book = codebook(dc)
    pixels = np.empty((len(order), 4), np.uint8)
    pixels[:, :3] = nearest_entries(dc, book)
    pixels[:, 3] = packing.opacity_bytes(gaussians.logit_opacities.index_select(0, order))
    return {"codebook": book.tolist()}, {"sh0.webp": pixels}


def _pack_rest(gaussians: Gaussians, order: Tensor) -> Packed:
    coefficients = gaussians.sh.shape[1] - 1
    entries, labels = palette(gaussians.sh[:, 1:].flatten(1), order=order)
    values = entries.numpy()
    book = codebook(values)
    rows = max(1, math.ceil(len(values) / _ROW))
    centroids = np.zeros((rows, _ROW * coefficients, 3), np.uint8)
    centroids.reshape(-1)[: values.size] = nearest_entries(values, book).reshape(-1)
    places = np.zeros((len(labels), 3), np.uint8)
    places[:, 0], places[:, 1] = labels & 255, labels >> 8
    meta = {"count": len(values), "bands": gaussians.sh_degree, "codebook": book.tolist()}
    return meta, {"shN_centroids.webp": centroids, "shN_labels.webp": places}


def _picture(pixels: Bytes, width: int, height: int) -> bytes:
    """A lossless WebP of [N,C] pixels row by row, the rest filled with zeros, or of [H,W,C]."""
    if pixels.ndim == 2:
        whole = np.zeros((height * width, pixels.shape[1]), np.uint8)
        whole[: len(pixels)] = pixels
        pixels = whole.reshape(height, width, -1)
    stream = io.BytesIO()
    # "exact" keeps the colour of pixels whose alpha is 0: alpha is data here.
    Image.fromarray(pixels).save(stream, "WEBP", lossless=True, exact=True, method=4)
    return stream.getvalue()


def _decoded(picture: Image.Image) -> Bytes:
    return np.asarray(picture.convert("RGBA"))


def _zip(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            # A ZipInfo of its own has a fixed date: the same scene gives the same bytes.
            archive.writestr(zipfile.ZipInfo(name), data)
