"""Triangles as binary glTF 2.0 (``.glb``) that engines draw as they are, without lights.

POSITION (float32), indices (uint32), NORMAL and TANGENT where asked for, and either TEXCOORD_0
with a PNG in sRGB or COLOR_0 in linear light (16 bits, normalized): glTF multiplies the two, so
never both. The material is ``KHR_materials_unlit`` and seen from both sides; programs without that
extension find a rough white surface that is no metal.

A mesh is one primitive, or one for each sheet of its texture (``splatkit.core.sheets``). Meshes
*beside* it, as a sky is, are drawn too, and may share its texture.
*Shapes* are further meshes for physics, without material, that engines know by their names.

Frame: x left, y up, z front, as glTF has it: the world frame turned by 180 degrees about z.
Programs that show splats in other axes than glTF's get meshes in those (``axes``).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from splatkit.core import SplatkitError, Triangles
from splatkit.core.sheets import sheet_count, sheet_of_faces
from splatkit.core.srgb import linear_of_srgb, srgb_of_linear
from splatkit.core.tangents import unit_normals, vertex_tangents
from splatkit.io import _packing as packing
from splatkit.io._glb_layout import ARRAY, ELEMENTS, FLOAT, UINT, USHORT, Layout
from splatkit.io._gltf_file import GltfFile
from splatkit.io.axes import world_from_axes
from splatkit.io.files import write_bytes

AXES = "LUF"
UNLIT = "KHR_materials_unlit"
MAX_TEXTURE_SIDE = 16384
"""Pixels; larger pictures are refused when read."""

_SHAPE_NAMES = re.compile(r"(ucx|ubx|usp|ucp)_.*|.*[-_$](colonly|convcolonly)", re.IGNORECASE)
_LINEAR, _CLAMP = 9729, 33071
_KINDS = {
    "POSITION": ("VEC3", FLOAT),
    "NORMAL": ("VEC3", FLOAT),
    "TANGENT": ("VEC4", FLOAT),
    "TEXCOORD_0": ("VEC2", FLOAT),
    "COLOR_0": ("VEC4", USHORT),
}

Columns = dict[str, NDArray[Any]]


def write(
    triangles: Triangles,
    path: Path,
    *,
    normals: bool = False,
    tangents: bool = False,
    name: str = "mesh",
    beside: Mapping[str, Triangles] | None = None,
    shapes: Mapping[str, Triangles] | None = None,
    axes: str = AXES,
    extras: Mapping[str, Any] | None = None,
) -> None:
    """Write triangles atomically.

    Args:
        triangles: with vertex colours or a texture (8 bits are kept of it); opaque.
        path: ends in ``.glb``.
        normals: write NORMAL, too.
        tangents: write NORMAL and TANGENT, too.
        name: of the mesh and its node.
        beside: further meshes to draw, by name: with vertex colours as ``triangles``, or with the
            same texture (the same tensor).
        shapes: further meshes by name, of which places and faces are written.
        axes: where the axes of the numbers in the file point, see ``splatkit.io.axes``.
        extras: further facts for ``asset.extras``.

    Raises:
        SplatkitError: there is no triangle, a number is not finite, tangents are wanted where
            there is no texture, or meshes have colours of different kinds.
    """
    layout, turn = Layout(), world_from_axes(axes)
    sheets = sheet_count(triangles)
    meshes = []
    for told, drawn in ((name, triangles), *(beside or {}).items()):
        _check(drawn, path)
        alike = (drawn.colors is None) == (triangles.colors is None)
        if drawn.texture is not triangles.texture or not alike:
            raise SplatkitError(
                f"{path}: expected {told} to have colours as {name} has them: at its vertices, or "
                "from the same texture"
            )
        columns = _columns(drawn, turn, normals or tangents, tangents)
        primitives = [
            _primitive_of(layout, placed, part) | {"material": index}
            for index, placed, part in _on_sheets(drawn, columns, sheets)
        ]
        meshes.append({"name": told, "primitives": primitives})
    for told, shape in (shapes or {}).items():
        _check(shape, path)
        bare = Triangles(shape.vertices, shape.faces)
        primitive = _primitive_of(layout, _columns(bare, turn), shape.faces.cpu().numpy())
        meshes.append({"name": told, "primitives": [primitive]})
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "splatkit", "extras": dict(extras or {})},
        "extensionsUsed": [UNLIT],
        "scene": 0,
        "scenes": [{"nodes": list(range(len(meshes)))}],
        "nodes": [{"mesh": index, "name": mesh["name"]} for index, mesh in enumerate(meshes)],
        "meshes": meshes,
        "materials": [
            {
                "name": f"unlit{index or ''}",
                "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}
                | ({} if triangles.texture is None else {"baseColorTexture": {"index": index}}),
                "extensions": {UNLIT: {}},
                "doubleSided": True,
            }
            for index in range(sheets)
        ],
    }
    if triangles.texture is not None:
        document["textures"] = [{"source": i, "sampler": 0} for i in range(sheets)]
        document["samplers"] = [
            {"magFilter": _LINEAR, "minFilter": _LINEAR, "wrapS": _CLAMP, "wrapT": _CLAMP}
        ]
        document["images"] = [
            {"bufferView": layout.view(_png(sheet)), "mimeType": "image/png"}
            for sheet in triangles.texture.chunk(sheets)
        ]
    write_bytes(path, layout.file(document))


def read(path: Path, *, axes: str = AXES) -> Triangles:
    """Read the triangles of a glTF file in the world frame; what else it holds is passed over.

    Several primitives are joined where all have vertex colours, or all have textures of one width,
    each of which is laid below the one before. Meshes that engines take for physics alone, by
    their names, are passed over: see ``read_shapes``.

    Args:
        path: the file.
        axes: where the axes of the numbers in the file point.

    Raises:
        SplatkitError: the file is missing or damaged, holds no triangles, or several that cannot be
            joined.
    """
    return _joined([part for _, part in _drawn(path, axes)], path)


def read_apart(
    path: Path, names: str, *, axes: str = AXES
) -> tuple[Triangles | None, Triangles | None]:
    """What ``read`` reads: the meshes whose names do not match the expression ``names``, and those
    whose do. Both have the texture of the whole file; None where there are none.
    """
    found = _drawn(path, axes)
    whole = _joined([part for _, part in found], path)
    match = [(re.fullmatch(names, name) is not None, len(part)) for name, part in found]
    apart = torch.cat([torch.full((count,), far) for far, count in match])
    first, second = (whole.selected(rows) if bool(rows.any()) else None for rows in (~apart, apart))
    return first, second


def read_shapes(path: Path, *, axes: str = AXES) -> dict[str, Triangles]:
    """The meshes of a glTF file that engines take for physics alone, by name; see ``read``."""
    return {name: part for name, part in _parts(path, axes) if _SHAPE_NAMES.fullmatch(name)}


def _check(triangles: Triangles, path: Path) -> None:
    if len(triangles) == 0:
        raise SplatkitError(f"{path}: expected triangles to write, got none")
    if not bool(torch.isfinite(triangles.vertices).all()):
        raise SplatkitError(f"{path}: expected finite vertices, got NaN or infinity")


def _columns(
    triangles: Triangles, turn: Tensor, normals: bool = False, tangents: bool = False
) -> Columns:
    """Rows of each attribute as they stand in the file."""

    def turned(directions: Tensor) -> NDArray[Any]:
        return (directions.detach().cpu().double() @ turn).float().numpy()

    columns = {"POSITION": turned(triangles.vertices)}
    if normals:
        columns["NORMAL"] = turned(unit_normals(triangles))
    if tangents:
        told = vertex_tangents(triangles)
        side = told[:, 3:].cpu().numpy()
        columns["TANGENT"] = np.concatenate((turned(told[:, :3]), side), 1).astype(np.float32)
    if triangles.uvs is not None:
        columns["TEXCOORD_0"] = triangles.uvs.detach().cpu().float().numpy()
    elif triangles.colors is not None:
        rgb = linear_of_srgb(triangles.colors.detach().cpu().float().clamp(0, 1))
        columns["COLOR_0"] = np.full((len(rgb), 4), 65535, "<u2")
        columns["COLOR_0"][:, :3] = (rgb * 65535).round().numpy()
    return columns


def _on_sheets(
    triangles: Triangles, columns: Columns, sheets: int
) -> Iterator[tuple[int, Columns, NDArray[Any]]]:
    """The number of each sheet that a mesh uses, and its vertices and faces there."""
    faces = triangles.faces.detach().cpu().numpy()
    if sheets == 1:
        yield 0, columns, faces
        return
    home = sheet_of_faces(triangles, sheets).cpu().numpy()
    for index in np.unique(home).tolist():
        # Vertices of other sheets stay out.
        used, part = _used(faces[home == index])
        placed = {key: column[used] for key, column in columns.items()}
        placed["TEXCOORD_0"][:, 1] = (placed["TEXCOORD_0"][:, 1] * sheets - index).clip(0, 1)
        yield index, placed, part


def _used(faces: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The vertices that faces name, and the faces over these."""
    used, renumbered = np.unique(faces, return_inverse=True)
    return used, renumbered.reshape(-1, 3)


