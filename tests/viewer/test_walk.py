"""Camera paths that are made in the page, and their videos."""

from __future__ import annotations

import io
import json
import math
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from splatkit.core import Gaussians, SplatkitError, UsageError
from splatkit.enhance import UpscaleOptions
from splatkit.enhance.options import Grade
from splatkit.io.camera_path import CameraPath, dumps, read_camera_path
from splatkit.render import render
from splatkit.render.pictures import picture
from splatkit.viewer import Library, Viewer
from splatkit.viewer.desk import MARKED
from splatkit.viewer.enhancing import Enhancing
from splatkit.viewer.look import Look, Subject, draw
from splatkit.viewer.walk import Filming, Walk, walk_of
from tests.scenes import ball_over_floor, ring, write_run
from tests.viewer.browsers import FakeBrowser
from tests.viewer.test_editing import tab_of, until
from tests.viewer.test_front import ask


def some(count: int = 3) -> Walk:
    walk = Walk(seconds=1.0, fps=6.0)
    for index in range(count):
        walk = walk.with_keyframe(ring()[index : index + 1])
    return walk


def test_keyframes_come_and_go() -> None:
    walk = some()
    assert walk.length == 2.0
    assert len(walk.cameras(32, 18)) == 13
    assert replace(walk, loop=True).length == 3.0
    assert len(replace(walk, loop=True).cameras(32, 18)) == 18
    other = walk.with_keyframe(ring()[5:6].resized(96, 64), index=1)
    torch.testing.assert_close(other.cameras(48, 32).viewmats[6], ring().viewmats[5])
    torch.testing.assert_close(other.cameras(48, 32).Ks[6], ring().Ks[5])
    fewer = walk.without_keyframe(0).without_keyframe(0)
    assert fewer.length == 0
    with pytest.raises(UsageError, match="two keyframes or more"):
        fewer.cameras(32, 18)
    assert fewer.without_keyframe(0).keyframes is None
    with pytest.raises(UsageError, match="at most 600 seconds"):
        replace(walk, seconds=1000.0).cameras(32, 18)


def test_a_file_brings_the_walk_back(tmp_path: Path) -> None:
    walk = replace(some(), loop=True)
    (tmp_path / "a.json").write_text(dumps(walk.path(64, 36)))
    again = walk_of(read_camera_path(tmp_path / "a.json"))
    assert (again.loop, again.fps) == (True, 6)
    assert again.seconds == pytest.approx(1.0)
    torch.testing.assert_close(again.cameras(32, 18).viewmats, walk.cameras(32, 18).viewmats)
    plain = CameraPath(walk.cameras(64, 36), 6.0)
    assert len(walk_of(plain).keyframes or []) == 18


def frames_of(archive: bytes) -> list[np.ndarray]:
    """The pictures [H,W,3] of a ZIP."""
    with zipfile.ZipFile(io.BytesIO(archive)) as pages:
        return [np.asarray(Image.open(pages.open(name))) for name in sorted(pages.namelist())]


@pytest.mark.parametrize("pictures", [False, True])
def test_a_video_shows_the_walk(pictures: bool) -> None:
    scene, cameras = ball_over_floor(), some().cameras(64, 36)
    made: list[bytes | SplatkitError] = []
    done: list[int] = []
    ended = threading.Event()

    def end(what: bytes | SplatkitError) -> None:
        made.append(what)
        ended.set()

    Filming(scene, cameras, Look(), 6.0, "auto", pictures, lambda i, _: done.append(i), end).start()
    assert ended.wait(120)
    assert isinstance(made[0], bytes), made[0]
    assert done == list(range(14))
    if pictures:
        frames = frames_of(made[0])
    else:
        with av.open(io.BytesIO(made[0])) as container:
            frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    assert len(frames) == 13
    truth = picture(render(scene, cameras[6:7].to(torch.float32)), "rgb")[0].numpy()
    error = np.mean((frames[6].astype(float) - truth) ** 2)
    assert 10 * math.log10(255**2 / max(error, 1e-9)) > (60 if pictures else 25)


def film(look: Look, gaussians: Gaussians | None = None) -> np.ndarray:
    """The first picture [H,W,3] of a film with that look."""
    made: list[Any] = []
    cameras = some(2).cameras(64, 36)
    scene = gaussians or ball_over_floor()
    Filming(scene, cameras, look, 6.0, "auto", True, lambda *_: None, made.append)._run()
    assert isinstance(made[0], bytes), made[0]
    return frames_of(made[0])[0].astype(int)


def colorfulness(frame: np.ndarray) -> np.ndarray:
    """[H,W] largest difference of two channels."""
    return frame.max(-1) - frame.min(-1)


