from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from splatkit.core import Cameras, Gaussians, UsageError, intrinsics
from splatkit.export import OpenScene, open_scene
from splatkit.render import render
from splatkit.render.pictures import outputs_of, picture
from splatkit.viewer import FixedSource, Library, SceneSource, Viewer, is_loopback
from tests.scenes import ball_over_floor, ring, write_run
from tests.viewer.browsers import FOV, FakeBrowser


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> OpenScene:
    return open_scene(write_run(tmp_path_factory.mktemp("runs") / "two_balls"))


def viewer_of(source: SceneSource, host: str = "127.0.0.1", port: int = 0) -> Viewer:
    return Viewer(Library([], opened={"scene": source}), host, port)


@pytest.fixture(scope="module")
def viewer(scene: OpenScene) -> Iterator[Viewer]:
    with viewer_of(FixedSource(scene)) as viewer:
        yield viewer


@pytest.fixture
def browser(viewer: Viewer) -> Iterator[FakeBrowser]:
    browser = FakeBrowser(viewer.port)
    yield browser
    browser.close()


def seen_from(cameras: Cameras, width: int, height: int) -> Cameras:
    """What a browser of that size shows from the first camera's place."""
    focal = 0.5 * height / math.tan(0.5 * FOV)
    K = intrinsics(focal, focal, width / 2, height / 2)[None]
    return Cameras(cameras.viewmats[:1], K, width, height).to(torch.float32)


def truth(gaussians: Gaussians, cameras: Cameras, mode: str = "rgb", **options) -> np.ndarray:
    rendered = render(gaussians, cameras, outputs=outputs_of(mode), **options)
    return picture(rendered, mode)[0].numpy()


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((a.astype(float) - b) ** 2), 1e-9)))


def comes_to_show(browser: FakeBrowser, wanted: np.ndarray, seconds: float = 60.0) -> bool:
    """Whether a browser gets that picture; quick ones and older ones may come first."""
    end = time.monotonic() + seconds
    height, width = wanted.shape[:2]
    with suppress(TimeoutError):
        while (left := end - time.monotonic()) > 0:
            if psnr(browser.picture(left, (width, height)), wanted) >= 35:
                return True
    return False


def test_the_page_shows_what_render_renders(browser: FakeBrowser, scene: OpenScene) -> None:
    camera = ring()[2:3]
    browser.look(camera)
    wanted = truth(scene.gaussians, seen_from(camera, 96, 64))
    assert comes_to_show(browser, wanted)
    assert psnr(wanted[:, ::-1], wanted) < 25


def test_every_control_changes_the_picture(browser: FakeBrowser, scene: OpenScene) -> None:
    camera = ring()[:1]
    browser.look(camera)
    browser.picture(size=(96, 64))
    browser.messages(0.3)
    here = seen_from(camera, 96, 64)
    for name, mode in (
        ("Depth", "depth"),
        ("Median depth", "depth_median"),
        ("Normals", "normal"),
        ("Coverage", "alpha"),
        ("Colour", "rgb"),
    ):
        browser.set("Show", name)
        assert comes_to_show(browser, truth(scene.gaussians, here, mode)), name
    browser.set("Background", [255, 255, 255])
    white = torch.ones(3)
    assert comes_to_show(browser, truth(scene.gaussians, here, background=white))
    browser.set("Resolution", 50)
    assert browser.picture(size=(48, 32)).shape == (32, 48, 3)


def test_moving_pictures_are_small_and_the_last_one_sharp(browser: FakeBrowser) -> None:
    cameras = ring(40)
    browser.look(cameras[:1])
    browser.picture(size=(96, 64))
    sizes = []
    for index in range(1, 12):
        browser.look(cameras[index : index + 1])
        sizes.append(browser.picture().shape[1])
    assert min(sizes) < 96
    browser.picture(size=(96, 64))


def test_two_browsers_have_their_own_views(viewer: Viewer, scene: OpenScene) -> None:
    first, second = FakeBrowser(viewer.port), FakeBrowser(viewer.port, 64, 64)
    try:
        first.look(ring()[:1])
        second.look(ring()[4:5])
        second.picture(size=(64, 64))
        first.picture(size=(96, 64))
        first.messages(0.2)
        first.set("Show", "Depth")
        depth = truth(scene.gaussians, seen_from(ring()[:1], 96, 64), "depth")
        assert comes_to_show(first, depth)
        second.look(ring()[5:6])
        here = seen_from(ring()[5:6], 64, 64)
        assert comes_to_show(second, truth(scene.gaussians, here))
    finally:
        first.close()
        second.close()


def wait_for_sessions(count: int) -> bool:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if sum(thread.name == "viewer session" for thread in threading.enumerate()) == count:
            return True
        time.sleep(0.02)
    return False