def _primitive_of(layout: Layout, columns: Columns, faces: NDArray[Any]) -> dict[str, Any]:
    attributes = {}
    for key, rows in columns.items():
        kind, component = _KINDS[key]
        facts: dict[str, Any] = {}
        if key == "POSITION":
            facts = {"min": rows.min(0).tolist(), "max": rows.max(0).tolist()}
        elif key == "COLOR_0":
            facts = {"normalized": True}
        attributes[key] = layout.accessor(rows, kind, component, ARRAY, **facts)
    flat = faces.astype("<u4").reshape(-1, 1)
    return {"attributes": attributes, "indices": layout.accessor(flat, "SCALAR", UINT, ELEMENTS)}


def _png(texture: Tensor) -> bytes:
    pixels = (texture.detach().cpu().clamp(0, 1) * 255).round().byte().numpy()
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _drawn(path: Path, axes: str) -> list[tuple[str, Triangles]]:
    """The parts that are not for physics alone."""
    found = [each for each in _parts(path, axes) if not _SHAPE_NAMES.fullmatch(each[0])]
    if not found:
        raise SplatkitError(f"{path}: expected a glTF scene with triangles, got one without")
    return found


def _parts(path: Path, axes: str) -> Iterator[tuple[str, Triangles]]:
    """Each primitive of triangles in the world frame, and the name of its mesh."""
    file, turn = GltfFile(path), world_from_axes(axes)
    pictures: dict[Any, Tensor] = {}
    for mesh, matrix in file.meshes():
        for primitive in file.listed(mesh, "primitives"):
            if isinstance(primitive, dict) and primitive.get("mode", 4) == 4:
                part = _primitive(file, primitive, matrix, turn, pictures)
                yield str(mesh.get("name", "")), part


