"""One web page that shows a scene: opens from a disk, needs no network, sorts and draws in WebGL 2.

The page is ``html_page/page.html`` with its style, its modules and the scene put in. Nothing is
fetched (the page forbids it to itself), and nothing is installed. The scene stands in it as JSON
(``id="scene"``) and as gzip streams in base64, one ``<script>`` each, which browsers unpack by
themselves. Gaussians are in an order that keeps neighbours close; numbers of more than one byte
are stored as planes (all lowest bytes, then all second ones, ...), little end first::

    centers     3 int32 a Gaussian: multiples of the scene's ``step``, as differences from the
                Gaussian before, modulo 2^32, zigzag (0, -1, 1, -2, ... are 0, 1, 2, 3, ...)
    scales      3 int16: log scale * 64
    rotations   uint32: 10 bits each, from the lowest, for three of wxyz (value / sqrt(1/2) * 511
                + 511), then 2 bits for the place of the fourth, the largest, which is positive
    opacities   uint8: opacity * 255
    colors      3 int16: (colour - 0.5) * 255 of degree 0
    steps       float32 for every 256 Gaussians, not in planes
    harmonics   3 (K - 1) int8, coefficient by coefficient, red green blue: multiples of the step

An encoding of its own, because a browser unpacks gzip fast and these numbers go to the graphics
card nearly as they are; WebP pictures (SOG) do not survive browsers that blur canvases against
tracking, and SPZ's version 3 keeps 4 bits of a harmonic.

Frame: the world's (x right, y down, z forward).
"""

from __future__ import annotations

import base64
import html
import json
import math
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splatkit.core import Cameras, Gaussians, SplatkitError, UsageError
from splatkit.core.sh import C0, MAX_DEGREE, count_from_degree
from splatkit.core.transforms import quat_from_rotation
from splatkit.io import _packing as packing
from splatkit.io._packing import Bytes, Floats
from splatkit.io.files import atomic_path

NAME = "HTML"
MAGIC = b"<!doctype html>"
MARK = b'<meta name="splatkit-scene" content="1">'
"""Stands in the head of the pages, with the version of their layout."""

PAGE = Path(__file__).parent / "html_page"
MODULES = ("math", "camera", "shaders", "renderer", "tour", "controls", "interface", "main")
"""Of the page's script, each before those that import it."""
WORKER = "worker"

_SCALE_STEPS = 64
_ROTATION_STEPS = 511
_COLOR_STEPS = 255
PRECISIONS = {"low": 1 / 32, "normal": 1 / 64, "high": 1 / 1024}
"""Steps of the harmonics, as far as numbers of 8 bits reach with them; else they are larger."""
_BLOCK = 256
"""Gaussians that share a step of their harmonics."""
_FINEST = 512
"""Centres are stored this many times finer than the median Gaussian is large."""
_FARTHEST = 1 << 30
"""Steps from the origin at most."""
_GZIP_LEVEL = 6
_MAX_JSON_BYTES = 1 << 26


@dataclass(frozen=True)
class NamedView:
    """A view that visitors find in the page's list."""

    name: str
    camera: Cameras
    """A batch of one."""


@dataclass(frozen=True)
class Tour:
    """What a page shows of a scene by itself."""

    title: str = ""
    """Of the page; the file's name when empty."""
    views: list[NamedView] = field(default_factory=list)
    first: int = 0
    """Index in ``views`` of the one that the page opens with."""
    path: Cameras | None = None
    """Views along a walk, dense enough to be joined by straight lines; None for no walk."""
    seconds: float = 20.0
    """That the walk takes."""
    closed: bool = False
    """Whether the walk ends where it began, and goes on for ever."""
    focus: Tensor | None = None
    """[3] point that the scene is about, world frame; the middle of the Gaussians when None."""
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """sRGB behind the scene."""


