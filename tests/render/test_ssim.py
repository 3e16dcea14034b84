"""The image loss: the plain version against its own derivative, the native one against that."""

import pytest
import torch

from splatkit.render import get_backend
from splatkit.render.backends._torch_step import image_loss, l1_ssim, ssim_map, ssim_window


def images(cameras: int, height: int, width: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """A smooth render [C,H,W,3] float32 and a photo [C,H,W,3] uint8 not far from it."""
    generator = torch.Generator().manual_seed(seed)
    rgb = torch.rand(cameras, height, width, 3, generator=generator)
    noise = torch.randn(rgb.shape, generator=generator)
    targets = ((rgb + 0.1 * noise).clamp(0, 1) * 255).round().to(torch.uint8)
    return rgb, targets


def test_window_is_symmetric_and_sums_to_one() -> None:
    window = ssim_window(torch.zeros((), dtype=torch.float64))
    assert len(window) == 11
    assert torch.equal(window, window.flip(0))
    torch.testing.assert_close(window.sum(), torch.ones((), dtype=torch.float64))
    # exp(-1 / (2 1.5^2)): the published shape, not only some symmetric one.
    assert window[6] / window[5] == pytest.approx(0.8007374, abs=1e-6)


def test_equal_images_are_perfectly_similar() -> None:
    rgb, _ = images(1, 9, 14)
    torch.testing.assert_close(ssim_map(rgb, rgb), torch.ones_like(rgb))


def test_similarity_sees_both_sides_of_a_pixel() -> None:
    """A spot changes the map evenly around it (a one-sided window would not)."""
    flat = torch.full((1, 31, 31, 1), 0.5, dtype=torch.float64)
    spot = flat.clone()
    spot[0, 15, 15] = 0.9
    change = (1 - ssim_map(spot, flat))[0, :, :, 0]
    torch.testing.assert_close(change, change.flip(0))
    torch.testing.assert_close(change, change.flip(1))
    torch.testing.assert_close(change, change.T)
    assert (change > 1e-9).sum() == 11 * 11


def test_plain_gradient() -> None:
    rgb, targets = images(1, 7, 6)
    mask = (torch.rand(1, 7, 6, generator=torch.Generator().manual_seed(1)) > 0.3).byte()
    leaf = rgb.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: image_loss(x, targets, 0.2, None), leaf)
    # Masked pixels count as constants: their gradient is zero by definition.
    gradient = l1_ssim(rgb.double(), targets, 0.3, mask)[1]
    assert (gradient[~mask.bool()] == 0).all()
    assert (gradient[mask.bool()] != 0).any(-1).all()


SIZES = [(1, 1, 1), (1, 3, 2), (2, 11, 17), (1, 40, 33), (3, 64, 50), (1, 21, 600), (1, 300, 20)]


@pytest.mark.parametrize(("cameras", "height", "width"), SIZES)
@pytest.mark.parametrize("masked", [False, True])
def test_native_equals_plain(cameras: int, height: int, width: int, masked: bool, isa: str) -> None:
    rgb, targets = images(cameras, height, width, seed=height)
    mask = None
    if masked:
        generator = torch.Generator().manual_seed(width)
        mask = (torch.rand(cameras, height, width, generator=generator) > 0.2).byte()
    loss, gradient = get_backend("cpu").l1_ssim(rgb, targets, 0.2, mask)
    wanted_loss, wanted = l1_ssim(rgb.double(), targets, 0.2, mask)
    assert loss == pytest.approx(wanted_loss, rel=1e-5)
    assert (gradient - wanted).norm() <= 2e-5 * wanted.norm() + 1e-12
    if mask is not None:
        assert (gradient[mask == 0] == 0).all()


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_native_weight_ends(weight: float) -> None:
    rgb, targets = images(1, 20, 30)
    loss, gradient = get_backend("cpu").l1_ssim(rgb, targets, weight)
    wanted_loss, wanted = l1_ssim(rgb.double(), targets, weight)
    assert loss == pytest.approx(wanted_loss, rel=1e-5)
    assert (gradient - wanted).norm() <= 2e-5 * wanted.norm()


def test_native_is_the_same_for_any_number_of_threads(threads) -> None:
    rgb, targets = images(2, 130, 90)
    results = []
    for count in (1, 2, 3, 5):
        threads(count)
        results.append(get_backend("cpu").l1_ssim(rgb, targets, 0.2))
    for loss, gradient in results[1:]:
        assert loss == results[0][0]
        assert torch.equal(gradient, results[0][1])


def test_black_photo_keeps_the_gradient_finite(isa: str) -> None:
    """Where both images are 0 every variance is 0; only the constants keep SSIM defined."""
    rgb = torch.zeros(1, 16, 16, 3)
    targets = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    loss, gradient = get_backend("cpu").l1_ssim(rgb, targets, 0.2)
    assert loss == pytest.approx(0.0, abs=1e-6)
    assert torch.isfinite(gradient).all()
