"""glTF 2.0 with ``KHR_gaussian_splatting``: ``.glb``, and ``.gltf`` with its ``.bin``.

A primitive of points (mode 0) whose extension names the kernel ("ellipse") and the colour space;
its attributes, one accessor each::

    POSITION                                  VEC3    centre
    COLOR_0                                   VEC4    linear light and opacity, for programs that
                                                      show plain points (16 bits, normalized)
    KHR_gaussian_splatting:ROTATION           VEC4    unit quaternion xyzw
    KHR_gaussian_splatting:SCALE              VEC3    standard deviations
    KHR_gaussian_splatting:OPACITY            SCALAR  0..1
    KHR_gaussian_splatting:SH_DEGREE_l_COEF_n VEC3    coefficient m = n - l, signs as here

All are float32 where not said; other programs may store rotation, scale and opacity in fewer
bits. Nodes turn, scale and move primitives; all of the scene's are read. What
``KHR_gaussian_splatting_compression_spz`` (a draft, also ``..._spz_2``) packs is read as SPZ. A
scene's antialiased mark stands in the primitive's ``extras``, as no key of the extension has it.

Frame: x left, y up, z front, as glTF has it: the world frame turned by 180 degrees about z.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splatkit.core import Gaussians, SplatkitError
from splatkit.core.sh import count_from_degree, rgb_from_sh
from splatkit.core.similarity import transformed
from splatkit.core.srgb import linear_of_srgb
from splatkit.io import _linear as linear
from splatkit.io import _packing as packing
from splatkit.io import spz
from splatkit.io._gltf_file import BIN_CHUNK, CHUNK, HEADER, JSON_CHUNK, MAGIC, GltfFile
from splatkit.io.axes import world_from_axes
from splatkit.io.files import atomic_path, read_json
from splatkit.io.files import write_text as write_text_file

NAME = "glTF"
MAX_DEGREE = 3
EXTENSION = "KHR_gaussian_splatting"
COMPRESSIONS = (f"{EXTENSION}_compression_spz_2", f"{EXTENSION}_compression_spz")

_PREFIX = f"{EXTENSION}:"
_UNDERSTOOD = {EXTENSION, *COMPRESSIONS, "KHR_mesh_quantization", "KHR_materials_unlit"}
_WORLD_FROM_FILE = torch.block_diag(world_from_axes("LUF"), torch.ones(1, 1))
_FLOAT, _USHORT = 5126, 5123
_ARRAY_BUFFER = 34962
_KINDS = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}

Columns = dict[str, NDArray[Any]]


def read(path: Path) -> Gaussians:
    """Read Gaussians; rows with NaN, infinity or absurd scales are left out with a warning.

    Raises:
        SplatkitError: the file is missing, damaged, or holds no Gaussians.
    """
    return packing.keep_usable(_load(path)[0], path)


def write(gaussians: Gaussians, path: Path) -> None:
    """Write a binary ``.glb`` atomically; a warning names what cannot be held."""
    gaussians = packing.fit_for(gaussians, path, name=NAME, max_degree=MAX_DEGREE)
    layout = _Layout(gaussians)
    text = json.dumps(layout.document(None), separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    whole = HEADER.size + CHUNK.size + len(text)
    whole += CHUNK.size + layout.size if layout.size else 0
    if whole >= 1 << 32:
        raise SplatkitError(
            f"{path}: expected less than 4 GiB, which is what a .glb holds, got {whole} bytes; "
            "write a .gltf, drop harmonics or prune the scene"
        )
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        stream.write(HEADER.pack(MAGIC, 2, whole))
        stream.write(CHUNK.pack(len(text), JSON_CHUNK) + text)
        if layout.size:
            stream.write(CHUNK.pack(layout.size, BIN_CHUNK))
            layout.write(stream)


def write_text(gaussians: Gaussians, path: Path) -> None:
    """Write a ``.gltf`` and, beside it, the file of data that it names.

    That name carries a digest, so that an old ``.gltf`` stays whole until the new one takes its
    place and no other file is overwritten; the data of the old one go then.
    """
    gaussians = packing.fit_for(gaussians, path, name=NAME, max_degree=MAX_DEGREE)
    layout = _Layout(gaussians)
    digest = hashlib.blake2b(digest_size=6)
    for tensor in gaussians.parameters().values():
        digest.update(tensor.contiguous().numpy().data)
    data = path.with_name(f"{path.stem}-{digest.hexdigest()}.bin")
    before = _own_data(path)
    with atomic_path(data) as temporary, temporary.open("wb") as stream:
        layout.write(stream)
    write_text_file(path, json.dumps(layout.document(data.name), indent=1) + "\n")
    if before is not None and before != data:
        with suppress(OSError):
            before.unlink()


def info(path: Path) -> dict[str, Any]:
    """Describe a file: producer, counts, degree, bounds, storage, dead and broken Gaussians."""
    gaussians, file, storage = _load(path)
    told = packing.describe(
        path,
        NAME,
        gaussians,
        producer=str(file.part(file.values, "asset").get("generator", ""))[:200],
        quantization=storage,
    )
    told["bytes"] = file.size
    told["bytes_per_gaussian"] = file.size / max(len(gaussians), 1)
    return told


def _own_data(path: Path) -> Path | None:
    """The data of a ``.gltf`` that ``write_text`` wrote to this path before."""
    try:
        uri = str(read_json(path)["buffers"][0]["uri"])
    except (SplatkitError, KeyError, IndexError, TypeError):
        return None
    ours = re.fullmatch(re.escape(path.stem) + r"-[0-9a-f]{12}\.bin", uri)
    return path.with_name(uri) if ours else None


class _Layout:
    """Where the attributes of a scene lie in the file's data, one behind the other."""

    def __init__(self, gaussians: Gaussians) -> None:
        self.gaussians = gaussians
        self.shapes = {
            name: (array.dtype, array.shape[1])
            for name, array in _columns_of(gaussians[:0]).items()
        }
        """Attribute -> its type and numbers a Gaussian."""
        self.places: dict[str, int] = {}
        self.size = 0
        for name, (dtype, width) in self.shapes.items():
            self.places[name] = self.size
            self.size += len(gaussians) * width * dtype.itemsize

    def write(self, stream: IO[bytes]) -> None:
        """Write the data at the stream's place, a block of Gaussians at a time."""
        start = stream.tell()
        for block in linear.blocks(len(self.gaussians)):
            for name, array in _columns_of(self.gaussians[block]).items():
                stream.seek(start + self.places[name] + block.start * array.strides[0])
                stream.write(array.data)

    def document(self, uri: str | None) -> dict[str, Any]:
        """The JSON of the file, whose data are in its own second chunk or in another file."""
        document: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": "splatkit"},
            "extensionsUsed": [EXTENSION],
            "scene": 0,
        }
        count = len(self.gaussians)
        if count == 0:
            # glTF has no empty accessors, meshes or buffers.
            return document | {"scenes": [{"name": "empty"}]}
        low, high = _bounds(self.gaussians)
        accessors, views = [], []
        for index, (name, (dtype, width)) in enumerate(self.shapes.items()):
            whole = count * width * dtype.itemsize
            views.append(
                {"buffer": 0, "byteOffset": self.places[name], "byteLength": whole,
                 "target": _ARRAY_BUFFER}
            )  # fmt: skip
            accessor = {"bufferView": index, "count": count, "type": _KINDS[width]}
            accessor["componentType"] = _FLOAT if dtype.kind == "f" else _USHORT
            if dtype.kind != "f":
                accessor["normalized"] = True
            if name == "POSITION":
                accessor |= {"min": low, "max": high}
            accessors.append(accessor)
        primitive: dict[str, Any] = {
            "attributes": {name: index for index, name in enumerate(self.shapes)},
            "mode": 0,
            "extensions": {
                EXTENSION: {
                    "kernel": "ellipse",
                    "colorSpace": linear.SRGB,
                    "projection": "perspective",
                    "sortingMethod": "cameraDistance",
                }
            },
        }
        if self.gaussians.antialiased:
            primitive["extras"] = {"antialiased": True}
        return document | {
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0, "name": "Gaussians"}],
            "meshes": [{"primitives": [primitive]}],
            "accessors": accessors,
            "bufferViews": views,
            "buffers": [{"byteLength": self.size} | ({} if uri is None else {"uri": uri})],
        }


