"""Hostile use: what is sent is refused, and the viewer still serves everybody else."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec.msgpack
import pytest
from viser import _messages
from websockets.exceptions import ConnectionClosed, InvalidStatus

from splatkit.viewer import Library, Viewer
from splatkit.viewer import uploads as uploads_module
from tests.scenes import ring, write_run
from tests.viewer.browsers import FakeBrowser
from tests.viewer.test_front import ask
from tests.viewer.test_viewer import wait_for_sessions

TYPES = sorted(
    name
    for name, kind in vars(_messages).items()
    if isinstance(kind, type) and issubclass(kind, _messages.Message) and name[0] != "_"
)
VALUES = (
    None, True, 0, -1, 2**63, -(2**40), 1e308, float("nan"), float("inf"), "", "../../etc/passwd",
    "x" * 5000, b"\xff" * 100, [], [[]], [1, 2, 3], {}, {"a": {"b": []}},
)  # fmt: skip
FIELDS = (
    "uuid", "updates", "name", "wxyz", "position", "fov", "near", "far", "image_height",
    "image_width", "look_at", "up_direction", "event_type", "screen_pos", "ray_origin",
    "ray_direction", "modifier", "source_component_uuid", "transfer_uuid", "filename",
    "mime_type", "size_bytes", "part_count", "part_index", "content", "instance_index",
    "client_id", "payload", "value",
)  # fmt: skip


@pytest.fixture
def viewer(tmp_path: Path) -> Iterator[Viewer]:
    write_run(tmp_path / "balls")
    library = Library([tmp_path / "balls"], tmp_path / "uploads")
    with Viewer(library, port=0, runs=tmp_path / "runs") as viewer:
        yield viewer


def one_message(chance: random.Random, uuids: list[str]) -> bytes:
    """A message that is nearly one of viser's: right in some ways and wrong in others."""
    kind = chance.random()
    if kind < 0.1:
        return chance.randbytes(chance.randrange(1, 300))
    if kind < 0.15:
        return msgspec.msgpack.encode(chance.choice([v for v in VALUES if v is not None]))
    message: dict[str, Any] = {"type": chance.choice(TYPES) if kind < 0.9 else "NoSuchMessage"}
    for field in chance.sample(FIELDS, chance.randrange(len(FIELDS))):
        message[field] = chance.choice(VALUES)
    if uuids and chance.random() < 0.5:
        message["type"] = "GuiUpdateMessage"
        message["uuid"] = chance.choice(uuids)
        message["updates"] = {"value": chance.choice(VALUES)}
    if chance.random() < 0.2:
        message["type"] = "ViewerCameraMessage"
    return msgspec.msgpack.encode(message)


def still_serves(viewer: Viewer) -> None:
    scene = viewer.library.entries()[0].id
    browser = FakeBrowser(viewer.port, scene=scene)
    browser.look(ring())
    assert browser.picture(120, (96, 64)).max() > 100
    browser.close()
    assert ask(viewer, "/api/scenes").status == 200


def throw(viewer: Viewer, count: int, seed: int) -> None:
    chance = random.Random(seed)
    scene = viewer.library.entries()[0].id
    left = count
    while left > 0:
        browser = FakeBrowser(viewer.port, scene=scene)
        uuids = [control["uuid"] for control in browser.controls.values()]
        for _ in range(chance.randrange(20, 200)):
            left -= 1
            try:
                browser.throw([one_message(chance, uuids)])
                browser._socket.ping()
            except ConnectionClosed:
                break
        browser.close()


