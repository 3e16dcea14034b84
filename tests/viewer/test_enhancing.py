"""Upscaling and grading in the page."""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from splatkit.enhance import UpscaleOptions
from splatkit.enhance.network import SHAPES, Residual, network_of, save_network
from splatkit.export import OpenScene, open_scene
from splatkit.viewer import FixedSource, Library, Viewer
from splatkit.viewer.desk import MARKED
from splatkit.viewer.enhancer import Enhancer, next_ratio
from splatkit.viewer.enhancing import Enhancing
from splatkit.viewer.look import Look
from splatkit.viewer.panel import readout
from splatkit.viewer.session import Shown
from tests.scenes import ball_over_floor, ring, write_run
from tests.viewer.browsers import FakeBrowser
from tests.viewer.test_editing import tab_of
from tests.viewer.test_editing import until as wait
from tests.viewer.test_viewer import psnr, seen_from, truth

SIZE = (96, 64)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> OpenScene:
    return open_scene(write_run(tmp_path_factory.mktemp("runs") / "two_balls"))


@pytest.fixture
def viewer(scene: OpenScene) -> Iterator[Viewer]:
    library = Library([], opened={"scene": FixedSource(scene)})
    with Viewer(library, "127.0.0.1", 0) as viewer:
        yield viewer


@pytest.fixture
def browser(viewer: Viewer) -> Iterator[FakeBrowser]:
    browser = FakeBrowser(viewer.port)
    yield browser
    browser.close()


def until(browser: FakeBrowser, reached: Callable[[np.ndarray], bool]) -> np.ndarray:
    """The first picture that is as it shall be; ``picture`` gives up some time."""
    while True:
        pixels = browser.picture(size=SIZE)
        if reached(pixels):
            return pixels


def colorful(pixels: np.ndarray) -> int:
    """Largest difference of red and blue."""
    return int(np.abs(pixels[..., 0].astype(int) - pixels[..., 2]).max())


def test_the_page_upscales_and_comes_to_rest_at_the_plain_render(
    viewer: Viewer, browser: FakeBrowser, scene: OpenScene
) -> None:
    session = tab_of(viewer, browser).session
    camera = ring()[2:3]
    plain = truth(scene.gaussians, seen_from(camera, *SIZE))
    browser.look(camera)
    until(browser, lambda shown: psnr(shown, plain) > 40)
    browser.set("Ratio", 31)  # typed too far, which counts as the largest
    browser.set("Upscaling", "Bilinear")
    until(browser, lambda shown: psnr(shown, plain) < 38)
    browser.set("Upscaling", "Hermite, exact at rest")

    def is_plain() -> bool:
        last = session.last
        # JPEG would hide what a single picture errs.
        return last is not None and np.abs(last.pixels.astype(int) - plain).max() <= 1

    wait(browser, is_plain)


def test_grading_and_the_plain_render_beside_it(browser: FakeBrowser, scene: OpenScene) -> None:
    camera = ring()[2:3]
    plain = truth(scene.gaussians, seen_from(camera, *SIZE))
    browser.look(camera)
    until(browser, lambda shown: colorful(shown) > 40)
    browser.set("Saturation", 0)
    until(browser, lambda shown: colorful(shown) <= 12)
    browser.set("With", "The plain render")
    both = until(browser, lambda shown: psnr(shown[:, 60:], plain[:, 60:]) > 30)
    assert colorful(both[:, :40]) <= 12


def test_colours_change_where_the_selection_was(viewer: Viewer, browser: FakeBrowser) -> None:
    camera = ring()[2:3]
    browser.look(camera)
    before = until(browser, lambda shown: colorful(shown) > 40)
    browser.press("Mark the selection")  # nothing is selected: everything is meant
    browser.set("Saturation", 0)
    until(browser, lambda shown: colorful(shown) <= 12)
    desk = tab_of(viewer, browser).desk
    desk.bench.select(torch.ones(len(desk.current()[0]), dtype=torch.bool))
    browser.press("Mark the selection")
    wait(browser, lambda: MARKED in desk.current()[0].extra)
    desk.bench.select(torch.zeros(len(desk.current()[0]), dtype=torch.bool))
    browser.set("Where", "All else")
    until(browser, lambda shown: psnr(shown, before) > 35)
    browser.set("Where", "What is marked")
    until(browser, lambda shown: colorful(shown) <= 12)