def _bounds(gaussians: Gaussians) -> tuple[list[float], list[float]]:
    """Least and largest coordinates as they stand in the file."""
    turn = _WORLD_FROM_FILE[:3, :3].diagonal()
    ends = torch.stack(gaussians.means.aminmax(dim=0)).double() * turn
    return ends.amin(0).tolist(), ends.amax(0).tolist()


def _columns_of(gaussians: Gaussians) -> Columns:
    """The attributes of some Gaussians, [n, width] each, in the frame of the file."""
    stored = transformed(gaussians, _WORLD_FROM_FILE[:3, :3].mT)
    opacities = stored.opacities[:, None]
    rgb = linear_of_srgb(rgb_from_sh(stored.sh[:, 0]).clamp(0, 1))
    color = (torch.cat((rgb, opacities), 1) * 65535).round()
    quats = torch.nn.functional.normalize(stored.quats, dim=-1)
    columns = {
        "POSITION": stored.means.numpy(),
        "COLOR_0": color.numpy().astype("<u2"),
        f"{_PREFIX}ROTATION": quats[:, (1, 2, 3, 0)].numpy(),
        f"{_PREFIX}SCALE": stored.scales.numpy(),
        f"{_PREFIX}OPACITY": opacities.numpy(),
    }
    sh = stored.sh.numpy()
    for place, name in enumerate(_coefficients(stored.sh_degree)):
        columns[name] = sh[:, place]
    return {name: np.ascontiguousarray(array) for name, array in columns.items()}