def test_a_browser_that_leaves_frees_its_session(viewer: Viewer) -> None:
    assert wait_for_sessions(0)
    browser = FakeBrowser(viewer.port)
    browser.look(ring())
    browser.picture()
    assert wait_for_sessions(1)
    browser.close()
    assert wait_for_sessions(0)


class ChangingSource(FixedSource):
    """A scene that a test exchanges while it is watched."""

    def __init__(self, scene: OpenScene) -> None:
        super().__init__(scene)
        self.now = scene.gaussians, 0

    def current(self) -> tuple[Gaussians, int]:
        return self.now


def test_a_scene_that_changes_is_drawn_anew(scene: OpenScene) -> None:
    source = ChangingSource(scene)
    with viewer_of(source) as viewer:
        browser = FakeBrowser(viewer.port)
        browser.look(ring())
        assert comes_to_show(browser, truth(scene.gaussians, seen_from(ring(), 96, 64)))
        source.now = scene.gaussians[:0], 1
        assert comes_to_show(browser, np.zeros((64, 96, 3)))
        browser.close()


def test_the_first_view_is_a_training_photo(browser: FakeBrowser, scene: OpenScene) -> None:
    told = browser.told
    taken = [photo for photo in scene.photos if not photo.held_out]
    photo = taken[len(taken) // 2]
    position = -photo.viewmat[:3, :3].T @ photo.viewmat[:3, 3]
    assert np.allclose(told["SetCameraPositionMessage"]["position"], position.numpy())
    assert np.allclose(told["SetCameraLookAtMessage"]["look_at"], 0, atol=0.1)
    fov = 2 * math.atan(0.5 * photo.height / float(photo.K[1, 1]))
    assert told["SetCameraFovMessage"]["fov"] == pytest.approx(fov)


def test_a_browser_can_draw_by_itself(browser: FakeBrowser, scene: OpenScene) -> None:
    browser.look(ring()[:1])
    browser.picture(size=(96, 64))
    browser.messages(0.5)
    browser.told.pop("BackgroundImageMessage", None)
    browser.set("Draw here", True)
    end = time.monotonic() + 120
    while "GaussianSplatsMessage" not in browser.told and time.monotonic() < end:
        browser.messages(0.1)
    buffer = np.frombuffer(browser.told["GaussianSplatsMessage"]["props"]["buffer"], np.uint32)
    splats = buffer.reshape(-1, 8)
    assert len(splats) == len(scene.gaussians)
    centers = splats[:, :3].copy().view(np.float32)
    assert np.allclose(centers, scene.gaussians.means.numpy())
    red, green, blue = (splats[0, 7] >> np.array([0, 8, 16])) & 255
    assert (red, green, blue) == pytest.approx((230, 26, 26), abs=1)
    browser.messages(0.3)
    browser.told.pop("BackgroundImageMessage", None)
    browser.look(ring()[1:2])
    browser.messages(1.0)
    assert "BackgroundImageMessage" not in browser.told, "pictures still came"
    browser.set("Draw here", False)
    assert browser.picture(size=(96, 64)).max() > 100


def test_nobody_can_open_a_share_tunnel(browser: FakeBrowser) -> None:
    browser.look(ring())
    browser.picture()
    browser.send(type="ShareUrlRequest")
    kinds = [message["type"] for message in browser.messages(0.5)]
    assert "ShareUrlUpdated" not in kinds
    assert not [t for t in threading.enumerate() if "tunnel" in t.name.lower()]


def test_a_scene_file_alone_begins_in_front_of_it() -> None:
    alone = OpenScene("balls", Path("balls.ply"), ball_over_floor())
    with viewer_of(FixedSource(alone)) as viewer:
        browser = FakeBrowser(viewer.port)
        told = browser.told
        _, y, z = told["SetCameraPositionMessage"]["position"]
        assert y < 0, "above"
        assert z < -1, "in front"
        browser.close()


def test_a_port_in_use_is_passed_over(viewer: Viewer, scene: OpenScene) -> None:
    with viewer_of(FixedSource(scene), port=viewer.port) as second:
        assert second.port > viewer.port
        browser = FakeBrowser(second.port)
        browser.look(ring())
        assert browser.picture().max() > 100
        browser.close()


def test_addresses() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("localhost")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("example.org")


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("192.0.2.1", 0, "--host: expected an address of this machine"),
        ("127.0.0.1", 70000, "--port: expected 0 to 65535, got 70000"),
    ],
)
def test_an_address_of_another_machine_is_refused(
    scene: OpenScene, host: str, port: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        viewer_of(FixedSource(scene), host, port)
