"""Passers-by: found where they are, and nothing found where there are none."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from splatkit.core import drain
from splatkit.train.passers_by import PassersBy
from splatkit.train.trainer import train
from tests.train.disturbed import with_passer_by
from tests.train.test_trainer import FAST, held_out_psnr

HEIGHT, WIDTH = 90, 120


def pictured(seed=0):
    """A smooth photo [1,H,W,3] uint8 and a render of it with some noise, fully covered."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(1, 3, 6, 8, generator=generator)
    photo = torch.nn.functional.interpolate(small, (HEIGHT, WIDTH), mode="bilinear")
    photo = photo.permute(0, 2, 3, 1).contiguous()
    rgb = photo + 0.05 * torch.randn(photo.shape, generator=generator)
    return rgb, torch.ones(1, HEIGHT, WIDTH), (photo * 255).byte()


def opposite(image):
    """A block whose colours are far from the photo's everywhere."""
    there = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.bool)
    there[:, 30:60, 40:60] = True
    far = torch.where(image < 128, 255, 0).byte()
    return torch.where(there[..., None], far, image).contiguous(), there


def test_a_photo_that_fits_keeps_all_its_pixels():
    rgb, alpha, image = pictured()
    assert PassersBy().mask(rgb, alpha, image, None, 0.5) is None


def test_what_stands_in_one_photo_alone_is_left_out():
    rgb, alpha, image = pictured()
    spoiled, there = opposite(image)
    mask = PassersBy().mask(rgb, alpha, spoiled, None, 0.5)
    assert mask is not None
    assert mask.dtype == torch.uint8
    assert float((mask[there] == 0).float().mean()) > 0.95
    assert float((mask[~there] == 0).float().mean()) < 0.15


def test_torch_alone_finds_the_same():
    """What a GPU computes, which waits for nothing."""
    rgb, alpha, image = pictured()
    spoiled, _ = opposite(image)
    own = torch.full((1, HEIGHT, WIDTH), 255, dtype=torch.uint8)
    own[:, :10] = 0
    alpha[:, :, :20] = 0.3
    for photo, mask in ((image, None), (spoiled, None), (spoiled, own), (255 - image, own)):
        expected = PassersBy().mask(rgb, alpha, photo, mask, 0.5)
        got = PassersBy()._mask_there(rgb, alpha, photo, mask)
        wanted = torch.full_like(got, 255) if expected is None else expected
        assert float((got != wanted).float().mean()) < 0.002


def test_pixels_that_a_mask_leaves_out_stay_out():
    rgb, alpha, image = pictured()
    spoiled, there = opposite(image)
    own = torch.full((1, HEIGHT, WIDTH), 255, dtype=torch.uint8)
    own[:, :10] = 0
    mask = PassersBy().mask(rgb, alpha, spoiled, own, 0.5)
    assert mask is not None
    assert (mask[:, :10] == 0).all()
    assert float((mask[there] == 0).float().mean()) > 0.95
    assert PassersBy().mask(rgb, alpha, image, own, 0.5) is own


def test_early_steps_holes_and_photos_that_fit_nowhere_are_believed():
    rgb, alpha, image = pictured()
    spoiled, there = opposite(image)
    options = PassersBy()
    assert options.mask(rgb, alpha, spoiled, None, options.start / 2) is None
    # Where nothing is rendered yet, the photo is right.
    hole = torch.where(there, 0.0, alpha)
    dark = torch.where(there[..., None], 0.0, rgb)
    assert options.mask(dark, hole, spoiled, None, 0.5) is None
    black, white = torch.zeros_like(rgb), torch.full_like(image, 255)
    assert options.mask(black, alpha, white, None, 0.5) is None


def test_the_pasted_figure_is_in_a_third_of_the_training_photos(scene, tmp_path):
    spoiled = with_passer_by(scene, tmp_path)
    changed = [photo.path.parent == tmp_path for photo in spoiled.photos if not photo.held_out]
    assert sum(changed) == round(len(changed) / 3)
    assert not any(p.path.parent == tmp_path for p in spoiled.photos if p.held_out)
    assert np.array_equal([p.name for p in spoiled.photos], [p.name for p in scene.photos])


@pytest.mark.long
def test_a_figure_in_a_third_of_the_photos_costs_at_most_half_a_decibel(scene, tmp_path):
    """Without any help: the other photos outvote it."""
    config = replace(FAST, iterations=400)
    clean = held_out_psnr(scene, drain(train(scene, tmp_path / "clean", config)), config)
    spoiled = with_passer_by(scene, tmp_path / "photos")
    found = held_out_psnr(scene, drain(train(spoiled, tmp_path / "found", config)), config)
    assert found > clean - 0.5
