"""The page in a real browser: the picture against ours, controls, and its messages."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from splatkit.core import Cameras, Gaussians, intrinsics
from splatkit.core.transforms import look_at, quat_from_rotation, rotation_from_quat
from splatkit.io import html
from splatkit.io.html import NamedView, Tour
from splatkit.render import render
from tests.chromium import MILLISECONDS, chromium_page
from tests.io.format_cases import scene

WIDTH, HEIGHT = 320, 240
LEAST_PSNR = 40.0
"""Decibels between page and renderer; what the encoding rounds is in it, too."""
CENTER = torch.tensor([1.0, -2.0, 4.0], dtype=torch.float64)


def view(eye: tuple[float, float, float], off_center: tuple[float, float] = (0.0, 0.0)) -> Cameras:
    """A camera that looks at the middle of the scene; its principal point may be elsewhere."""
    up = torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64)
    viewmat = look_at(torch.tensor(eye, dtype=torch.float64), CENTER, up)
    dx, dy = off_center
    K = intrinsics(300.0, 280.0, WIDTH / 2 + dx, HEIGHT / 2 + dy)
    return Cameras(viewmat[None], K[None], WIDTH, HEIGHT)


FRONT = view((1.0, -2.5, -6.0))
SIDE = view((9.0, -5.0, 1.0), off_center=(31.0, -17.0))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium_page(WIDTH, HEIGHT) as page:
        # Flights from view to view then take no time.
        page.emulate_media(reduced_motion="reduce")
        yield page


class Shown:
    """A scene's page in the browser, without what stands around the scene."""

    def __init__(self, page: Any, gaussians: Gaussians, path: Path, tour: Tour) -> None:
        self.page, self.gaussians, self.background = page, gaussians, tour.background
        html.write(gaussians, path, tour=tour)
        self.faults: list[str] = []
        self.requests: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        start = time.perf_counter()
        page.goto(path.as_uri())
        page.wait_for_selector("body:not(.opening), body.failed", state="attached")
        self.seconds = time.perf_counter() - start
        assert not self.faults
        self.bare(True)

    def bare(self, yes: bool) -> None:
        self.page.evaluate(f"document.body.classList.toggle('bare', {str(yes).lower()})")

    def picture(self) -> np.ndarray:
        self.page.evaluate("splatkit.settled()")
        return np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))

    def look_from(self, camera: Cameras) -> None:
        rotation = quat_from_rotation(camera.viewmats[0, :3, :3].mT).tolist()
        K = camera.Ks[0]
        lens = [float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2]), WIDTH, HEIGHT]
        told = {"position": camera.positions[0].tolist(), "rotation": rotation, "lens": lens}
        self.page.evaluate("view => splatkit.lookFrom(view)", told)

    def camera(self) -> Cameras:
        """The camera that the page has now."""
        told = self.page.evaluate(
            "({ p: splatkit.camera.position, r: splatkit.camera.rotation, l: splatkit.lens() })"
        )
        rotation = rotation_from_quat(torch.tensor(told["r"], dtype=torch.float64)).mT
        viewmat = torch.eye(4, dtype=torch.float64)
        viewmat[:3, :3] = rotation
        viewmat[:3, 3] = -rotation @ torch.tensor(told["p"], dtype=torch.float64)
        return Cameras(viewmat[None], intrinsics(*told["l"])[None], WIDTH, HEIGHT)

    def psnr(self, camera: Cameras) -> float:
        """Decibels between the page and our picture from a camera."""
        background = torch.tensor(self.background)
        ours = render(self.gaussians, camera.to(torch.float32), background=background).rgb[0]
        difference = self.picture() / 255 - ours.clamp(0, 1).numpy()
        return float(-10 * np.log10(max(np.mean(difference**2), 1e-12)))


