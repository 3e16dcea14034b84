"""Triangles as binary glTF 2.0 (``.glb``) that engines draw as they are, without lights.

One primitive: POSITION (float32), indices (uint32), NORMAL where asked for, and either TEXCOORD_0
with a PNG in sRGB or COLOR_0 in linear light (16 bits, normalized): glTF multiplies the two, so
never both. The material is ``KHR_materials_unlit`` and seen from both sides; programs without that
extension find a rough white surface that is no metal.

Frame: x left, y up, z front, as glTF has it: the world frame turned by 180 degrees about z.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from splatkit.core import SplatkitError, Triangles
from splatkit.core.srgb import linear_of_srgb, srgb_of_linear
from splatkit.io import _packing as packing
from splatkit.io._gltf_file import BIN_CHUNK, CHUNK, HEADER, JSON_CHUNK, MAGIC, GltfFile
from splatkit.io.axes import world_from_axes
from splatkit.io.files import write_bytes

UNLIT = "KHR_materials_unlit"
MAX_TEXTURE_SIDE = 16384
"""Pixels; larger pictures are refused when read."""

_FLOAT, _USHORT, _UINT = 5126, 5123, 5125
_ARRAY, _ELEMENTS = 34962, 34963
_LINEAR, _CLAMP = 9729, 33071
_TURN = world_from_axes("LUF")


def write(
    triangles: Triangles,
    path: Path,
    *,
    normals: bool = False,
    name: str = "mesh",
    extras: Mapping[str, Any] | None = None,
) -> None:
    """Write triangles atomically.

    Args:
        triangles: with vertex colours or a texture (8 bits are kept of it); opaque.
        path: ends in ``.glb``.
        normals: write NORMAL, too.
        name: of the node.
        extras: further facts for ``asset.extras``.

    Raises:
        SplatkitError: there is no triangle, or a number is not finite.
    """
    if len(triangles) == 0:
        raise SplatkitError(f"{path}: expected triangles to write, got none")
    if not bool(torch.isfinite(triangles.vertices).all()):
        raise SplatkitError(f"{path}: expected finite vertices, got NaN or infinity")
    layout = _Layout()
    position = (triangles.vertices.detach().cpu().double() @ _TURN[:3, :3]).float().numpy()
    ends = {"min": position.min(0).tolist(), "max": position.max(0).tolist()}
    attributes = {"POSITION": layout.accessor(position, "VEC3", _FLOAT, _ARRAY, **ends)}
    if normals:
        turned = (triangles.vertex_normals.detach().cpu().double() @ _TURN[:3, :3]).float().numpy()
        # glTF asks for unit vectors, also where a vertex has no area around it.
        turned[np.abs(turned).sum(1) == 0] = (0, 1, 0)
        attributes["NORMAL"] = layout.accessor(turned, "VEC3", _FLOAT, _ARRAY)
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    document: dict[str, Any] = {}
    if triangles.texture is not None:
        assert triangles.uvs is not None
        uvs = triangles.uvs.detach().cpu().float().numpy()
        attributes["TEXCOORD_0"] = layout.accessor(uvs, "VEC2", _FLOAT, _ARRAY)
        surface["baseColorTexture"] = {"index": 0}
        document["textures"] = [{"source": 0, "sampler": 0}]
        document["samplers"] = [
            {"magFilter": _LINEAR, "minFilter": _LINEAR, "wrapS": _CLAMP, "wrapT": _CLAMP}
        ]
        document["images"] = [
            {"bufferView": layout.view(_png(triangles.texture)), "mimeType": "image/png"}
        ]
    elif triangles.colors is not None:
        rgb = linear_of_srgb(triangles.colors.detach().cpu().float().clamp(0, 1))
        rows = np.full((len(rgb), 4), 65535, "<u2")
        rows[:, :3] = (rgb * 65535).round().numpy()
        attributes["COLOR_0"] = layout.accessor(rows, "VEC4", _USHORT, _ARRAY, normalized=True)
    faces = triangles.faces.detach().cpu().numpy().astype("<u4").reshape(-1, 1)
    indices = layout.accessor(faces, "SCALAR", _UINT, _ELEMENTS)
    document |= {
        "asset": {"version": "2.0", "generator": "splatkit", "extras": dict(extras or {})},
        "extensionsUsed": [UNLIT],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": name}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": indices, "material": 0}]}],
        "materials": [
            {
                "name": "unlit",
                "pbrMetallicRoughness": surface,
                "extensions": {UNLIT: {}},
                "doubleSided": True,
            }
        ],
        "accessors": layout.accessors,
        "bufferViews": layout.views,
        "buffers": [{"byteLength": len(layout.data)}],
    }
    write_bytes(path, _chunks(document, bytes(layout.data)))


def read(path: Path) -> Triangles:
    """Read the triangles of a glTF file in the world frame; what else it holds is passed over.

    Several primitives are joined where they have vertex colours; with a texture there can be one.

    Raises:
        SplatkitError: the file is missing or damaged, holds no triangles, or several textures.
    """
    file = GltfFile(path)
    parts = [
        _primitive(file, primitive, matrix)
        for mesh, matrix in file.meshes()
        for primitive in file.listed(mesh, "primitives")
        if isinstance(primitive, dict) and primitive.get("mode", 4) == 4
    ]
    if not parts:
        raise SplatkitError(f"{path}: expected a glTF scene with triangles, got one without")
    if len(parts) == 1:
        return parts[0]
    if any(part.colors is None for part in parts):
        raise SplatkitError(
            f"{path}: expected one textured mesh, got {len(parts)} meshes of which some have a "
            "texture or no colours; join them first"
        )
    shifts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    return Triangles(
        torch.cat([part.vertices for part in parts]),
        torch.cat([part.faces + int(shift) for part, shift in zip(parts, shifts, strict=True)]),
        colors=torch.cat([part.colors for part in parts if part.colors is not None]),
    )


class _Layout:
    """Buffer views and accessors over bytes that grow."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, data: bytes, target: int | None = None) -> int:
        self.data += b"\0" * (-len(self.data) % 4)
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data)}
        self.views.append(view if target is None else view | {"target": target})
        self.data += data
        return len(self.views) - 1

    def accessor(
        self, rows: NDArray[Any], kind: str, component: int, target: int, **facts: Any
    ) -> int:
        view = self.view(np.ascontiguousarray(rows).tobytes(), target)
        told = {"bufferView": view, "componentType": component, "count": len(rows), "type": kind}
        self.accessors.append(told | facts)
        return len(self.accessors) - 1


