"""The viewer in a real browser: what the page shows, and that its controls are connected."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import torch
from PIL import Image

from splatkit.core.transforms import look_at, quat_from_rotation
from splatkit.export import OpenScene, open_scene
from splatkit.render import render
from splatkit.render.pictures import outputs_of, picture
from splatkit.viewer import FixedSource, Library, Viewer
from splatkit.viewer.views import Place, View, first_place, middle, place_of_photo
from tests.chromium import chromium_page
from tests.scenes import UP, write_run

pytestmark = pytest.mark.long

WIDTH, HEIGHT = 900, 600
PATIENCE = 120_000
"""Milliseconds; a busy machine needs them."""
SHOWN = (slice(160, HEIGHT), slice(0, 560))
"""The part of the window without notices and panel."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> OpenScene:
    return open_scene(write_run(tmp_path_factory.mktemp("runs") / "balls"))


@pytest.fixture(scope="module")
def page(scene: OpenScene) -> Iterator[Any]:
    with (
        Viewer(Library([], opened={"scene": FixedSource(scene)}), port=0) as viewer,
        chromium_page(WIDTH, HEIGHT) as page,
    ):
        socket = quote(f"ws://localhost:{viewer.port}/ws/scene/tab")
        page.goto(f"{viewer.url}viser?darkMode&fixedDpr=1&websocket={socket}")
        page.get_by_role("button", name="Reset view", exact=True).wait_for(timeout=PATIENCE)
        yield page


def screenshot(page: Any, part: tuple[slice, slice] = SHOWN) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))[part]


def view_at(place: Place) -> View:
    """The view of a browser that viser's orbit control has put there."""
    viewmat = look_at(torch.tensor(place.position), torch.tensor(place.look_at), UP)
    w, x, y, z = quat_from_rotation(viewmat[:3, :3].T).tolist()
    px, py, pz = place.position.tolist()
    return View((w, x, y, z), (px, py, pz), place.fov)


def expected(scene: OpenScene, mode: str = "rgb", place: Place | None = None) -> np.ndarray:
    """What ``render`` gives from a place, the first one if none is given."""
    place = place or first_place(scene.photos, scene.gaussians)
    camera = view_at(place).camera(WIDTH, HEIGHT)
    rendered = render(scene.gaussians, camera, outputs=outputs_of(mode))
    return picture(rendered, mode)[0].numpy()[SHOWN]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((a.astype(float) - b) ** 2), 1e-9)))


def best_psnr(page: Any, truth: np.ndarray, seconds: float = 10) -> float:
    """The agreement once the page has settled."""
    end, best = time.monotonic() + seconds, 0.0
    while best < 35 and time.monotonic() < end:
        best = max(best, psnr(screenshot(page), truth))
    return best


def choose(page: Any, mode: str) -> None:
    page.get_by_label("Show", exact=True).click()
    page.get_by_role("option", name=mode, exact=True).click()


def reset(page: Any) -> None:
    # viser's own settings have a "Reset View" beside ours.
    page.get_by_role("button", name="Reset view", exact=True).click()


def test_the_page_shows_the_scene_upright_and_not_mirrored(page: Any, scene: OpenScene) -> None:
    assert best_psnr(page, expected(scene, "rgb")) >= 35


@pytest.mark.parametrize(
    ("name", "mode"),
    [("Depth", "depth"), ("Normals", "normal"), ("Coverage", "alpha"), ("Colour", "rgb")],
)
def test_modes(page: Any, scene: OpenScene, name: str, mode: str) -> None:
    choose(page, name)
    assert best_psnr(page, expected(scene, mode)) >= 35


def test_dragging_turns_the_view_and_reset_brings_it_back(page: Any, scene: OpenScene) -> None:
    truth = expected(scene, "rgb")
    assert best_psnr(page, truth) >= 35
    page.mouse.move(300, 400)
    page.mouse.down()
    page.mouse.move(400, 420, steps=8)
    page.mouse.up()
    time.sleep(1)
    assert psnr(screenshot(page), truth) < 30
    reset(page)
    assert best_psnr(page, truth) >= 35


def test_a_click_on_a_photo_flies_there(page: Any, scene: OpenScene) -> None:
    index, (x, y) = photo_on_the_page(scene)
    around = (slice(max(0, int(y) - 50), int(y) + 50), slice(int(x) - 50, int(x) + 50))
    before = screenshot(page, around)
    page.get_by_label("Show cameras").check(force=True)
    time.sleep(1)
    assert psnr(screenshot(page, around), before) < 30, "no cameras on the page"
    page.mouse.click(x, y)
    time.sleep(1)
    page.get_by_label("Show cameras").uncheck(force=True)
    focus = middle(scene.photos, scene.gaussians)
    there = place_of_photo(scene.photos[index], focus, WIDTH / HEIGHT)
    assert best_psnr(page, expected(scene, place=there)) >= 35


def photo_on_the_page(scene: OpenScene) -> tuple[int, tuple[float, float]]:
    """A photo whose camera is in front of the first view, and where on the page it is."""
    camera = (
        view_at(first_place(scene.photos, scene.gaussians)).camera(WIDTH, HEIGHT).to(torch.float64)
    )
    for index, photo in enumerate(scene.photos):
        # A point inside the frustum, between its tip and its picture.
        inside = torch.linalg.inv(photo.viewmat) @ torch.tensor([0.0, 0, 0.1, 1]).double()
        seen = camera.viewmats[0] @ inside
        x, y, _ = (camera.Ks[0] @ (seen[:3] / seen[2])).tolist()
        if seen[2] > 1 and 330 < x < 540 and 10 < y < HEIGHT - 10:
            return index, (x, y)
    raise AssertionError("no photo is in front of the first view")