@pytest.mark.filterwarnings("ignore")
def test_messages_that_are_nearly_right(viewer: Viewer) -> None:
    throw(viewer, 600, 1)
    still_serves(viewer)
    assert wait_for_sessions(0), "a session was left behind"


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_ten_thousand_random_messages(viewer: Viewer) -> None:
    witness = FakeBrowser(viewer.port, scene=viewer.library.entries()[0].id)
    throwing = [threading.Thread(target=throw, args=(viewer, 2500, seed)) for seed in range(4)]
    for thread in throwing:
        thread.start()
    cameras, seen = ring(40), 0
    while any(thread.is_alive() for thread in throwing):
        witness.look(cameras[seen % 40 : seen % 40 + 1])
        witness.next_picture(120)
        seen += 1
    assert seen > 5, "nobody else was served meanwhile"
    witness.close()
    still_serves(viewer)
    assert wait_for_sessions(0)


def test_wrong_tokens(tmp_path: Path) -> None:
    write_run(tmp_path / "balls")
    with Viewer(Library([tmp_path]), port=0, token="right") as viewer:
        for wrong in ("", "Right", "right ", "r" * 1000, "%00", "ri", "rightright", "ü"):
            quoted = wrong.encode().hex()
            for path in (f"/?token={quoted}", "/api/scenes", "/ws/x/y", "/viser"):
                answer = ask(viewer, path, Cookie=f"splatkit_token={quoted}")
                assert answer.status == 401, (path, wrong)
        with pytest.raises(InvalidStatus, match="401"):
            FakeBrowser(viewer.port, scene="x", query="token=wrong")
        assert ask(viewer, "/?token=right").status == 302


def test_giant_uploads_end_at_their_limit(viewer: Viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert viewer.library.uploads is not None
    told = ask_raw(viewer, "/api/scenes?name=a.ply", 1 << 40)
    assert b"400" in told.split(b"\r\n")[0]
    assert b"expected at most" in told
    monkeypatch.setattr(uploads_module, "MOST_SCENE_BYTES", 1 << 16)
    body = b"ply\nformat binary_little_endian 1.0\n" + bytes(1 << 18)
    assert ask(viewer, "/api/scenes?name=a.ply", "POST", body).status == 400
    chunked = ask_chunked(viewer, "/api/scenes?name=a.ply", 40, 8192)
    assert b"400" in chunked.split(b"\r\n")[0]
    assert not [path for path in viewer.library.uploads.rglob("*") if path.is_file()]
    assert ask(viewer, "/api/trainings", "POST", bytes(1 << 20)).status == 413
    still_serves(viewer)


def ask_raw(viewer: Viewer, path: str, length: int) -> bytes:
    """What is answered to a request that says it is so long and sends nothing."""
    with socket.create_connection(("127.0.0.1", viewer.port), timeout=60) as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost:{viewer.port}\r\n"
            f"Content-Length: {length}\r\n\r\n".encode()
        )
        return connection.recv(65536)


def ask_chunked(viewer: Viewer, path: str, count: int, size: int) -> bytes:
    """What is answered to a body that does not say how long it is."""
    with socket.create_connection(("127.0.0.1", viewer.port), timeout=60) as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost:{viewer.port}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        try:
            for _ in range(count):
                connection.sendall(f"{size:x}\r\n".encode() + bytes(size) + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        return connection.recv(65536)


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /../../etc/passwd HTTP/1.1",
        "GET //etc/passwd HTTP/1.1",
        "GET /static/%2e%2e/%2e%2e/app.py HTTP/1.1",
        "GET /api/scenes/%00/file HTTP/1.1",
        "GET /api/scenes/..%5c..%5csecret/file HTTP/1.1",
        "GET /s/" + "a" * 9000 + " HTTP/1.1",
        "BREW /pot HTCPCP/1.0",
        "GET http://example.org/ HTTP/1.1",
    ],
)
def test_strange_requests(viewer: Viewer, request_line: str) -> None:
    with socket.create_connection(("127.0.0.1", viewer.port), timeout=60) as connection:
        host = f"Host: localhost:{viewer.port}\r\nConnection: close\r\n\r\n"
        connection.sendall(f"{request_line}\r\n{host}".encode())
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
    assert b"root:" not in answer
    assert b"def " not in answer
    assert ask(viewer, "/api/scenes").status == 200
