"""Colour maps of photos: their gradient, their mean, and what they are good for."""

from dataclasses import replace

import pytest
import torch
from test_trainer import FAST, held_out_psnr

from splatkit.core import drain
from splatkit.train.photo_colors import PhotoColorRates, PhotoColors
from splatkit.train.state import load_state, newest_checkpoint
from splatkit.train.trainer import train
from tests.train.disturbed import with_varied_exposure
from tests.train.photographed import same


@pytest.fixture
def picture():
    return torch.rand(1, 8, 6, 3, generator=torch.Generator().manual_seed(0))


def test_neutral_maps_change_nothing(picture):
    colors = PhotoColors.neutral(3)
    assert torch.equal(colors.applied(1, picture), picture)
    gradient = torch.ones_like(picture)
    assert torch.equal(colors.learn(1, picture, gradient, 0.0), gradient)


def test_a_map_is_a_matrix_and_a_shift(picture):
    colors = PhotoColors.neutral(2)
    colors.maps[1] = torch.tensor([[1, 0.1, 0, 0.2], [0, 0.5, 0, 0], [0.3, 0, 1, -0.1]])
    expected = torch.einsum("ij,bhwj->bhwi", colors.maps[1, :, :3], picture) + colors.maps[1, :, 3]
    assert torch.allclose(colors.applied(1, picture), expected, atol=1e-6)
    assert torch.equal(colors.applied(0, picture), picture)


def test_gradients_are_those_of_autograd(picture):
    colors = PhotoColors.neutral(2)
    colors.maps[0] += 0.1 * torch.randn(3, 4, generator=torch.Generator().manual_seed(2))
    rows = picture[:, ::4].clone()
    weights = torch.rand(rows.shape, generator=torch.Generator().manual_seed(3))
    leaf, matrix = rows.clone().requires_grad_(), colors.maps[0].clone().requires_grad_()
    shown = torch.einsum("ij,bhwj->bhwi", matrix[:, :3], leaf) + matrix[:, 3]
    (shown * weights).sum().backward()
    assert leaf.grad is not None
    assert matrix.grad is not None
    everywhere = torch.zeros_like(picture)
    everywhere[:, ::4] = weights
    v_rgb = colors.learn(0, picture, everywhere, 0.0)
    assert torch.allclose(v_rgb[:, ::4], leaf.grad, atol=1e-5)
    # The first mean of the gradient is a tenth of it.
    assert torch.allclose(colors.first[0] * 10, matrix.grad, atol=1e-4)


def test_maps_find_each_photos_colours_and_stay_neutral_on_average(picture):
    truth = [torch.tensor([1.2, 1.0, 0.9]), torch.tensor([0.8, 1.0, 1.1])]
    colors, rates = PhotoColors.neutral(2), PhotoColorRates()
    for step in range(1200):
        photo = step % 2
        shown = colors.applied(photo, picture)
        error = (shown - picture * truth[photo]) / picture.numel()
        colors.learn(photo, picture, error, rates.at(step / 1200))
        assert torch.allclose(colors.maps.mean(0), torch.eye(3, 4), atol=1e-5)
    for photo in range(2):
        assert torch.allclose(colors.applied(photo, picture), picture * truth[photo], atol=0.02)


def test_training_with_maps_goes_on_bit_for_bit_after_a_stop(scene, tmp_path):
    config = replace(FAST, exposure="varies")
    whole = drain(train(scene, tmp_path / "whole", config))
    half = replace(config, iterations=24, resume=True)
    work = train(scene, tmp_path / "broken", config)
    for event in work:
        if type(event).__name__ == "Saved":
            break
    work.close()
    resumed = drain(train(scene, tmp_path / "broken", half))
    assert same(resumed, whole)
    newest = newest_checkpoint(tmp_path / "broken" / "checkpoints")
    assert newest is not None
    colors = load_state(newest).colors
    assert colors is not None
    assert int(colors.counts.sum()) == 24


def test_spoiled_photos_have_the_same_mean_look(scene, tmp_path):
    spoiled = with_varied_exposure(scene, tmp_path)
    changed = [a.path != b.path for a, b in zip(scene.photos, spoiled.photos, strict=True)]
    assert changed == [not photo.held_out for photo in scene.photos]


@pytest.mark.long
def test_learned_colours_win_back_some_of_what_varied_exposure_costs(scene, tmp_path):
    config = replace(FAST, iterations=400)
    spoiled = with_varied_exposure(scene, tmp_path / "photos")
    blind = held_out_psnr(scene, drain(train(spoiled, tmp_path / "blind", config)), config)
    config = replace(config, exposure="varies")
    aware = held_out_psnr(scene, drain(train(spoiled, tmp_path / "aware", config)), config)
    assert aware > blind