def write(
    gaussians: Gaussians, path: Path, *, tour: Tour | None = None, precision: str = "normal"
) -> None:
    """Write a page atomically; a warning names what it cannot hold.

    Args:
        gaussians: degree 0 to 4.
        path: of the file.
        tour: views and a walk; without one the page frames the scene by itself.
        precision: of the harmonics, one of ``PRECISIONS``.

    Raises:
        UsageError: there is no such precision.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"precision: expected {', '.join(PRECISIONS)}; got {precision!r}")
    tour = tour or Tour()
    gaussians = packing.fit_for(gaussians, path, name=NAME, max_degree=MAX_DEGREE)
    step, streams = _pack(gaussians, PRECISIONS[precision])
    told = {
        "count": len(gaussians),
        "degree": gaussians.sh_degree,
        "antialiased": gaussians.antialiased,
        "step": step,
        "title": tour.title or path.stem,
        **_framing(gaussians, tour),
        **_tour_as_json(tour),
    }
    with atomic_path(path) as temporary, temporary.open("wb") as out:
        for piece in _page(told, streams):
            out.write(piece)


def read(path: Path) -> Gaussians:
    """Read the Gaussians of a page that ``write`` wrote; unusable rows are left out with a warning.

    Raises:
        SplatkitError: the file is missing, damaged, or another page.
    """
    return packing.keep_usable(_load(path)[0], path)


def info(path: Path) -> dict[str, Any]:
    """Describe a page: title, views, counts, degree, bounds, dead and broken Gaussians."""
    gaussians, told = _load(path)
    return packing.describe(
        path,
        NAME,
        gaussians,
        version=1,
        producer="splatkit",
        title=str(told.get("title", "")),
        views=len(told["views"]) if isinstance(told.get("views"), list) else 0,
        quantization=f"position: step {told['step']:.3g}; scale: 1/64 of a logarithm; rotation: "
        "10 bit; harmonics: 8 bit",
    )


def sources() -> dict[str, str]:
    """What a page holds beside its scene, by file name: markup, style and script."""
    names = ["page.html", "style.css", f"{WORKER}.js", *(f"{name}.js" for name in MODULES)]
    return {name: (PAGE / name).read_text(encoding="utf-8") for name in names}


def joined(modules: Iterable[str]) -> str:
    """Modules in one: what they import from each other stands before them, so nothing is named.

    The result is a module, too, and what the modules export can be told from what they keep.
    """
    imports = re.compile(r"^import\s[^;]*?from\s+\"\./[\w.]+\";\n", re.MULTILINE)
    exports = re.compile(r"^export\s+(?=const|let|function|class|async)", re.MULTILINE)
    return "\n".join(exports.sub("", imports.sub("", text)) for text in modules)


def _page(told: dict[str, Any], streams: dict[str, bytes]) -> Iterable[bytes]:
    """The page in pieces."""
    files = sources()
    filled = {
        "title": html.escape(str(told["title"])),
        "style": files["style.css"],
        "scene": _json_in_html(told),
        "worker": files[f"{WORKER}.js"],
        "script": joined(files[f"{name}.js"] for name in MODULES),
    }
    # Text between marks alternates with the marks' names; what is put in is not looked at again.
    for index, piece in enumerate(re.split(r"{{(\w+)}}", files["page.html"])):
        if index % 2 == 0:
            yield piece.encode()
        elif piece == "splats":
            for name, data in streams.items():
                yield _opening(name)
                yield base64.b64encode(data)
                yield b"</script>\n"
        else:
            yield filled[piece].encode()


def _opening(name: str) -> bytes:
    return f'<script type="text/plain" id="splats-{name}">'.encode()


def _json_in_html(value: Any) -> str:
    """JSON that no text in it can end the script element of."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _framing(gaussians: Gaussians, tour: Tour) -> dict[str, Any]:
    """What the scene is about and how large it is, far floaters left out."""
    means = gaussians.means[gaussians.opacities > 0.1].double()
    means = means if len(means) else gaussians.means.double()
    if len(means) == 0:
        means = torch.zeros(1, 3, dtype=torch.float64)
    focus = means.median(0).values if tour.focus is None else tour.focus.double()
    radius = float((means - focus).norm(dim=-1).median())
    return {"focus": _rounded(focus), "radius": max(radius, 1e-6)}


def _tour_as_json(tour: Tour) -> dict[str, Any]:
    path = None
    if tour.path is not None:
        path = {
            "cameras": [_camera_as_json(tour.path[i : i + 1]) for i in range(len(tour.path))],
            "seconds": tour.seconds,
            "closed": tour.closed,
        }
    return {
        "background": list(tour.background),
        "views": [{"name": view.name, **_camera_as_json(view.camera)} for view in tour.views],
        "first": tour.first,
        "path": path,
    }


def _camera_as_json(camera: Cameras) -> dict[str, Any]:
    """Position, rotation world_from_camera (wxyz), and the lens in pixels."""
    K = camera.Ks[0].double()
    return {
        "position": _rounded(camera.positions[0].double()),
        "rotation": _rounded(quat_from_rotation(camera.viewmats[0, :3, :3].double().mT)),
        "lens": [*_rounded(K[(0, 1, 0, 1), (0, 1, 2, 2)]), camera.width, camera.height],
    }


def _rounded(values: Tensor) -> list[float]:
    return [float(f"{value:.9g}") for value in values.tolist()]


