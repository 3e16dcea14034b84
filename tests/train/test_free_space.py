"""Space where the photographer stood: how it is found, and who is in it."""

import math
from dataclasses import replace

import pytest
import torch

from splatkit.core import Gaussians, drain
from splatkit.io.registry import write_gaussians
from splatkit.train.free_space import FreeSpace, Zones, free_zones
from splatkit.train.open_space import OpenSpace
from splatkit.train.photos import load_views
from splatkit.train.trainer import train
from tests.train.photographed import make_gaussians
from tests.train.test_trainer import FAST


@pytest.fixture
def views(scene):
    return drain(load_views(scene.training_photos, FAST.picture_size, None))


def test_balls_stand_around_cameras_and_on_the_way_to_neighbours(scene, views):
    cameras = torch.cat([view.camera.positions for view in views])
    alone = free_zones(views, scene.points, FreeSpace(neighbours=0))
    assert torch.cdist(cameras, alone.centers).amin(1).max() < 1e-5
    zones = free_zones(views, scene.points, FreeSpace(share=0.3))
    assert len(zones.centers) > len(cameras)
    # Points reach to a distance of about 1.7 from the origin, cameras stand 4 from it.
    assert ((zones.radii > 0.3) & (zones.radii < 0.3 * 4)).all()
    between = (cameras[:-1] + cameras[1:]) / 2
    near = (cameras[1:] - cameras[:-1]).norm(dim=-1) < 2.5
    assert (torch.cdist(between[near], zones.centers) < zones.radii).any(1).all()


def test_no_ball_holds_known_points(scene, views):
    close = views[0].camera.positions[0] * 0.95
    points = torch.cat((scene.points, close + 0.01 * torch.randn(20, 3)))
    zones = free_zones(views, points, FreeSpace())
    apart = torch.cdist(points, zones.centers) - zones.radii
    assert apart.min() > 0


def test_without_points_or_share_nothing_is_kept_empty(scene, views):
    for points, options in ((scene.points[:3], FreeSpace()), (scene.points, FreeSpace(share=0.0))):
        zones = free_zones(views, points, options)
        assert len(zones.centers) == 0


def test_what_reaches_in_is_found():
    zones = Zones(torch.zeros(1, 3), torch.ones(1))
    turned = [math.cos(math.pi / 4), 0.0, 0.0, math.sin(math.pi / 4)]
    gaussians = Gaussians(
        means=torch.tensor([[0.5, 0, 0], [1.5, 0, 0], [1.5, 0, 0], [1.5, 0, 0], [9, 0, 0]]),
        quats=torch.tensor([[1.0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], turned, [1, 0, 0, 0]]),
        log_scales=torch.tensor(
            [[0.01, 0.01, 0.01], [0.01, 1, 0.01], [1, 0.01, 0.01], [0.01, 1, 0.01], [2, 2, 2]]
        ).log(),
        logit_opacities=torch.zeros(5),
        sh=torch.zeros(5, 1, 3),
    )
    # A wall beside a camera is thin towards it; the same turned by 90 degrees reaches in.
    assert zones.reached_by(gaussians).tolist() == [True, False, True, True, False]
    assert zones.reached_by(gaussians[torch.zeros(0, dtype=torch.long)]).shape == (0,)
    none = Zones(torch.zeros(0, 3), torch.zeros(0))
    assert not none.reached_by(gaussians).any()


def test_training_leaves_the_balls_empty(scene, views, tmp_path):
    zones = free_zones(views, scene.points, FreeSpace())
    gaussians = make_gaussians()
    gaussians.means[:3] = zones.centers[:3]
    file = tmp_path / "start.ply"
    write_gaussians(gaussians, file)
    recipe = replace(FAST.recipe, open_space=OpenSpace(share=0.0))
    config = replace(FAST, iterations=20, max_gaussians=60, start=file, recipe=recipe)
    off = replace(config, recipe=replace(recipe, free_space=FreeSpace(share=0.0)))
    assert zones.reached_by(drain(train(scene, tmp_path / "off", off))).sum() >= 2
    assert not zones.reached_by(drain(train(scene, tmp_path / "on", config))).any()
