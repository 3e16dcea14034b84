"""Colour maps of photos: their gradient, their mean, and what they are good for."""

from dataclasses import replace

import pytest
import torch

from splatkit.core import drain
from splatkit.train.config import TrainConfig
from splatkit.train.first_colors import gains_from_points, neutral_views
from splatkit.train.photo_colors import PhotoColorFit, PhotoColors, cut_off
from splatkit.train.photos import load_views
from splatkit.train.state import load_state, newest_checkpoint
from splatkit.train.trainer import train
from tests.train.disturbed import varied_gains, with_passer_by, with_varied_exposure
from tests.train.photographed import same
from tests.train.sampled import sample_scene
from tests.train.test_trainer import FAST, held_out_psnr


@pytest.fixture
def picture():
    return torch.rand(1, 32, 24, 3, generator=torch.Generator().manual_seed(0))


FULL = torch.ones(1, 32, 24)


def neutral(photos):
    return PhotoColors.start(torch.ones(photos, 3))


def test_neutral_maps_change_nothing(picture):
    colors = neutral(3)
    assert torch.equal(colors.applied(1, picture), picture)
    assert torch.equal(colors.back(1, picture), picture)


def test_a_map_is_a_matrix_and_a_shift(picture):
    colors = neutral(2)
    colors.maps[1] = torch.tensor([[1, 0.1, 0, 0.2], [0, 0.5, 0, 0], [0.3, 0, 1, -0.1]])
    expected = torch.einsum("ij,bhwj->bhwi", colors.maps[1, :, :3], picture) + colors.maps[1, :, 3]
    assert torch.allclose(colors.applied(1, picture), expected, atol=1e-6)
    assert torch.equal(colors.applied(0, picture), picture)


def test_the_gradient_is_that_of_autograd(picture):
    colors = neutral(2)
    colors.maps[0] += 0.1 * torch.randn(3, 4, generator=torch.Generator().manual_seed(2))
    weights = torch.rand(picture.shape, generator=torch.Generator().manual_seed(3))
    leaf = picture.clone().requires_grad_()
    shown = torch.einsum("ij,bhwj->bhwi", colors.maps[0, :, :3], leaf) + colors.maps[0, :, 3]
    (shown * weights).sum().backward()
    assert leaf.grad is not None
    assert torch.allclose(colors.back(0, weights), leaf.grad, atol=1e-6)


def photographed(picture, gain):
    return (picture * gain * 255).clamp(0, 255).round().to(torch.uint8)


def test_maps_find_each_photos_colours_and_stay_neutral_on_average(picture):
    gains = torch.tensor([[1.2, 1.0, 0.9], [1 / 1.2, 1.0, 1 / 0.9]])
    dim = 0.7 * picture
    colors = neutral(2)
    for step in range(40):
        photo = step % 2
        colors.fit(
            photo, dim, FULL, photographed(dim, gains[photo]), None, PhotoColorFit(prior=1e-4)
        )
        diagonals = colors.maps[:, range(3), range(3)]
        assert torch.allclose(diagonals.log().mean(0), torch.zeros(3), atol=1e-5)
        assert torch.allclose(colors.maps[..., 3].mean(0), torch.zeros(3), atol=1e-5)
    for photo in range(2):
        assert torch.allclose(colors.applied(photo, dim), dim * gains[photo], atol=0.02)


def test_pixels_that_do_not_count_or_are_cut_off_say_nothing(picture):
    gains = torch.tensor([[1.3, 1.3, 1.3], [1 / 1.3, 1 / 1.3, 1 / 1.3]])
    mask = torch.full(picture.shape[:3], 255, dtype=torch.uint8)
    mask[..., :3] = 0
    cover = FULL.clone()
    cover[:, 4::8] = 0.5
    colors = neutral(2)
    for step in range(40):
        photo = step % 2
        image = photographed(picture, gains[photo])
        image[..., :3, :] = 0
        image[:, 4::8] = 20
        colors.fit(photo, picture, cover, image, mask, PhotoColorFit(prior=1e-4))
    assert torch.allclose(colors.maps[:, range(3), range(3)], gains, atol=0.05)


def test_white_photos_do_not_ask_for_less_than_white(picture):
    image = torch.full(picture.shape, 255, dtype=torch.uint8)
    image[:, :2] = 250
    shown = cut_off(picture * 2, image)
    assert (shown[:, 2:] <= 1).all()
    assert torch.equal(shown[:, :2], picture[:, :2] * 2)


@pytest.fixture(scope="module")
def sample():
    return sample_scene()


def views_of(scene):
    return drain(load_views(scene.training_photos, lambda w, h: (200, 200 * h // w), None))


def test_points_tell_the_gains_of_photos(sample, tmp_path):
    some = replace(sample, photos=sample.photos[1::4])
    count = len(some.training_photos)
    same_exposure = gains_from_points(views_of(some), some.points)
    assert torch.allclose(same_exposure, torch.ones(count, 3), atol=0.005)
    found = gains_from_points(views_of(with_varied_exposure(some, tmp_path)), some.points).log()
    true = torch.tensor(varied_gains(count)).log()
    assert float((found - true).square().mean().sqrt()) < 0.3 * float(true.square().mean().sqrt())
    assert torch.allclose(found.mean(0), torch.zeros(3), atol=1e-6)


def test_without_points_photos_stay_as_they_are(scene):
    assert torch.equal(gains_from_points(views_of(scene), scene.points[:0]), torch.ones(11, 3))


def test_neutral_views_are_the_photos_divided_by_their_gains(scene):
    views = views_of(scene)[:2]
    first, second = neutral_views(views, torch.tensor([[2.0, 1.0, 0.5], [1.0, 1.0, 1.0]]))
    assert torch.equal(second.image, views[1].image)
    assert torch.equal(first.image[..., 1], views[0].image[..., 1])
    assert int((first.image[..., 0] - views[0].image[..., 0] / 2).abs().max()) <= 1
    assert (first.image[..., 2] == (views[0].image[..., 2] * 2.0).clamp(max=255).byte()).all()


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
    assert bool(colors.squares.any())


def test_spoiled_photos_have_the_same_mean_look(scene, tmp_path):
    spoiled = with_varied_exposure(scene, tmp_path)
    changed = [a.path != b.path for a, b in zip(scene.photos, spoiled.photos, strict=True)]
    assert changed == [not photo.held_out for photo in scene.photos]


@pytest.mark.long
def test_varied_exposure_and_passers_by_cost_at_most_half_a_decibel(sample, tmp_path):
    config = TrainConfig(iterations=1500, max_gaussians=8000, resize=200, sh_degree=2, threads=1)
    varies = replace(config, exposure="varies")

    def reached(name, scene, config):
        return held_out_psnr(sample, drain(train(scene, tmp_path / name, config)), config)

    clean = reached("clean", sample, config)
    exposed = with_varied_exposure(sample, tmp_path / "exposed")
    passed = with_passer_by(sample, tmp_path / "passed")
    assert reached("spoiled", exposed, varies) > clean - 0.5
    assert reached("careful", sample, varies) > clean - 0.5
    assert reached("passed", passed, config) > clean - 0.5