def _joined(parts: list[Triangles], path: Path) -> Triangles:
    """Several primitives as one mesh; pictures that they share are there once."""
    if len(parts) == 1:
        return parts[0]
    shifts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    vertices = torch.cat([part.vertices for part in parts])
    faces = torch.cat([part.faces + int(shift) for part, shift in zip(parts, shifts, strict=True)])
    colors = [part.colors for part in parts if part.colors is not None]
    if len(colors) == len(parts):
        return Triangles(vertices, faces, colors=torch.cat(colors))
    pictures = {id(part.texture): part.texture for part in parts if part.texture is not None}
    missing = any(part.texture is None for part in parts)
    if missing or len({picture.shape[1] for picture in pictures.values()}) > 1:
        raise SplatkitError(
            f"{path}: expected meshes with vertex colours alone or with textures of one width, got "
            f"{len(parts)} meshes of several kinds; join them first"
        )
    above, total = {}, 0
    for key, picture in pictures.items():
        above[key], total = total, total + picture.shape[0]
    uvs = []
    for part in parts:
        assert part.uvs is not None
        assert part.texture is not None
        places = part.uvs * torch.tensor([1.0, part.texture.shape[0] / total])
        places[:, 1] += above[id(part.texture)] / total
        uvs.append(places)
    texture = torch.cat(list(pictures.values()))
    return Triangles(vertices, faces, uvs=torch.cat(uvs), texture=texture)


def _primitive(
    file: GltfFile,
    primitive: Mapping[str, Any],
    matrix: Tensor,
    turn: Tensor,
    pictures: dict[Any, Tensor],
) -> Triangles:
    attributes = file.part(primitive, "attributes")
    if "POSITION" not in attributes:
        raise packing.damaged(file.path, "its triangles have no POSITION")

    def column(name: str, *kinds: str) -> Tensor:
        accessor = file.item("accessors", attributes[name])
        kind = accessor.get("type") if accessor.get("type") in kinds else kinds[0]
        rows, largest = file.numbers(attributes[name], str(kind))
        return torch.from_numpy(rows.astype(np.float32) / largest)

    position = column("POSITION", "VEC3").double() @ matrix[:3, :3].T + matrix[:3, 3]
    vertices = (position @ turn.T).float()
    if "indices" in primitive:
        faces = file.numbers(primitive["indices"], "SCALAR")[0].astype(np.int64).reshape(-1)
    else:
        faces = np.arange(len(vertices))
    if len(faces) % 3 or (len(faces) and faces.max() >= len(vertices)):
        raise packing.damaged(file.path, "its indices do not name triangles")
    found = torch.from_numpy(faces.reshape(-1, 3).astype(np.int32))
    texture = _texture(file, primitive, pictures)
    if texture is not None and "TEXCOORD_0" in attributes:
        return Triangles(vertices, found, uvs=column("TEXCOORD_0", "VEC2"), texture=texture)
    if "COLOR_0" in attributes:
        colors = srgb_of_linear(column("COLOR_0", "VEC4", "VEC3")[:, :3])
        return Triangles(vertices, found, colors=colors)
    return Triangles(vertices, found)


def _texture(
    file: GltfFile, primitive: Mapping[str, Any], pictures: dict[Any, Tensor]
) -> Tensor | None:
    """[H,W,3] the base colour of a primitive, where it is a picture in the file; ``pictures`` keeps
    each by its number."""
    if "material" not in primitive:
        return None
    material = file.item("materials", primitive["material"])
    told = file.part(file.part(material, "pbrMetallicRoughness"), "baseColorTexture")
    if not told:
        return None
    source = file.item("textures", told.get("index")).get("source")
    image = file.item("images", source)
    if source in pictures:
        return pictures[source]
    data, _ = file.view(image.get("bufferView"))
    try:
        with Image.open(io.BytesIO(data.tobytes())) as picture:
            if max(picture.size) > MAX_TEXTURE_SIDE:
                raise packing.damaged(file.path, f"its picture is {max(picture.size)} pixels large")
            pixels = np.asarray(picture.convert("RGB"))
    except (OSError, ValueError) as error:
        raise packing.damaged(file.path, f"its picture cannot be read ({error})") from error
    pictures[source] = torch.from_numpy(pixels.astype(np.float32) / 255)
    return pictures[source]
