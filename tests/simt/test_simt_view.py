"""The rendering-only path: records in half precision, large tiles, no checkpoints."""

from __future__ import annotations

import pytest
import torch

from splatkit.core import Cameras, Gaussians, intrinsics
from splatkit.render import render
from splatkit.render.backends._cuda_view import FORMS
from splatkit.render.backends.cuda import CudaBackend
from splatkit.render.backends.torch_ref import TorchReference
from splatkit.render.display import Display
from splatkit.viewer import look
from tests.render.cases import Case, cameras_around, random_gaussians
from tests.render.pretended import GPU, pretended_gpu
from tests.simt.driver import SimtDriver
from tests.simt.test_simt_parity import crowd


def shown(
    driver: SimtDriver, form: int, gaussians: Gaussians, cameras: Cameras
) -> tuple[float, float, float]:
    """Largest difference to the reference, share of values beyond 1/255, PSNR in dB."""
    backend = CudaBackend(driver)
    backend._view._chooser._chosen = FORMS[form]
    behind = torch.tensor([0.2, 0.5, 0.1])
    with torch.no_grad():
        got = render(gaussians, cameras, background=behind, backend=backend, display=True)
        kernel, options = driver.launched[-1]
        assert kernel == "blend"
        assert dict(options)["SK_HALF_RECORDS"] == 1
        expected = render(gaussians, cameras, background=behind, backend=TorchReference())
    difference = (got.rgb - expected.rgb).abs()
    assert (got.alpha - expected.alpha).abs().mean() < 1e-3
    psnr = -10 * float(difference.double().square().mean().log10())
    return float(difference.max()), float((difference > 1 / 255).double().mean()), psnr


@pytest.mark.parametrize("form", [0, 1], ids=["large tiles", "small tiles"])
@pytest.mark.parametrize("cameras", [1, 2])
def test_pictures_are_those_of_the_reference(
    form: int, cameras: int, driver: SimtDriver, shuffled: SimtDriver
) -> None:
    case = Case("view", width=101, height=67, cameras=cameras)
    gaussians = random_gaussians(case).to(torch.float32)
    views = cameras_around(case).to(torch.float32)
    for each in (driver, shuffled):
        _, beyond, psnr = shown(each, form, gaussians, views)
        assert beyond < 2e-3
        assert psnr > 55


@pytest.mark.parametrize("form", [0, 1], ids=["large tiles", "small tiles"])
def test_thousands_in_one_tile_far_from_the_corner(form: int, driver: SimtDriver) -> None:
    """Where half precision would be too coarse for places."""
    width, height = 1930, 40
    K = intrinsics(400.0, 400.0, 1900.0, 20.0).reshape(1, 3, 3)
    camera = Cameras(torch.eye(4)[None], K.float(), width, height)
    _, beyond, psnr = shown(driver, form, crowd(1500, 0.05, -2.0), camera)
    assert beyond < 2e-3
    assert psnr > 50


def test_both_forms_are_tried_and_room_grows(driver: SimtDriver) -> None:
    case = Case("room", width=90, height=70, count=60, cameras=1, log_scale=-1.0)
    gaussians = random_gaussians(case).to(torch.float32)
    camera = cameras_around(case).to(torch.float32)
    backend = CudaBackend(driver)
    backend._view._room.guess = lambda records: 65  # type: ignore[method-assign]
    first = render(gaussians, camera, backend=backend, display=True).rgb
    before = len(driver.launched)
    for _ in range(9):
        again = render(gaussians, camera, backend=backend, display=True).rgb
        assert (again - first).abs().max() < 2e-2
    tiles = {dict(o)["SK_TILE_WIDTH"] for k, o in driver.launched[before:] if k == "blend"}
    assert tiles == {16, 32}
    assert backend._view._chooser.done


def test_an_empty_picture_shows_the_background(driver: SimtDriver) -> None:
    case = Case("none", count=3, cameras=1)
    gaussians = random_gaussians(case).to(torch.float32)[torch.zeros(3, dtype=torch.bool)]
    camera = cameras_around(case).to(torch.float32)
    behind = torch.tensor([0.1, 0.2, 0.3])
    got = render(gaussians, camera, background=behind, backend=CudaBackend(driver), display=True)
    assert torch.equal(got.rgb, behind.expand_as(got.rgb))
    assert not got.alpha.any()


def test_other_outputs_come_from_the_exact_path(driver: SimtDriver) -> None:
    case = Case("depth", cameras=1)
    gaussians = random_gaussians(case).to(torch.float32)
    camera = cameras_around(case).to(torch.float32)
    backend = CudaBackend(driver)
    exact = render(gaussians, camera, outputs=("depth",), backend=backend)
    got = render(gaussians, camera, outputs=("depth",), backend=backend, display=True)
    assert got.depth is not None
    assert torch.equal(got.rgb, exact.rgb)


def test_scenes_stay_where_they_are_drawn() -> None:
    class Elsewhere:
        device = torch.device("meta")

    display = Display(Elsewhere())  # pyright: ignore[reportArgumentType]
    case = Case("kept", cameras=1)
    one, two = (random_gaussians(case).to(torch.float32) for _ in range(2))
    copy = display.scene(one)
    assert copy.device == Elsewhere.device
    assert display.scene(one) is copy
    assert display.scene(copy) is copy
    other = display.scene(two)
    assert other is not copy
    assert display.scene(one) is copy
    one.means += 1
    assert display.scene(one) is not copy
    del two
    display.scene(one)
    assert all(kept.alive for kept in display._kept.values())


def test_the_viewer_draws_with_it(monkeypatch: pytest.MonkeyPatch, driver: SimtDriver) -> None:
    """A scene that lies on the CPU, on a GPU that pretends (``tests/render/pretended.py``)."""
    case = Case("viewer", cameras=1)
    gaussians = random_gaussians(case).to(torch.float32)
    camera = cameras_around(case).to(torch.float32)
    expected = look.draw(look.Subject(gaussians), camera, look.Look(), "torch_ref")
    look._display.cache_clear()
    with pretended_gpu(monkeypatch):
        backend = CudaBackend(SimtDriver(device=GPU))
        for module in ("api", "display"):
            monkeypatch.setattr(f"splatkit.render.{module}.get_backend", lambda *_: backend)
        look.draw(look.Subject(gaussians), camera, look.Look())
        pixels = look.draw(look.Subject(gaussians), camera, look.Look())
        (kept,) = look._display("auto")._kept.values()
        assert kept.gaussians.device == GPU
        depth = look.draw(look.Subject(gaussians), camera, look.Look("depth", far=100.0))
    look._display.cache_clear()
    assert abs(pixels.astype(int) - expected).mean() < 0.5
    assert depth.shape == expected.shape