def _chunks(document: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    data += b"\0" * (-len(data) % 4)
    whole = HEADER.size + 2 * CHUNK.size + len(text) + len(data)
    return b"".join(
        (
            HEADER.pack(MAGIC, 2, whole),
            CHUNK.pack(len(text), JSON_CHUNK),
            text,
            CHUNK.pack(len(data), BIN_CHUNK),
            data,
        )
    )


def _png(texture: Tensor) -> bytes:
    pixels = (texture.detach().cpu().clamp(0, 1) * 255).round().byte().numpy()
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _primitive(file: GltfFile, primitive: Mapping[str, Any], matrix: Tensor) -> Triangles:
    attributes = file.part(primitive, "attributes")
    if "POSITION" not in attributes:
        raise packing.damaged(file.path, "its triangles have no POSITION")

    def column(name: str, *kinds: str) -> Tensor:
        accessor = file.item("accessors", attributes[name])
        kind = accessor.get("type") if accessor.get("type") in kinds else kinds[0]
        rows, largest = file.numbers(attributes[name], str(kind))
        return torch.from_numpy(rows.astype(np.float32) / largest)

    position = column("POSITION", "VEC3").double() @ matrix[:3, :3].T + matrix[:3, 3]
    vertices = (position @ _TURN[:3, :3].T).float()
    if "indices" in primitive:
        faces = file.numbers(primitive["indices"], "SCALAR")[0].astype(np.int64).reshape(-1)
    else:
        faces = np.arange(len(vertices))
    if len(faces) % 3 or (len(faces) and faces.max() >= len(vertices)):
        raise packing.damaged(file.path, "its indices do not name triangles")
    found = torch.from_numpy(faces.reshape(-1, 3).astype(np.int32))
    texture = _texture(file, primitive)
    if texture is not None and "TEXCOORD_0" in attributes:
        return Triangles(vertices, found, uvs=column("TEXCOORD_0", "VEC2"), texture=texture)
    if "COLOR_0" in attributes:
        colors = srgb_of_linear(column("COLOR_0", "VEC4", "VEC3")[:, :3])
        return Triangles(vertices, found, colors=colors)
    return Triangles(vertices, found)


def _texture(file: GltfFile, primitive: Mapping[str, Any]) -> Tensor | None:
    """[H,W,3] the base colour of a primitive, where it is a picture in the file."""
    if "material" not in primitive:
        return None
    material = file.item("materials", primitive["material"])
    told = file.part(file.part(material, "pbrMetallicRoughness"), "baseColorTexture")
    if not told:
        return None
    image = file.item("images", file.item("textures", told.get("index")).get("source"))
    data, _ = file.view(image.get("bufferView"))
    try:
        with Image.open(io.BytesIO(data.tobytes())) as picture:
            if max(picture.size) > MAX_TEXTURE_SIDE:
                raise packing.damaged(file.path, f"its picture is {max(picture.size)} pixels large")
            pixels = np.asarray(picture.convert("RGB"))
    except (OSError, ValueError) as error:
        raise packing.damaged(file.path, f"its picture cannot be read ({error})") from error
    return torch.from_numpy(pixels.astype(np.float32) / 255)