def test_a_film_has_the_colours_and_the_upscaling_of_the_view() -> None:
    grey = UpscaleOptions(grade=Grade(saturation=0.0))
    plain = film(Look())
    assert colorfulness(plain).max() > 100
    assert colorfulness(film(Look(enhancing=Enhancing(grey)))).max() <= 1
    coarse = film(Look(enhancing=Enhancing(UpscaleOptions("bilinear", 3.0))))
    assert np.abs(coarse - plain).max() > 2
    assert np.abs(coarse - plain).mean() < 20
    scene = ball_over_floor()
    # The left ball is the first third.
    marked = (torch.arange(len(scene)) < len(scene) // 3).float()
    part = film(
        Look(enhancing=Enhancing(replace(grey, where="inside"))),
        replace(scene, extra=scene.extra | {MARKED: marked}),
    )
    assert (colorfulness(part) < colorfulness(plain) - 50).any()
    assert colorfulness(part).max() > 100


@pytest.mark.parametrize("look", [Look(size=0.2), Look(near=3.9), Look(far=3.9)])
def test_a_film_has_the_sizes_and_cuts_of_the_view(look: Look) -> None:
    camera = some(2).cameras(64, 36)[:1].to(torch.float32)
    wanted = draw(Subject(ball_over_floor()), camera, look).astype(int)
    shown = film(look)
    assert np.abs(shown - wanted).max() <= 1
    assert np.abs(shown - film(Look())).max() > 50


def test_a_cancelled_video_leaves_nothing() -> None:
    made: list[object] = []
    film = Filming(
        ball_over_floor(),
        some().cameras(64, 36),
        Look(),
        6.0,
        "auto",
        False,
        lambda *_: film.cancel(),
        made.append,
    )
    film._run()
    assert made == []


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder / "balls")
    with Viewer(Library([folder]), port=0) as viewer:
        yield viewer


def test_a_path_is_made_saved_and_opened_in_the_page(viewer: Viewer, tmp_path: Path) -> None:
    scene = viewer.library.entries()[0].id
    browser = FakeBrowser(viewer.port, scene=scene)
    walking = tab_of(viewer, browser).walking
    for index in range(3):
        browser.look(ring()[index : index + 1])
        browser.messages(0.3)
        browser.press("Add this view")
        until(
            browser,
            lambda n=index + 1: (
                walking.walk.keyframes is not None and len(walking.walk.keyframes) == n
            ),
        )
    keys = walking.walk.keyframes
    assert keys is not None
    torch.testing.assert_close(keys.viewmats, ring().viewmats[:3], atol=1e-5, rtol=0)
    browser.told.pop("FileTransferPart", None)
    browser.press("Save the path")
    until(browser, lambda: "FileTransferPart" in browser.told)
    text = bytes(browser.told["FileTransferPart"]["content"])
    (tmp_path / "a.json").write_bytes(text)
    assert len(read_camera_path(tmp_path / "a.json").keyframes or []) == 3
    browser.set("Keyframe", 2)
    browser.set("This keyframe", "Remove")
    until(browser, lambda: len(walking.walk.keyframes or []) == 2)
    answer = ask(viewer, f"/api/tabs/{browser.tab}/path", "POST", text)
    assert (answer.status, answer.json["views"]) == (200, 121)
    assert len(walking.walk.keyframes or []) == 3
    for body, status in ((b"{}", 400), (json.dumps([1]).encode(), 400), (b"\xff", 400)):
        assert ask(viewer, f"/api/tabs/{browser.tab}/path", "POST", body).status == status
    assert ask(viewer, "/api/tabs/none/path", "POST", text).status == 404
    browser.close()


def test_a_video_comes_to_the_page(viewer: Viewer) -> None:
    browser = FakeBrowser(viewer.port, scene=viewer.library.entries()[0].id)
    tab = tab_of(viewer, browser)
    tab.walking.walk = some(2)
    browser.set("Frame size", "640 x 360")
    browser.messages(0.3)
    browser.press("Make it")
    until(browser, lambda: "FileTransferPart" in browser.told)
    with av.open(io.BytesIO(browser.told["FileTransferPart"]["content"])) as container:
        assert len(list(container.decode(video=0))) == 7
    browser.told.pop("FileTransferPart")
    browser.set("Saturation", 0)
    browser.set("As", "PNG pictures (ZIP)")
    until(browser, lambda: tab.session.look.enhancing.is_on)
    browser.messages(0.3)
    browser.press("Make it")
    until(browser, lambda: "FileTransferPart" in browser.told)
    grey = frames_of(browser.told["FileTransferPart"]["content"])[0].astype(int)
    assert grey.max() > 40
    assert colorfulness(grey).max() <= 1
    browser.close()