def _coefficients(degree: int) -> list[str]:
    """Attributes of the harmonics in the order of ``Gaussians.sh``."""
    return [f"{_PREFIX}SH_DEGREE_{d}_COEF_{n}" for d in range(degree + 1) for n in range(2 * d + 1)]


def _load(path: Path) -> tuple[Gaussians, GltfFile, str]:
    """All Gaussians of the scene in the world frame, the file, and how numbers are stored."""
    file = GltfFile(path)
    required = {str(name) for name in file.listed(file.values, "extensionsRequired")}
    if required - _UNDERSTOOD:
        raise SplatkitError(
            f"{path}: expected extensions that are read here, got "
            f"{', '.join(sorted(required - _UNDERSTOOD))[:200]}; save it again without them"
        )
    parts: list[Gaussians] = []
    storage: set[str] = set()
    for mesh, matrix in file.meshes():
        linear.check_placement(path, matrix)
        for primitive in file.listed(mesh, "primitives"):
            told = file.part(primitive, "extensions") if isinstance(primitive, dict) else {}
            if EXTENSION in told:
                splats = file.part(told, EXTENSION)
                room = sum(len(part) * _bytes_of(part.sh_degree) for part in parts)
                packed = _packed(file, splats)
                if packed is None:
                    source = _Primitive(file, primitive, splats)
                    storage.add(source.storage)
                    # A few bytes may be shown by very many nodes.
                    room += source.count * _bytes_of(source.degree)
                    packing.check_unpacked_size(path, room, file.size)
                    parts.append(source.gaussians(_WORLD_FROM_FILE @ matrix))
                else:
                    storage.add("SPZ")
                    packing.check_unpacked_size(path, room, file.size)
                    turned = _WORLD_FROM_FILE @ matrix @ _WORLD_FROM_FILE
                    parts.append(linear.placed(spz.parse(packed, path), turned))
    if not parts:
        if EXTENSION not in file.listed(file.values, "extensionsUsed"):
            raise SplatkitError(
                f"{path}: expected a glTF scene with {EXTENSION}, got one without Gaussians "
                "(a mesh?)"
            )
        return packing.room_for(0, 1), file, "none"
    return linear.together(parts), file, ", ".join(sorted(storage))


