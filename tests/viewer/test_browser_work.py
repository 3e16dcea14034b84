"""Editing, camera paths and a server that comes back, in a real browser."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from splatkit.export import open_scene
from splatkit.io.camera_path import read_camera_path
from splatkit.viewer import Library, Viewer
from tests.chromium import chromium_page
from tests.scenes import write_run
from tests.viewer.test_browser import HEIGHT, PATIENCE, SHOWN, WIDTH, psnr, screenshot

pytestmark = pytest.mark.long

BELOW = (slice(SHOWN[0].start + 52, HEIGHT), SHOWN[1])


@pytest.fixture
def viewer(tmp_path: Path) -> Iterator[Viewer]:
    write_run(tmp_path / "balls")
    with Viewer(Library([tmp_path / "balls"], tmp_path / "uploads"), port=0) as viewer:
        yield viewer


@pytest.fixture
def page() -> Iterator[Any]:
    with chromium_page(WIDTH, HEIGHT) as page:
        page.set_default_timeout(PATIENCE)
        yield page


def open_page(page: Any, viewer: Viewer) -> Any:
    """The frame of viser's page once it shows the controls."""
    page.goto(viewer.url_of(viewer.library.entries()[0].id) + "?fixedDpr=1")
    frame = page.frame_locator("iframe")
    frame.get_by_role("button", name="Reset view", exact=True).wait_for()
    return frame


def until(condition: Any) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while not condition():
        assert time.monotonic() < end, "this did not come about"
        time.sleep(0.2)


def test_a_crop_is_saved_as_a_new_scene(page: Any, viewer: Viewer) -> None:
    frame = open_page(page, viewer)
    before = screenshot(page, BELOW)
    frame.get_by_role("tab", name="Edit").click()
    frame.get_by_label("Select by", exact=True).click()
    frame.get_by_role("option", name="Rectangle", exact=True).click()
    frame.get_by_text("Draw rectangles in the view").wait_for()
    time.sleep(2)
    page.mouse.move(60, 250)  # below notices
    page.mouse.down()
    page.mouse.move(WIDTH // 2, HEIGHT - 60, steps=8)
    page.mouse.up()
    tab = next(iter(viewer._stage._tabs.values()))[1]
    until(lambda: tab.desk.is_begun and bool(tab.desk.bench.state.selected.any()))
    frame.get_by_role("button", name="Keep only the selected").click()
    until(lambda: not bool(tab.desk.bench.state.alive.all()))
    frame.get_by_role("button", name="Save as a new scene").click()
    scenes = viewer.library.uploads / "scenes"  # type: ignore[operator]
    until(lambda: (scenes / "balls-edited" / "scene" / "scene.json").is_file())
    saved = open_scene(scenes / "balls-edited")
    assert 0 < len(saved.gaussians) < 120
    assert len(saved.photos) == 8
    until(lambda: psnr(screenshot(page, BELOW), before) < 35)
    frame.get_by_role("button", name="Undo", exact=True).click()


def test_keyframes_become_a_video_and_a_file(page: Any, viewer: Viewer, tmp_path: Path) -> None:
    frame = open_page(page, viewer)
    frame.get_by_role("tab", name="Path").click()
    add = frame.get_by_role("button", name="Add this view")
    add.click()
    page.mouse.move(300, 400)
    page.mouse.down()
    page.mouse.move(380, 420, steps=6)
    page.mouse.up()
    time.sleep(1)
    add.click()
    frame.get_by_text("2 keyframes").wait_for()
    frame.get_by_label("Frame size", exact=True).click()
    frame.get_by_role("option", name="640 x 360", exact=True).click()
    with page.expect_download() as film:
        frame.get_by_role("button", name="Make it").click()
    film.value.save_as(tmp_path / "walk.mp4")
    with av.open(str(tmp_path / "walk.mp4")) as container:
        frames = list(container.decode(video=0))
    assert (len(frames), frames[0].width, frames[0].height) == (61, 640, 360)
    with page.expect_download() as file:
        frame.get_by_role("button", name="Save the path").click()
    file.value.save_as(tmp_path / "path.json")
    path = read_camera_path(tmp_path / "path.json")
    assert path.keyframes is not None
    assert (len(path.keyframes), len(path.cameras)) == (2, 61)


def test_the_page_comes_back_with_the_server(page: Any, tmp_path: Path) -> None:
    write_run(tmp_path / "balls")
    with Viewer(Library([tmp_path / "balls"]), port=0) as first:
        frame = open_page(page, first)
        port = first.port
    time.sleep(2)
    with Viewer(Library([tmp_path / "balls"]), port=port) as second:
        assert second.port == port
        frame.get_by_role("button", name="Reset view", exact=True).wait_for(state="visible")
        until(lambda: second._stage._tabs)
        until(lambda: screenshot(page, BELOW).max() > 100)
        tab = next(iter(second._stage._tabs.values()))[1]
        until(lambda: tab.session.last is not None and tab.session.last.sharp)
