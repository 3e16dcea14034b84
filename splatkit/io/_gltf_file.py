"""glTF 2.0 as a container: the JSON, the bytes it points to, its numbers and its nodes.

A ``.glb`` is a 12-byte header ("glTF", version 2, whole length) and chunks of ``[length, type,
data]``: the JSON, then the bytes of buffer 0. A ``.gltf`` is the JSON alone; its buffers are data
URIs or files in its own folder or below (nothing else is ever opened). Numbers are little-endian.
"""

from __future__ import annotations

import base64
import binascii
import json
import mmap
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splatkit.core import SplatkitError
from splatkit.io import _packing as packing
from splatkit.io._packing import Bytes

MAGIC = b"glTF"
HEADER = struct.Struct("<4sII")
CHUNK = struct.Struct("<II")
JSON_CHUNK, BIN_CHUNK = 0x4E4F534A, 0x004E4942
COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}

_MAX_JSON_BYTES = 1 << 26
_DATA_URI = re.compile(r"data:[^,;]*(;[^,;]*)*,")
_EMPTY = np.zeros(0, np.uint8)


class GltfFile:
    """An opened file; everything in it is judged as it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._maps: list[mmap.mmap] = []
        whole = self._mapped(path)
        self.size = len(whole)
        """Bytes of the file and of those that it has read so far."""
        self._binary = _EMPTY
        text = whole if bytes(whole[:4]) != MAGIC else self._open_chunks(whole)
        if len(text) > _MAX_JSON_BYTES:
            self._check_embedded(text)
        try:
            values = json.loads(bytes(text).decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise packing.damaged(path, f"its JSON cannot be read ({error})") from error
        self.values: Mapping[str, Any] = values if isinstance(values, dict) else {}
        version = str(self.part(self.values, "asset").get("version"))
        if not version.startswith("2."):
            raise SplatkitError(
                f"{path}: expected a glTF file of version 2, got {version[:20]!r}; export it as "
                "glTF 2.0"
            )
        self._buffers: dict[int, Bytes] = {}

    def let_go(self) -> None:
        """Give back the memory of the pages read so far; the files stay open."""
        for data in self._maps:
            # Windows has no such call, and gives back what others need by itself.
            if hasattr(data, "madvise"):
                data.madvise(mmap.MADV_DONTNEED)

    def part(self, owner: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        """An object of the JSON by name, or an empty one."""
        return self._typed(owner, name, dict, {})

    def listed(self, owner: Mapping[str, Any], name: str) -> list[Any]:
        """A list of the JSON by name, or an empty one."""
        return self._typed(owner, name, list, [])

    def item(self, name: str, index: Any) -> Mapping[str, Any]:
        """One object of a list at the top of the JSON."""
        items = self.listed(self.values, name)
        if type(index) is not int or not 0 <= index < len(items):
            raise packing.damaged(self.path, f"{name}[{str(index)[:20]}] does not exist")
        value = items[index]
        if not isinstance(value, dict):
            raise packing.damaged(self.path, f"{name}[{index}] is not an object")
        return value

    def whole(self, owner: Mapping[str, Any], name: str, default: int = 0) -> int:
        """A number of bytes or things."""
        value = owner.get(name, default)
        if type(value) is not int or not 0 <= value < 1 << 53:
            raise packing.damaged(self.path, f"{name} is {str(value)[:20]}")
        return value

    def view(self, index: Any) -> tuple[Bytes, int]:
        """The bytes of a buffer view and its stride (0: packed)."""
        view = self.item("bufferViews", index)
        for name in self.part(view, "extensions"):
            raise SplatkitError(
                f"{self.path}: its data are packed by {str(name)[:60]}, which is not read; save "
                "it again without compression"
            )
        buffer = self._buffer(view.get("buffer"))
        start, length = self.whole(view, "byteOffset"), self.whole(view, "byteLength")
        if start + length > len(buffer):
            raise packing.damaged(
                self.path,
                f"expected {start + length} bytes in a buffer, got {len(buffer)}",
            )
        return buffer[start : start + length], self.whole(view, "byteStride")

    def numbers(self, index: Any, kind: str) -> tuple[NDArray[Any], float]:
        """The numbers of an accessor, without copying them.

        Args:
            index: of the accessor.
            kind: "SCALAR", "VEC2", "VEC3" or "VEC4", which it must be.

        Returns:
            [count, width] as stored, and what to divide by (1 unless normalized).
        """
        accessor = self.item("accessors", index)
        count, got = self.whole(accessor, "count"), accessor.get("type")
        component = COMPONENTS.get(self.whole(accessor, "componentType"))
        if got != kind or component is None:
            raise packing.damaged(
                self.path, f"accessors[{index}]: expected {kind}, got {str(got)[:20]}"
            )
        if "sparse" in accessor or "bufferView" not in accessor:
            raise SplatkitError(
                f"{self.path}: accessors[{index}] is sparse or has no data of its own, which is "
                "not read; save it again without compression"
            )
        data, stride = self.view(accessor["bufferView"])
        dtype = np.dtype(component)
        width = WIDTHS[kind]
        row = width * dtype.itemsize
        start, stride = self.whole(accessor, "byteOffset"), stride or row
        if stride < row or (count and start + stride * (count - 1) + row > len(data)):
            raise packing.damaged(
                self.path, f"accessors[{index}]: {count} numbers do not fit in {len(data)} bytes"
            )
        normal = accessor.get("normalized") is True and dtype.kind in "iu"
        array = np.ndarray(
            (count, width), dtype, data.data, start if count else 0, (stride, dtype.itemsize)
        )
        return array, float(np.iinfo(dtype).max) if normal else 1.0

    def meshes(self) -> Iterator[tuple[Mapping[str, Any], Tensor]]:
        """Each mesh that the scene shows, with its global [4,4] float64 matrix.

        The default scene is taken, or the first; without any, all nodes that no other contains.
        """
        nodes = self.listed(self.values, "nodes")
        if self.listed(self.values, "scenes"):
            scene = self.item("scenes", self.values.get("scene", 0))
            roots = self.listed(scene, "nodes")
        else:
            inner = {
                str(child)
                for node in nodes
                if isinstance(node, dict)
                for child in self.listed(node, "children")
            }
            roots = [index for index in range(len(nodes)) if str(index) not in inner]
        waiting = [(root, torch.eye(4, dtype=torch.float64)) for root in reversed(roots)]
        seen: set[int] = set()
        while waiting:
            index, parent = waiting.pop()
            node = self.item("nodes", index)
            if index in seen:
                raise packing.damaged(self.path, f"nodes[{index}] is in the scene twice")
            seen.add(index)
            matrix = parent @ self._matrix(node)
            if "mesh" in node:
                yield self.item("meshes", node["mesh"]), matrix
            waiting += [(child, matrix) for child in reversed(self.listed(node, "children"))]

    def _mapped(self, path: Path) -> Bytes:
        """The bytes of a file as the system pages them in."""
        try:
            with path.open("rb") as stream:
                if path.stat().st_size == 0:
                    return _EMPTY
                self._maps.append(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SplatkitError(f"{path}: cannot be read ({reason})") from error
        return np.frombuffer(self._maps[-1], np.uint8)

    def _matrix(self, node: Mapping[str, Any]) -> Tensor:
        if "matrix" in node:
            return torch.from_numpy(self._floats(node, "matrix", 16).reshape(4, 4).T.copy())
        shift = self._floats(node, "translation", 3)
        x, y, z, w = self._floats(node, "rotation", 4, (0, 0, 0, 1))
        scale = self._floats(node, "scale", 3, (1, 1, 1))
        turn = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = turn * scale, shift
        return torch.from_numpy(matrix)

    def _floats(
        self, owner: Mapping[str, Any], name: str, number: int, default: tuple[float, ...] = ()
    ) -> NDArray[np.float64]:
        values = self.listed(owner, name) or list(default) or [0.0] * number
        if len(values) != number or any(type(value) not in (int, float) for value in values):
            raise packing.damaged(self.path, f"{name} is not {number} numbers")
        try:
            return np.array(values, np.float64)
        except OverflowError as error:
            raise packing.damaged(self.path, f"{name} is not {number} numbers") from error

    def _typed(self, owner: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
        value = owner.get(name, default)
        if not isinstance(value, kind):
            raise packing.damaged(self.path, f"{name} is not {kind.__name__}")
        return value

    def _open_chunks(self, whole: Bytes) -> Bytes:
        """The JSON of a binary file; keeps the bytes that follow it."""
        if len(whole) < HEADER.size + CHUNK.size:
            raise packing.damaged(self.path, f"expected a header of 20 bytes, got {len(whole)}")
        _, version, length = HEADER.unpack(bytes(whole[: HEADER.size]))
        if version != 2:
            raise SplatkitError(f"{self.path}: expected version 2 of GLB, got {version}")
        if length > len(whole):
            raise packing.damaged(self.path, f"expected {length} bytes, got {len(whole)}")
        chunks: list[Bytes] = []
        place = HEADER.size
        for wanted in (JSON_CHUNK, BIN_CHUNK):
            if place + CHUNK.size > length:
                break
            size, kind = CHUNK.unpack(bytes(whole[place : place + CHUNK.size]))
            place += CHUNK.size
            if kind != wanted or place + size > length:
                break
            chunks.append(whole[place : place + size])
            place += size
        if not chunks:
            raise packing.damaged(self.path, "its first chunk is not JSON")
        self._binary = chunks[1] if len(chunks) > 1 else _EMPTY
        return chunks[0]

    def _check_embedded(self, text: Bytes) -> None:
        """Refuse a JSON that is large by itself rather than by the data it carries."""
        if b"data:" not in bytes(text[:_MAX_JSON_BYTES]) or len(text) >= 1 << 31:
            raise packing.damaged(self.path, f"its JSON is {len(text)} bytes large")

    def _buffer(self, index: Any) -> Bytes:
        if index not in self._buffers or type(index) is not int:
            buffer = self.item("buffers", index)
            uri = buffer.get("uri")
            data = self._binary if uri is None and index == 0 else self._opened(uri)
            length = self.whole(buffer, "byteLength")
            if length > len(data):
                raise packing.damaged(
                    self.path, f"buffers[{index}]: expected {length} bytes, got {len(data)}"
                )
            self._buffers[index] = data[:length]
        return self._buffers[index]

    def _opened(self, uri: Any) -> Bytes:
        if not isinstance(uri, str):
            raise packing.damaged(self.path, "a buffer has neither data nor a URI")
        head = _DATA_URI.match(uri[:256])
        if head is not None:
            try:
                if ";base64" in head.group():
                    data = base64.b64decode(uri[head.end() :], validate=True)
                else:
                    data = unquote_to_bytes(uri[head.end() :])
            except (binascii.Error, ValueError) as error:
                raise packing.damaged(self.path, f"a data URI cannot be read ({error})") from error
            return np.frombuffer(data, np.uint8)
        data = self._mapped(_inside(self.path, uri))
        self.size += len(data)
        return data


def _inside(path: Path, uri: str) -> Path:
    """The file beside or below ``path`` that a relative URI names.

    Raises:
        SplatkitError: it names a place elsewhere.
    """
    folder = path.resolve().parent
    try:
        name = unquote_to_bytes(uri).decode()
        parts = PurePosixPath(name).parts
        plain = name and len(name) < 1024 and not set(name) & set("\\:\0?#")
        target = folder.joinpath(*parts).resolve()
        good = plain and ".." not in parts and target.is_relative_to(folder)
    except (UnicodeDecodeError, OSError, ValueError):
        good, target = False, folder
    if not good or target == path.resolve():
        raise SplatkitError(
            f"{path}: expected data in a file beside it, got the URI {uri[:80]!r}; only files in "
            "its own folder are opened"
        )
    return target
