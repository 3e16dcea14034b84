"""Figures against their definitions."""

import pytest
import torch

from splatkit.train.metrics import MAX_PSNR, color_corrected, psnr, ssim, to_8bit


@pytest.fixture
def picture():
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(1, 3, 6, 8, generator=generator)
    return torch.nn.functional.interpolate(small, (30, 40), mode="bilinear")[0].permute(1, 2, 0)


def test_psnr_of_a_constant_error_is_its_square_in_decibels(picture):
    assert psnr(picture, picture + 0.1) == pytest.approx(20.0, abs=1e-3)
    assert psnr(picture, picture) == MAX_PSNR


def test_pixels_outside_the_mask_do_not_count(picture):
    broken = picture.clone()
    broken[:, :10] = 1 - broken[:, :10]
    mask = torch.ones(30, 40, dtype=torch.bool)
    mask[:, :10] = False
    assert psnr(broken, picture, mask) == MAX_PSNR
    assert ssim(broken, picture, mask) == pytest.approx(1.0)
    assert ssim(broken, picture) < 0.95


def test_ssim_of_two_flat_pictures_follows_the_formula():
    # Far from the border variance is 0 and only the luminance term is left.
    x, y = 0.2, 0.6
    luminance = (2 * x * y + 1e-4) / (x * x + y * y + 1e-4)
    flat = torch.ones(41, 41, 3)
    inner = torch.zeros(41, 41, dtype=torch.bool)
    inner[10:-10, 10:-10] = True
    value = ssim(flat * x, torch.where(inner[..., None], flat * y, flat * y), None)
    assert value < 1
    from splatkit.train import metrics

    planes = [metrics._blur((flat * v).permute(2, 0, 1)[:, None]) for v in (x, y)]
    assert float(planes[0][0, 0, 20, 20]) == pytest.approx(x, abs=1e-6)
    centre = (2 * planes[0] * planes[1] + 1e-4) / (planes[0] ** 2 + planes[1] ** 2 + 1e-4)
    assert float(centre[0, 0, 20, 20]) == pytest.approx(luminance, abs=1e-5)


def test_color_correction_undoes_an_affine_change_of_colour(picture):
    matrix = torch.tensor([[0.8, 0.1, 0.0], [0.0, 0.7, 0.1], [0.1, 0.0, 0.6]])
    changed = picture @ matrix + 0.05
    assert psnr(changed, picture) < 25
    assert psnr(color_corrected(changed, picture), picture) > 60


def test_color_correction_of_a_one_coloured_picture_is_finite():
    flat = torch.full((8, 8, 3), 0.5)
    corrected = color_corrected(flat, torch.rand(8, 8, 3))
    assert torch.isfinite(corrected).all()


def test_8bit_rounds_and_clamps():
    values = torch.tensor([-0.2, 0.5, 1.7])
    assert to_8bit(values).tolist() == pytest.approx([0.0, 128 / 255, 1.0])
