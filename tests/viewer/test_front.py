"""What the front answers, and what it refuses."""

from __future__ import annotations

import io
import json
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from websockets.exceptions import InvalidStatus

from splatkit.io import read_gaussians, write_gaussians
from splatkit.viewer import Library, Viewer, front
from splatkit.viewer.front import PAGES
from splatkit.viewer.refusals import Refusals
from tests.scenes import ball_over_floor, ring, write_photos, write_run
from tests.viewer.browsers import FakeBrowser


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(viewer: Viewer, path: str, method: str = "GET", body: bytes | None = None, **headers: str):
    connection = HTTPConnection("127.0.0.1", viewer.port, timeout=120)
    try:
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_run(folder / "kitchen")
    write_gaussians(ball_over_floor(60), folder / "files" / "balls.splat")
    (folder / "files" / "notes.ply").write_text("no scene")
    (folder.parent / "secret.ply").write_bytes(b"secret")
    write_photos(folder / "taken", 6)
    return folder


@pytest.fixture(scope="module")
def viewer(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    work = tmp_path_factory.mktemp("work")
    with Viewer(Library([folder], work / "uploads"), port=0, runs=work / "runs") as viewer:
        yield viewer


def ids(viewer: Viewer) -> dict[str, str]:
    return {scene["name"]: scene["id"] for scene in ask(viewer, "/api/scenes").json["scenes"]}


def test_runs_and_files_are_listed_with_their_thumbnails(viewer: Viewer, folder: Path) -> None:
    scenes = {scene["name"]: scene for scene in ask(viewer, "/api/scenes").json["scenes"]}
    assert {"kitchen", "balls.splat"} <= set(scenes)
    assert "notes.ply" not in scenes
    assert scenes["balls.splat"]["size"] == (folder / "files" / "balls.splat").stat().st_size
    for scene in scenes.values():
        answer = ask(viewer, f"/api/scenes/{scene['id']}/thumbnail.jpg")
        picture = Image.open(io.BytesIO(answer.body))
        assert picture.size == (480, 300)
        assert max(high for _, high in picture.getextrema()) > 100


def test_two_scenes_are_open_at_once(viewer: Viewer) -> None:
    named = ids(viewer)
    first = FakeBrowser(viewer.port, scene=named["kitchen"])
    second = FakeBrowser(viewer.port, scene=named["balls.splat"])
    for browser in (first, second):
        browser.look(ring())
        assert browser.picture().max() > 100
        browser.close()


def test_a_scene_goes_out_as_it_is_and_comes_in_again(viewer: Viewer, folder: Path) -> None:
    scene = ids(viewer)["kitchen"]
    answer = ask(viewer, f"/api/scenes/{scene}/file")
    assert answer.body == (folder / "kitchen" / "exports" / "scene.ply").read_bytes()
    assert "kitchen.ply" in answer.headers["Content-Disposition"]
    sent = ask(viewer, "/api/scenes?name=again.ply", "POST", answer.body)
    assert sent.status == 200, sent.body
    kept = viewer.library.entry(sent.json["id"]).path
    assert len(read_gaussians(kept)) == 120
    twice = ask(viewer, "/api/scenes?name=again.ply", "POST", answer.body)
    assert twice.json["id"] != sent.json["id"]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a.ply", b"ply\nformat binary_little_endian 1.0\nelement vertex 999999999\nend_header\n"),
        ("a.ply", b"MZ" + bytes(100)),
        ("a.exe", b"MZ" + bytes(100)),
        ("a.spz", os.urandom(1000)),
        ("../../a.sog", b"PK\x03\x04" + bytes(500)),
        ("", b"ply"),
    ],
)
def test_what_is_no_scene_is_refused_and_not_kept(viewer: Viewer, name: str, body: bytes) -> None:
    def kept() -> set[Path]:
        return set(viewer.library.uploads.rglob("*")) if viewer.library.uploads else set()

    ask(viewer, "/api/scenes?name=x.ply", "POST", b"first")
    before = kept()
    answer = ask(viewer, f"/api/scenes?name={name}", "POST", body)
    assert answer.status in (400, 404)
    assert answer.json["error"]
    assert "tmp" not in answer.json["error"]
    assert kept() == before


def test_photos_come_in_and_can_be_trained_on(viewer: Viewer, folder: Path) -> None:
    for name in ("000.png", "001.png", "002.png"):
        body = (folder / "taken" / name).read_bytes()
        answer = ask(viewer, f"/api/photos?folder=../mine&name=..%2F{name}", "POST", body)
        assert answer.status == 200
    assert ask(viewer, "/api/photos?folder=a&name=a.sh", "POST", b"x").status == 400
    assert viewer.library.uploads is not None
    mine = viewer.library.uploads / "photos" / "mine"
    assert len(list(mine.iterdir())) == 3
    told = {f["path"]: f["photos"] for f in ask(viewer, "/api/folders").json["folders"]}
    assert told == {str(folder / "taken"): 6, str(mine): 3}


@pytest.mark.parametrize(
    "path",
    [
        "/static/../library.html",
        "/static/..%2f..%2fapp.py",
        "/static/app.py",
        "/api/scenes/..%2f..%2fsecret.ply/file",
        "/api/scenes/secret/file",
        "/api/scenes/none/thumbnail.jpg",
        "/%2e%2e/%2e%2e/etc/passwd",
    ],
)
def test_nothing_else_can_be_reached(viewer: Viewer, path: str) -> None:
    answer = ask(viewer, path)
    assert answer.status == 404
    assert b"secret" not in answer.body.replace(b"secret: expected", b"").replace(
        b"secret.ply: expected", b""
    )