def _bytes_of(degree: int) -> int:
    return 4 * (11 + 3 * count_from_degree(degree))


def _packed(file: GltfFile, splats: Mapping[str, Any]) -> bytes | None:
    """The SPZ data of a primitive, where it has any."""
    extensions = file.part(splats, "extensions")
    for name in COMPRESSIONS:
        if name in extensions:
            return file.view(file.part(extensions, name).get("bufferView"))[0].tobytes()
    return None


class _Primitive:
    """The attributes of one primitive, checked against each other."""

    def __init__(
        self, file: GltfFile, primitive: Mapping[str, Any], splats: Mapping[str, Any]
    ) -> None:
        self.file, self.path = file, file.path
        attributes = file.part(primitive, "attributes")
        kernel = str(splats.get("kernel", "ellipse"))
        if kernel != "ellipse" or primitive.get("mode") != 0:
            raise SplatkitError(
                f"{file.path}: expected points of the kernel 'ellipse', got mode "
                f"{str(primitive.get('mode'))[:20]} and {kernel[:60]!r}"
            )
        self.color_space = str(splats.get("colorSpace", linear.SRGB))
        self.antialiased = file.part(primitive, "extras").get("antialiased") is True
        self.degree = next(
            (d for d in range(MAX_DEGREE, 0, -1) if f"{_PREFIX}SH_DEGREE_{d}_COEF_0" in attributes),
            0,
        )

        def column(name: str, kind: str) -> tuple[NDArray[Any], float]:
            if name not in attributes:
                raise packing.damaged(file.path, f"its Gaussians have no {name}")
            return file.numbers(attributes[name], kind)

        self.columns = {
            "POSITION": column("POSITION", "VEC3"),
            "ROTATION": column(f"{_PREFIX}ROTATION", "VEC4"),
            "SCALE": column(f"{_PREFIX}SCALE", "VEC3"),
            "OPACITY": column(f"{_PREFIX}OPACITY", "SCALAR"),
        }
        self.sh = [column(name, "VEC3") for name in _coefficients(self.degree)]
        self.count = len(self.columns["POSITION"][0])
        if any(len(array) != self.count for array, _ in (*self.columns.values(), *self.sh)):
            raise packing.damaged(file.path, "its attributes are not of one length")
        bits = {
            f"{name.lower()} {8 * array.dtype.itemsize} bit"
            for name, (array, _) in self.columns.items()
            if array.dtype.kind != "f"
        }
        self.storage = ", ".join(sorted(bits)) or "none"

    def gaussians(self, world_from_file: Tensor) -> Gaussians:
        """The Gaussians in the world frame, converted a block at a time."""
        whole = packing.room_for(self.count, len(self.sh))
        for block in linear.blocks(self.count):
            part = linear.placed(self._block(block), world_from_file)
            for name, tensor in part.parameters().items():
                getattr(whole, name)[block] = tensor
            self.file.let_go()
        sh = linear.sh_in_srgb(whole.sh, self.color_space, self.path)
        return replace(whole, sh=sh, antialiased=self.antialiased)

    def _block(self, block: slice) -> Gaussians:
        position, rotation, scale, opacity = (
            _floats(column, block) for column in self.columns.values()
        )
        sh = np.stack([_floats(column, block) for column in self.sh], 1)
        return Gaussians(
            means=torch.from_numpy(position),
            quats=torch.from_numpy(rotation)[:, (3, 0, 1, 2)],
            log_scales=linear.log_scales_of(scale),
            logit_opacities=linear.logits_of(opacity[:, 0]),
            sh=torch.from_numpy(sh),
        )


def _floats(column: tuple[NDArray[Any], float], block: slice) -> packing.Floats:
    """Some rows as float32; whole numbers that stand for -1..1 or 0..1 become those."""
    array, largest = column
    rows = array[block].astype(np.float32)
    return rows if largest == 1 else np.maximum(rows / largest, -1)
