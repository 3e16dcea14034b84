"""Reconstruction from one small picture."""

import pytest
import torch
from torch import Tensor

from splatkit.core import Gaussians, SplatkitError
from splatkit.enhance.small import small_view
from splatkit.enhance.spatial import bicubic, bilinear, fsr1, hermite, plain_hermite, sharpen
from splatkit.enhance.upscaler import UpscaleOptions, Upscaler
from splatkit.render import render
from splatkit.train.metrics import psnr
from tests.enhance.conftest import HEIGHT, WIDTH, camera_at

RATIOS = (1.3, 1.5, 1.7, 2.0, 3.0)


def polynomial(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values [h,w,3] of degree 3 in x and y without mixed terms of y^2, and their derivatives."""
    x, y = x[None, :] / 20, y[:, None] / 20
    coefficients = torch.tensor([0.3, -0.5, 0.8], dtype=x.dtype)
    value = x**3 - x**2 + 2 * x + y**3 + 0.5 * y + x * y + 0.2 * x**2 * y
    dx = (3 * x**2 - 2 * x + 2 + y + 0.4 * x * y) / 20
    dy = (3 * y**2 + 0.5 + x + 0.2 * x**2) / 20
    return (
        value[..., None] * coefficients,
        dx[..., None] * coefficients,
        dy[..., None] * coefficients,
    )


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.25, -0.4)])
def test_hermite_reproduces_cubics(ratio: float, shift: tuple[float, float]) -> None:
    view = small_view(camera_at(0.0), ratio, shift)
    small, (step, origin_x, origin_y) = view.camera, view.placing
    axes = (torch.arange(n, dtype=torch.float64) for n in (small.width, small.height))
    images = polynomial(*axes)
    x = (torch.arange(WIDTH, dtype=torch.float64) + 0.5) * step - origin_x
    y = (torch.arange(HEIGHT, dtype=torch.float64) + 0.5) * step - origin_y
    assert 0 <= x[0] <= x[-1] <= small.width - 1
    assert 0 <= y[0] <= y[-1] <= small.height - 1
    expected, _, _ = polynomial(x, y)
    # The mixed derivative at the border is one-sided; nothing else is approximate.
    inner = (slice(None), slice(4, -4))
    got = plain_hermite(*images, view.placing, WIDTH, HEIGHT)
    torch.testing.assert_close(got[inner], expected[inner], rtol=0, atol=1e-5)
    native = hermite(*(i.float() for i in images), view.placing, WIDTH, HEIGHT)
    torch.testing.assert_close(native, got.float(), rtol=1e-4, atol=1e-4)


def test_native_hermite_on_every_instruction_set(isa: str) -> None:
    g = torch.Generator().manual_seed(1)
    for width, height, ratio in ((37, 21, 1.5), (5, 7, 2.0), (64, 33, 3.0)):
        view = small_view(camera_at(0.0, width, height), ratio)
        shape = (3, view.camera.height, view.camera.width, 3)
        images = torch.randn(shape, generator=g)
        got = hermite(*images, view.placing, width, height)
        expected = plain_hermite(*images.double(), view.placing, width, height)
        torch.testing.assert_close(got, expected.float(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", [bilinear, bicubic, fsr1])
def test_methods_keep_what_is_flat_and_in_place(method) -> None:
    view = small_view(camera_at(0.0), 1.7)
    flat = torch.full((view.camera.height, view.camera.width, 3), 0.37)
    got = method(flat, view.placing, WIDTH, HEIGHT)
    torch.testing.assert_close(got, torch.full((HEIGHT, WIDTH, 3), 0.37))
    # A ramp along x stays where it was: no shift by a part of a pixel.
    ramp = torch.arange(view.camera.width) / view.camera.width
    got = method(ramp[None, :, None].expand_as(flat).contiguous(), view.placing, WIDTH, HEIGHT)
    step, origin, _ = view.placing
    expected = ((torch.arange(WIDTH) + 0.5) * step - origin) / view.camera.width
    inner = slice(6, -6)
    assert (got[HEIGHT // 2, inner, 0] - expected[inner]).abs().max() < 2e-3


def test_fsr_keeps_within_its_neighbours() -> None:
    g = torch.Generator().manual_seed(2)
    view = small_view(camera_at(0.0), 2.0)
    edge = torch.rand(view.camera.height, view.camera.width, 3, generator=g).round()
    got = fsr1(edge, view.placing, WIDTH, HEIGHT)
    assert got.min() >= 0
    assert got.max() <= 1
    assert torch.isfinite(got).all()


def test_sharpening() -> None:
    g = torch.Generator().manual_seed(3)
    picture = torch.rand(20, 30, 3, generator=g) * 0.5 + 0.25
    assert sharpen(picture, 0.0) is picture
    weak, strong = (sharpen(picture, s) for s in (0.3, 1.0))
    assert picture.std() < weak.std() < strong.std()
    assert strong.min() >= 0
    assert strong.max() <= 1


def test_gradients_beat_every_guess(gaussians: Gaussians) -> None:
    camera = camera_at(0.3, 168, 120)
    native = render(gaussians, camera).rgb[0]
    for ratio in (1.5, 2.0, 3.0):
        score = {
            mode: psnr(Upscaler(UpscaleOptions(mode, ratio)).frame(gaussians, camera).rgb, native)
            for mode in ("bilinear", "bicubic", "fsr1", "hermite")
        }
        assert score["hermite"] > max(score["bilinear"], score["bicubic"], score["fsr1"]) + 2


def test_off_is_the_plain_render(gaussians: Gaussians) -> None:
    camera = camera_at(0.3)
    picture = Upscaler(UpscaleOptions()).frame(gaussians, camera)
    assert torch.equal(picture.rgb, render(gaussians, camera).rgb[0])
    assert picture.settled


def test_a_picture_of_one_sample_is_refused() -> None:
    one = torch.zeros(1, 1, 3)
    with pytest.raises(SplatkitError, match="2x2"):
        hermite(one, one, one, (1.0, 0.0, 0.0), 2, 2)
