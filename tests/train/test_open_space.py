"""Space that photos could have been taken through: what is in it, and what is safe."""

from dataclasses import replace

import pytest
import torch

from splatkit.core import drain
from splatkit.io.registry import write_gaussians
from splatkit.train.free_space import FreeSpace
from splatkit.train.open_space import OpenSpace, in_open_space
from splatkit.train.photos import load_views
from splatkit.train.trainer import train
from tests.train.photographed import make_gaussians
from tests.train.sampled import sample_scene
from tests.train.test_trainer import FAST


@pytest.fixture
def views(scene):
    return drain(load_views(scene.training_photos, FAST.picture_size, None))


@pytest.fixture
def between(scene):
    """[2,3] places in front of the held-out cameras, where no training camera stands."""
    eyes = [torch.linalg.inv(photo.viewmat)[:3, 3].float() for photo in scene.held_out_photos]
    return 0.7 * torch.stack(eyes)


def test_before_held_out_cameras_nothing_can_be(scene, views, between):
    assert in_open_space(between, views, scene.points, OpenSpace()).all()


def test_known_points_and_what_is_behind_them_are_not_open(scene, views):
    behind = torch.tensor([[0.0, 9.0, 0.0], [0.0, 3.0, 0.0], [20.0, -3.0, 0.0]])
    places = torch.cat((scene.points, behind))
    assert not in_open_space(places, views, scene.points, OpenSpace()).any()


def test_what_has_known_points_of_its_own_is_safe(scene, views, between):
    noise = 0.05 * torch.randn(30, 3, generator=torch.Generator().manual_seed(2))
    points = torch.cat((scene.points, between[0] + noise))
    assert in_open_space(between, views, points, OpenSpace()).tolist() == [False, True]


def test_nothing_is_open_where_that_is_not_known(scene, views, between):
    points = torch.cat((scene.points, torch.full((1, 3), torch.nan)))
    assert in_open_space(between, views, points, OpenSpace()).all()
    for known, options in (
        (points[:3], OpenSpace()),
        (points, OpenSpace(share=0.0)),
        (points, OpenSpace(few_photos=len(views))),
    ):
        assert not in_open_space(between, views, known, options).any()


def test_true_surfaces_of_the_sample_are_not_open():
    scene = sample_scene()
    views = drain(load_views(scene.photos[::3], lambda width, height: (96, 64), None))
    known = scene.points[::3]
    assert not in_open_space(scene.points, views, known, OpenSpace()).any()
    cameras = torch.cat([view.camera.positions for view in views])
    before = torch.lerp(scene.points.mean(0), cameras, 0.7)
    assert in_open_space(before, views, known, OpenSpace()).float().mean() > 0.4


def test_what_hangs_there_is_not_in_the_finished_scene(scene, views, between, tmp_path):
    gaussians = make_gaussians()
    gaussians.means[:2] = between
    file = tmp_path / "start.ply"
    write_gaussians(gaussians, file)
    recipe = replace(FAST.recipe, free_space=FreeSpace(share=0.0))
    config = replace(FAST, iterations=4, max_gaussians=60, start=file, recipe=recipe)
    off = replace(config, recipe=replace(recipe, open_space=OpenSpace(share=0.0)))
    for name, options, left in (("on", config, 0), ("off", off, 2)):
        result = drain(train(scene, tmp_path / name, options))
        assert (torch.cdist(between, result.means).amin(1) < 0.05).sum() == left