@pytest.fixture(scope="module")
def shown(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    views = [NamedView("Front", FRONT), NamedView("Side", SIDE)]
    path = Cameras(
        torch.cat((FRONT.viewmats, SIDE.viewmats)), torch.cat((FRONT.Ks, SIDE.Ks)), WIDTH, HEIGHT
    )
    tour = Tour(views=views, path=path, seconds=2.0, focus=CENTER, background=(0.2, 0.4, 0.7))
    return Shown(browser, opaque(scene(1200)), tmp_path_factory.mktemp("page") / "a.html", tour)


def opaque(gaussians: Gaussians) -> Gaussians:
    """Larger and denser, so that order and occlusion count."""
    return replace(
        gaussians,
        log_scales=gaussians.log_scales + 0.7,
        logit_opacities=gaussians.logit_opacities + 1,
    )


def test_the_page_opens_with_the_first_view_as_we_render_it(shown: Shown) -> None:
    assert shown.psnr(FRONT) >= LEAST_PSNR
    local = ("file:", "blob:", "data:")
    assert shown.requests
    assert all(address.startswith(local) for address in shown.requests), shown.requests


def test_another_view_with_its_principal_point_aside(shown: Shown) -> None:
    shown.look_from(SIDE)
    assert shown.psnr(SIDE) >= LEAST_PSNR
    assert shown.psnr(FRONT) < 25, "the comparison sees no difference between two views"


@pytest.mark.parametrize(("degree", "antialiased"), [(0, False), (2, True), (4, False)])
def test_every_degree_and_antialiased_scenes(
    browser: Any, tmp_path: Path, degree: int, antialiased: bool
) -> None:
    gaussians = opaque(scene(800, degree, seed=degree, antialiased=antialiased))
    # Some of less than a pixel: what antialiasing dims.
    gaussians.log_scales[::2] -= 4
    shown = Shown(browser, gaussians, tmp_path / "a.html", Tour(views=[NamedView("a", SIDE)]))
    assert shown.psnr(SIDE) >= LEAST_PSNR


@pytest.mark.long  # How far a key that is held moves the camera, the machine's frames decide.
def test_controls(browser: Any, tmp_path: Path) -> None:
    views = [NamedView("Front", FRONT), NamedView("Side", SIDE)]
    path = Cameras(
        torch.cat((FRONT.viewmats, SIDE.viewmats)), torch.cat((FRONT.Ks, SIDE.Ks)), WIDTH, HEIGHT
    )
    tour = Tour(views=views, path=path, seconds=0.5, focus=CENTER)
    shown = Shown(browser, opaque(scene(100, 0)), tmp_path / "a.html", tour)
    page = shown.page
    shown.bare(False)

    def settled() -> Cameras:
        page.evaluate("splatkit.settled()")
        return shown.camera()

    def distance(camera: Cameras) -> float:
        return float((camera.positions[0] - CENTER).norm())

    # A drag to the right takes the near side along: the camera goes left, as far away as before.
    page.mouse.move(100, 120)
    page.mouse.down()
    page.mouse.move(160, 120, steps=3)
    page.mouse.up()
    dragged = settled()
    assert dragged.positions[0, 0] < FRONT.positions[0, 0] - 1
    assert distance(dragged) == pytest.approx(distance(FRONT), rel=1e-3)
    assert float(dragged.viewmats[0, 0, 1]) == pytest.approx(0, abs=1e-3), "the horizon tilts"

    page.mouse.wheel(0, -300)
    assert distance(settled()) < 0.9 * distance(FRONT)

    page.keyboard.press("r")
    back = settled()
    torch.testing.assert_close(back.viewmats, FRONT.viewmats, rtol=0, atol=1e-5)

    page.keyboard.down("w")
    page.wait_for_timeout(100)
    page.keyboard.up("w")
    assert distance(settled()) < distance(FRONT)

    page.click("#views-button")
    page.get_by_role("button", name="Side", exact=True).click()
    torch.testing.assert_close(settled().viewmats, SIDE.viewmats, rtol=0, atol=1e-5)
    page.keyboard.press("v")

    # From here the walk begins at its end; played, it starts over and ends where it ends.
    page.evaluate("splatkit.goAlong(1)")
    playing = "document.body.classList.contains('is-playing')"
    assert page.evaluate(f"document.getElementById('play').click(), {playing}")
    torch.testing.assert_close(settled().viewmats, SIDE.viewmats, rtol=0, atol=1e-5)
    assert not page.evaluate(playing)
    assert page.get_by_role("button", name="Play the walk").is_visible()

    page.keyboard.press("h")
    assert page.get_by_role("heading", name="Moving about").is_visible()
    page.keyboard.press("Escape")

    page.fill("#background", "#ff8000")
    assert (shown.picture() == (255, 128, 0)).all(-1).any()
    assert not shown.faults


def test_a_double_click_centers_the_splat_under_it(browser: Any, tmp_path: Path) -> None:
    two = opaque(scene(2, 0))
    two = replace(
        two,
        means=torch.tensor([[0.0, -2.0, 3.0], [2.0, -2.0, 6.0]]),
        log_scales=torch.full((2, 3), -1.5),
        logit_opacities=torch.full((2,), 6.0),
    )
    tour = Tour(views=[NamedView("Front", FRONT)], focus=CENTER)
    shown = Shown(browser, two, tmp_path / "a.html", tour)
    pixel = FRONT.Ks[0] @ (
        FRONT.viewmats[0, :3, :3] @ two.means[1].double() + FRONT.viewmats[0, :3, 3]
    )
    shown.page.mouse.dblclick(float(pixel[0] / pixel[2]), float(pixel[1] / pixel[2]))
    shown.page.evaluate("splatkit.settled()")
    center = torch.tensor(shown.page.evaluate("splatkit.camera.center"))
    torch.testing.assert_close(center, two.means[1], rtol=0, atol=0.02)


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ("HTMLCanvasElement.prototype.getContext = () => null", "This page draws with WebGL 2"),
        ("delete window.DecompressionStream", "This browser is too old"),
    ],
)
def test_what_is_missing_is_said(browser: Any, tmp_path: Path, before: str, message: str) -> None:
    html.write(scene(5, 0), tmp_path / "a.html")
    page = browser.context.browser.new_page()
    try:
        page.add_init_script(before)
        page.goto((tmp_path / "a.html").as_uri())
        page.wait_for_selector("body.failed")
        assert page.inner_text("#message").startswith(message)
        assert "hardware acceleration" in page.inner_text("#message")
    finally:
        page.close()


def test_a_damaged_page_says_so(browser: Any, tmp_path: Path) -> None:
    html.write(scene(5, 0), tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text("utf-8")
    (tmp_path / "a.html").write_text(text.replace('"count":5', '"count":6'), "utf-8")
    browser.goto((tmp_path / "a.html").as_uri())
    browser.wait_for_selector("body.failed")
    assert "the file is damaged" in browser.inner_text("#message")


@pytest.mark.long
def test_a_million_gaussians(browser: Any, tmp_path: Path) -> None:
    gaussians = scene(1_000_000, 3)
    gaussians.log_scales -= 2.5
    browser.set_default_timeout(30 * MILLISECONDS)
    shown = Shown(browser, gaussians, tmp_path / "a.html", Tour(views=[NamedView("Front", FRONT)]))
    front = shown.psnr(FRONT)
    size = (tmp_path / "a.html").stat().st_size
    print(f"\n{size / 1e6:.0f} MB, {shown.seconds:.0f} s to open; a million: {front:.1f} dB")
    assert front >= LEAST_PSNR
    shown.look_from(SIDE)
    assert shown.psnr(SIDE) >= LEAST_PSNR
