"""A client that speaks viser's protocol, so that tests need no browser."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import msgspec.msgpack
import numpy as np
import torch
import viser
import zstandard
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from splatkit.core import Cameras
from splatkit.core.transforms import quat_from_rotation

FOV = 0.8


class FakeBrowser:
    """Connects to a viewer, sends views, and keeps the pictures and controls that come."""

    def __init__(
        self,
        port: int,
        width: int = 96,
        height: int = 64,
        scene: str = "scene",
        query: str = "",
        **options: Any,
    ) -> None:
        self.width, self.height = width, height
        self.controls: dict[str, dict[str, Any]] = {}
        self.told: dict[str, dict[str, Any]] = {}
        """The last message of each kind."""
        self.tab = uuid4().hex
        self._socket = connect(
            f"ws://127.0.0.1:{port}/ws/{scene}/{self.tab}?{query}",
            subprotocols=[f"viser-v{viser.__version__}"],  # type: ignore[list-item]
            max_size=None,
            open_timeout=120,
            ping_interval=None,
            **options,
        )
        # viser knows a browser once it has told its camera; the server then sets the first view.
        identity = torch.eye(4, dtype=torch.float64)[None]
        self.look(Cameras(identity, torch.eye(3, dtype=torch.float64)[None], width, height))
        self.picture()

    def close(self) -> None:
        self._socket.close()

    def look(self, cameras: Cameras) -> None:
        """Look as the first of these cameras does."""
        viewmat = cameras.viewmats[0].double()
        rotation = viewmat[:3, :3].T
        position = -rotation @ viewmat[:3, 3]
        self.send(
            type="ViewerCameraMessage",
            wxyz=quat_from_rotation(rotation).tolist(),
            position=position.tolist(),
            fov=FOV,
            near=0.01,
            far=1000.0,
            image_height=self.height,
            image_width=self.width,
            look_at=(position + rotation[:, 2]).tolist(),
            up_direction=[0.0, -1.0, 0.0],
        )

    def set(self, label: str, value: Any) -> None:
        """Change a control of the panel."""
        uuid = self.controls[label]["uuid"]
        self.send(type="GuiUpdateMessage", uuid=uuid, updates={"value": value})

    def press(self, label: str) -> None:
        """Click a button of the panel."""
        self.set(label, True)

    def send(self, **message: Any) -> None:
        self._socket.send(msgspec.msgpack.encode(message))

    def throw(self, messages: Iterable[bytes]) -> None:
        """Send what is no message, until the other side has had enough."""
        with suppress(ConnectionClosed):
            for message in messages:
                self._socket.send(message)

    def messages(self, seconds: float) -> list[dict[str, Any]]:
        """All messages that arrive within a time."""
        end = time.monotonic() + seconds
        found: list[dict[str, Any]] = []
        while (left := end - time.monotonic()) > 0:
            try:
                raw = self._socket.recv(timeout=left)
            except TimeoutError:
                break
            found += self._decode(bytes(raw))
        return found

    def picture(self, seconds: float = 60.0, size: tuple[int, int] | None = None) -> np.ndarray:
        """The next picture [H,W,3], of that width and height if given."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                raw = self._socket.recv(timeout=max(0.01, end - time.monotonic()))
            except TimeoutError:
                break
            for message in self._decode(bytes(raw)):
                if message["type"] == "BackgroundImageMessage" and message["rgb_data"]:
                    image = Image.open(io.BytesIO(message["rgb_data"])).convert("RGB")
                    if size is None or image.size == size:
                        return np.asarray(image)
        raise TimeoutError(f"no picture within {seconds} s")

    def seen(self) -> np.ndarray:
        """The picture [H,W,3] that came last, whoever read its message."""
        data = self.told["BackgroundImageMessage"]["rgb_data"]
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    def next_picture(self, seconds: float) -> tuple[tuple[int, int], int]:
        """Width and height of the next picture, and the bytes that came with it."""
        end = time.monotonic() + seconds
        size = 0
        while time.monotonic() < end:
            raw = bytes(self._socket.recv(timeout=max(0.01, end - time.monotonic())))
            size += len(raw)
            for message in self._decode(raw):
                if message["type"] == "BackgroundImageMessage" and message["rgb_data"]:
                    return Image.open(io.BytesIO(message["rgb_data"])).size, size
        raise TimeoutError(f"no picture within {seconds} s")

    def _decode(self, raw: bytes) -> list[dict[str, Any]]:
        """Size, compressed size, compressed msgpack, then aligned binary buffers."""
        compressed = int.from_bytes(raw[8:16], "little")
        document = msgspec.msgpack.decode(
            zstandard.ZstdDecompressor().decompress(raw[16 : 16 + compressed])
        )
        offset = 16 + compressed
        buffers = []
        for length in document["binaryBufferLengths"]:
            offset += -offset % 8
            buffers.append(raw[offset : offset + length])
            offset += length
        messages = [_with_buffers(message, buffers) for message in document["messages"]]
        for message in messages:
            self.told[message["type"]] = message
            label = (message.get("props") or {}).get("label")
            if label and message["type"].startswith("Gui"):
                self.controls[label] = message
        return messages


def _with_buffers(value: Any, buffers: list[bytes]) -> Any:
    if isinstance(value, dict):
        if "__binary_index" in value:
            return buffers[value["__binary_index"]]
        return {key: _with_buffers(item, buffers) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_buffers(item, buffers) for item in value]
    return value