@pytest.mark.parametrize(
    "wish",
    [b"", b"[]", b"{}", b'{"folder": "/etc", "preset": "draft"}', b'{"folder": 3}', b"\xff"],
)
def test_no_training_starts_outside_the_folders(viewer: Viewer, wish: bytes) -> None:
    answer = ask(viewer, "/api/trainings", "POST", wish)
    assert answer.status == 400
    assert ask(viewer, "/api/trainings").json["trainings"] == []


def test_other_sites_and_other_names_are_refused(viewer: Viewer) -> None:
    assert ask(viewer, "/api/scenes", Host="evil.example").status == 403
    assert ask(viewer, "/api/scenes", Origin="http://evil.example").status == 403
    own = f"http://127.0.0.1:{viewer.port}"
    assert ask(viewer, "/api/scenes", Origin=own).status == 200
    with pytest.raises(InvalidStatus, match="403"):
        FakeBrowser(viewer.port, scene="any", origin="http://evil.example")


def test_the_token_is_asked_for(folder: Path) -> None:
    with Viewer(Library([folder]), port=0, token="a-word") as viewer:
        assert viewer.url.endswith("/?token=a-word")
        scene = ask(viewer, "/api/scenes")
        assert scene.status == 401
        assert ask(viewer, "/?token=wrong").status == 401
        assert ask(viewer, "/").status == 401
        with pytest.raises(InvalidStatus, match="401"):
            FakeBrowser(viewer.port, scene="any")
        opened = ask(viewer, "/?token=a-word")
        assert (opened.status, opened.headers["Location"]) == (302, "/")
        cookie = opened.headers["Set-Cookie"].split(";")[0]
        assert "HttpOnly" in opened.headers["Set-Cookie"]
        told = ask(viewer, "/api/scenes", Cookie=cookie).json
        kitchen = next(s["id"] for s in told["scenes"] if s["name"] == "kitchen")
        browser = FakeBrowser(viewer.port, scene=kitchen, additional_headers={"Cookie": cookie})
        browser.close()


def test_refusals_are_logged_but_do_not_fill_the_log(
    caplog: pytest.LogCaptureFixture, viewer: Viewer
) -> None:
    now = [0.0]
    refusals = Refusals(lambda: now[0])
    for second in range(100):
        now[0] = second / 5
        refusals.note(401, "/\x1b[2J" + "a" * 500, "10.0.0.9")
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert lines[1].endswith("and 49 more before")
    assert all("\x1b" not in line and len(line) < 200 for line in lines)
    caplog.clear()
    front._REFUSALS._told = -float("inf")
    ask(viewer, "/api/scenes", Host="evil.example")
    assert "403 for '/api/scenes' from 127.0.0.1" in caplog.text


def test_random_messages_do_not_stop_it(viewer: Viewer) -> None:
    scene = ids(viewer)["kitchen"]
    chance = random.Random(0)
    for _ in range(20):
        browser = FakeBrowser(viewer.port, scene=scene)
        browser.throw(chance.randbytes(chance.randrange(1, 200)) for _ in range(20))
        browser.close()
    browser = FakeBrowser(viewer.port, scene=scene)
    browser.look(ring())
    assert browser.picture().max() > 100
    browser.close()


def test_a_link_opens_the_same_view(viewer: Viewer) -> None:
    scene = ids(viewer)["kitchen"]
    query = "position=1,-1,-3&look_at=0,0,0&fov=0.9&mode=normal"
    browser = FakeBrowser(viewer.port, scene=scene, query=query)
    assert browser.told["SetCameraPositionMessage"]["position"] == pytest.approx([1, -1, -3])
    assert browser.controls["Show"]["value"] == "Normals"
    end = time.monotonic() + 120
    while not ask(viewer, f"/api/tabs/{browser.tab}").json["drawn"]:
        assert time.monotonic() < end, "no picture"
    assert ask(viewer, "/api/tabs/another").json == {"drawn": False}
    link = ask(viewer, f"/api/tabs/{browser.tab}/link").json
    assert link == {
        "position": "1.0000,-1.0000,-3.0000",
        "look_at": "0.0000,0.0000,0.0000",
        "fov": "0.9000",
        "mode": "normal",
    }
    picture = Image.open(io.BytesIO(ask(viewer, f"/api/tabs/{browser.tab}/picture.png").body))
    assert picture.size[0] == 96
    browser.close()
    for broken in ("position=a&look_at=b&fov=c", "position=nan,0,0&look_at=0,0,0&fov=1", "mode=x"):
        FakeBrowser(viewer.port, scene=scene, query=broken).close()


def test_photos_are_compared_with_their_renders(viewer: Viewer) -> None:
    scene = ids(viewer)["kitchen"]
    photos = ask(viewer, f"/api/scenes/{scene}/photos").json["photos"]
    assert [photo["held_out"] for photo in photos] == [True] + [False] * 7
    strip = ask(viewer, f"/api/scenes/{scene}/photos/0")
    assert 5 < float(strip.headers["X-Psnr"]) < 20
    panels = Image.open(io.BytesIO(strip.body))
    assert panels.width == 3 * 48
    assert ask(viewer, f"/api/scenes/{scene}/photos/8").status == 404


def test_pages_need_no_other_server(viewer: Viewer) -> None:
    for path in sorted(PAGES.iterdir()):
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text
        assert "https://" not in text
    for path in ("/", "/s/any", "/s/any/photos", "/viser", "/static/style.css"):
        assert ask(viewer, path).status == 200