def test_a_network_that_was_fitted_to_the_scene_can_be_chosen(tmp_path: Path) -> None:
    """It is offered where there is one, and what it adds shows: here, light."""
    run = write_run(tmp_path / "run")
    network = Residual(SHAPES["s"])
    torch.nn.init.constant_(network.leave.bias, 3.0)
    network_of(run).parent.mkdir()
    save_network(network, network_of(run), {})
    library = Library([run])
    with Viewer(library, "127.0.0.1", 0) as viewer:
        browser = FakeBrowser(viewer.port, scene=library.entries()[0].id)
        browser.look(ring()[2:3])
        plain = until(browser, lambda shown: shown.max() > 40)
        browser.set("Upscaling", "Network")
        browser.set("Network", "This scene's own")
        until(browser, lambda shown: shown.mean() > plain.mean() + 40)
        browser.close()


def test_the_governor() -> None:
    ratio = 2.0
    for _ in range(20):
        # Time per rendered pixel, and a part that does not depend on the size.
        seconds = 0.01 + 0.2 / ratio**2
        ratio = next_ratio(ratio, seconds, 0.05)
    assert 0.01 + 0.2 / ratio**2 == pytest.approx(0.05, rel=0.05)
    assert next_ratio(3.0, 9.0, 0.05) == 3.0
    assert next_ratio(1.3, 1e-4, 0.05) == 1.3


def test_the_governor_goes_to_a_larger_ratio_and_back() -> None:
    enhancer = Enhancer("auto")
    look = Look(enhancing=Enhancing(UpscaleOptions("bilinear", 1.5), pictures_per_second=10.0))

    def used(seconds: float, moving: bool = True, look: Look = look) -> float:
        """The ratio of a picture, which is then said to have taken that long."""
        paint = enhancer.painter(look, 0, moving)
        assert paint is not None
        paint(ball_over_floor(), seen_from(ring(), *SIZE))
        enhancer.measured(seconds)
        return enhancer.ratio

    slow = [used(0.2) for _ in range(5)]
    assert slow[0] == 1.5
    assert slow == sorted(slow)
    assert slow[-1] == 3.0
    assert used(9.0, moving=False) == 1.5
    assert used(0.1) == 3.0
    fast = [used(0.02) for _ in range(6)]
    assert fast == sorted(fast, reverse=True)
    assert fast[-1] == 1.3
    assert used(9.0, look=replace(look, enhancing=Enhancing(look.enhancing.options))) == 1.5


def test_the_governor_counts_what_comes_after_the_picture(
    viewer: Viewer, browser: FakeBrowser
) -> None:
    session = tab_of(viewer, browser).session
    cameras = itertools.cycle(ring(40)[index : index + 1] for index in range(40))

    def comes_to(ratio: float) -> None:
        def reached() -> bool:
            browser.look(next(cameras))
            last = session.last
            return last is not None and not last.sharp and last.ratio == ratio

        wait(browser, reached)

    browser.set("Upscaling", "Bilinear")
    browser.set("Pictures a second", 5)
    pause = [0.5]

    def later(pixels: np.ndarray, _: bool) -> np.ndarray:
        time.sleep(pause[0])
        return pixels

    session.post.append(later)
    comes_to(3.0)
    pause[0] = 0.0
    comes_to(1.3)


def test_the_readout_tells_the_ratio_in_use() -> None:
    pixels = np.zeros((2, 3, 3), np.uint8)
    shown = Shown(3, 2, 0.02, 100, False, pixels, {"render": 12.3}, 1.625)
    assert readout(shown).endswith("1.62x: render 12 ms")
    assert readout(replace(shown, ratio=1.0)).endswith("  \nrender 12 ms")
