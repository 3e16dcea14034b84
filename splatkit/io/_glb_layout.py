"""The parts of a binary glTF file while it is written: bytes, views of them, accessors, chunks."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatkit.io._gltf_file import BIN_CHUNK, CHUNK, HEADER, JSON_CHUNK, MAGIC

FLOAT, USHORT, UINT = 5126, 5123, 5125
ARRAY, ELEMENTS = 34962, 34963


class Layout:
    """Buffer views and accessors over bytes that grow."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, data: bytes, target: int | None = None) -> int:
        """The index of a new buffer view with these bytes."""
        self.data += b"\0" * (-len(self.data) % 4)
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data)}
        self.views.append(view if target is None else view | {"target": target})
        self.data += data
        return len(self.views) - 1

    def accessor(
        self, rows: NDArray[Any], kind: str, component: int, target: int, **facts: Any
    ) -> int:
        """The index of a new accessor of rows [count, width]."""
        view = self.view(np.ascontiguousarray(rows).tobytes(), target)
        told = {"bufferView": view, "componentType": component, "count": len(rows), "type": kind}
        self.accessors.append(told | facts)
        return len(self.accessors) - 1

    def file(self, document: dict[str, Any]) -> bytes:
        """A whole ``.glb``: the document, completed by what was laid out, and the bytes."""
        document = document | {
            "accessors": self.accessors,
            "bufferViews": self.views,
            "buffers": [{"byteLength": len(self.data)}],
        }
        text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        data = bytes(self.data) + b"\0" * (-len(self.data) % 4)
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