def _pack(gaussians: Gaussians, least: float) -> tuple[float, dict[str, bytes]]:
    """The step of the centres, and the gzip streams by name, of the Gaussians in their new order.

    Args:
        gaussians: in any order.
        least: step of the harmonics.
    """
    count, rest = len(gaussians), 3 * (gaussians.sh.shape[1] - 1)
    step = _center_step(gaussians)
    order = packing.morton_order(gaussians.means)
    centers, scales, colors = (np.empty((count, 3), kind) for kind in ("<i4", "<i2", "<i2"))
    words, opacities = np.empty(count, "<u4"), np.empty(count, np.uint8)
    steps = np.empty(math.ceil(count / _BLOCK), "<f4")
    harmonics = np.empty((rest, count), np.uint8)
    # Blocks are whole blocks of harmonics.
    for start in range(0, count, packing.BLOCK):
        part = slice(start, start + packing.BLOCK)
        some = packing.in_order(gaussians, order[part])
        centers[part] = (some.means.double() / step).round().numpy()
        scales[part] = _int16(some.log_scales * _SCALE_STEPS)
        colors[part] = _int16(some.sh[:, 0] * (C0 * _COLOR_STEPS))
        opacities[part] = packing.opacity_bytes(some.logit_opacities)
        words[part] = _rotation_words(some.quats)
        own = slice(start // _BLOCK, (start + packing.BLOCK) // _BLOCK)
        flat = some.sh[:, 1:].flatten(1).numpy()
        steps[own], harmonics[:, part] = _pack_harmonics(flat, least)
    moved = np.diff(centers, axis=0, prepend=np.zeros((1, 3), np.int32))
    arrays = {
        "centers": _planes((moved << 1) ^ (moved >> 31)),
        "scales": _planes(scales),
        "rotations": _planes(words),
        "opacities": opacities,
        "colors": _planes(colors),
        "steps": steps.view(np.uint8),
        "harmonics": harmonics,
    }
    return step, {name: _gzip(array) for name, array in arrays.items()}


def _rotation_words(quats: Tensor) -> NDArray[np.uint32]:
    place, others = packing.split_largest(quats)
    parts = (others * (math.sqrt(2) * _ROTATION_STEPS) + _ROTATION_STEPS).round().long()
    words = parts[:, 0] | (parts[:, 1] << 10) | (parts[:, 2] << 20) | (place << 30)
    return words.numpy().astype(np.uint32)


def _center_step(gaussians: Gaussians) -> float:
    if len(gaussians) == 0:
        return 1.0
    size = float(gaussians.log_scales.amax(1).median().exp())
    farthest = float(gaussians.means.abs().max())
    return max(size / _FINEST, farthest / _FARTHEST, 1e-30)


def _pack_harmonics(values: Floats, least: float) -> tuple[Floats, Bytes]:
    """Steps by block, and [coefficients, B] multiples of them."""
    count = len(values)
    starts = np.arange(0, count, _BLOCK)
    steps = np.full(len(starts), least, np.float32)
    if values.size:
        largest = np.maximum.reduceat(np.abs(values).max(1), starts)
        steps = np.maximum(steps, largest / np.float32(127))
    multiples = np.rint(values / np.repeat(steps, _BLOCK)[:count, None]).clip(-127, 127)
    return steps, multiples.T.astype(np.int8).view(np.uint8)


def _int16(values: Tensor) -> NDArray[np.int16]:
    return values.round().clamp(-32768, 32767).to(torch.int16).numpy()


def _planes(values: NDArray[Any]) -> Bytes:
    """[columns, bytes, N]: the lowest byte of every number of a column, the next one, ..."""
    rows = values[:, None] if values.ndim == 1 else values
    little = np.ascontiguousarray(rows.T.astype(rows.dtype.newbyteorder("<")))
    split = little.view(np.uint8).reshape(*little.shape, rows.dtype.itemsize)
    return np.ascontiguousarray(split.transpose(0, 2, 1))


def _numbers(planes: Bytes, dtype: str, columns: int) -> NDArray[Any]:
    """[N, columns]: inverse of ``_planes``."""
    width = np.dtype(dtype).itemsize
    split = planes.reshape(columns, width, -1).transpose(2, 0, 1)
    return np.ascontiguousarray(split).view(dtype)[..., 0]


def _gzip(data: Bytes) -> bytes:
    # Without a time or name in its header the same scene gives the same bytes.
    packer = zlib.compressobj(_GZIP_LEVEL, wbits=16 + zlib.MAX_WBITS)
    return packer.compress(np.ascontiguousarray(data).reshape(-1).data) + packer.flush()


def _load(path: Path) -> tuple[Gaussians, dict[str, Any]]:
    """The Gaussians, and the JSON of the scene."""
    page = packing.read_bytes(path)
    if MARK not in page[:1024]:
        raise SplatkitError(f"{path}: expected a page written by splatkit export, got another one")
    told = _told(path, page)
    count, coefficients = told["count"], count_from_degree(told["degree"]) - 1
    sizes = {"centers": 12 * count, "scales": 6 * count, "rotations": 4 * count,
             "opacities": count, "colors": 6 * count, "steps": 4 * math.ceil(count / _BLOCK),
             "harmonics": 3 * coefficients * count}  # fmt: skip
    packing.check_unpacked_size(path, sum(sizes.values()), len(page))
    streams = {name: _stream(path, page, name, size) for name, size in sizes.items()}
    return _unpack(streams, told), told


def _told(path: Path, page: bytes) -> dict[str, Any]:
    """The JSON of the scene, as far as reading needs it checked."""
    text = _element(path, page, b'<script type="application/json" id="scene">')
    if len(text) > _MAX_JSON_BYTES:
        raise packing.damaged(path, f"expected at most {_MAX_JSON_BYTES} bytes of JSON")
    try:
        told = json.loads(text)
        count, degree, step = told["count"], told["degree"], float(told["step"])
        if not (isinstance(count, int) and 0 <= count < 1 << 32 and 0 < step < math.inf):
            raise ValueError(f"impossible count {count} or step {step}")
        if degree not in range(MAX_DEGREE + 1):
            raise ValueError(f"impossible degree {degree}")
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise packing.damaged(path, f"the description of the scene: {error}") from error
    return told


def _element(path: Path, page: bytes, opening: bytes) -> bytes:
    start = page.find(opening)
    end = page.find(b"</script>", start)
    if start < 0 or end < 0:
        raise packing.damaged(path, f"expected {opening.decode()}")
    return page[start + len(opening) : end]


def _stream(path: Path, page: bytes, name: str, size: int) -> Bytes:
    try:
        packed = base64.b64decode(_element(path, page, _opening(name)), validate=True)
        unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        # At most one byte more than wanted is ever unpacked (a bound of 0 would mean none).
        data = unpacker.decompress(packed, size + 1)
    except (ValueError, zlib.error) as error:
        raise packing.damaged(path, f"the {name}: {error}") from error
    if len(data) != size or not unpacker.eof:
        raise packing.damaged(path, f"expected {size} bytes of {name}")
    return np.frombuffer(data, np.uint8)


def _unpack(streams: dict[str, Bytes], told: dict[str, Any]) -> Gaussians:
    count = told["count"]
    coefficients = count_from_degree(told["degree"]) - 1
    zigzag = _numbers(streams["centers"], "<u4", 3)
    moved = (zigzag >> 1).astype(np.int32) ^ -(zigzag & 1).astype(np.int32)
    centers = np.cumsum(moved, 0, dtype=np.int32)
    words = _numbers(streams["rotations"], "<u4", 1)[:, 0]
    scales, colors = (_numbers(streams[name], "<i2", 3) for name in ("scales", "colors"))
    steps = np.repeat(streams["steps"].view("<f4"), _BLOCK)[:count]
    harmonics = streams["harmonics"].view(np.int8).reshape(coefficients * 3, count)
    whole = packing.room_for(count, 1 + coefficients, bool(told.get("antialiased", False)))
    for start in range(0, count, packing.BLOCK):
        part = slice(start, start + packing.BLOCK)
        word = words[part].astype(np.int64)
        others = torch.from_numpy(np.stack((word, word >> 10, word >> 20), 1) & 1023).float()
        others = (others / _ROTATION_STEPS - 1) * math.sqrt(0.5)
        whole.quats[part] = packing.join_largest(torch.from_numpy(word >> 30), others)
        whole.log_scales[part] = torch.from_numpy(scales[part] / np.float32(_SCALE_STEPS))
        whole.logit_opacities[part] = packing.logits_of_bytes(streams["opacities"][part])
        with np.errstate(over="ignore", invalid="ignore"):
            means = (centers[part] * float(told["step"])).astype(np.float32)
            rest = harmonics[:, part].T * steps[part, None]
        whole.means[part] = torch.from_numpy(means)
        whole.sh[part, 0] = torch.from_numpy(colors[part] / np.float32(C0 * _COLOR_STEPS))
        whole.sh[part, 1:] = torch.from_numpy(rest).view(len(word), coefficients, 3)
    return whole
