"""Depth and normals: what planes tell, where gradients go, and what the option is good for."""

import math
from dataclasses import replace

import pytest
import torch

from splatkit.core import Cameras, drain, intrinsics
from splatkit.core.scene import camera_of
from splatkit.core.transforms import look_at
from splatkit.render import get_backend, render
from splatkit.render.backends.base import AdamState, UpdateOptions
from splatkit.train.config import TrainConfig
from splatkit.train.photos import View
from splatkit.train.surface import (
    Surface,
    add_surface_gradients,
    normal_disagreement,
    normals_from_depth,
)
from splatkit.train.trainer import train
from tests.train.photographed import make_gaussians, same
from tests.train.sampled import read_depth, sample_scene
from tests.train.test_trainer import FAST, held_out_psnr


@pytest.fixture
def camera():
    eye = torch.tensor([[0.3, -0.8, -4.0]], dtype=torch.float64)
    up = torch.tensor([[0.0, -1.0, 0.0]], dtype=torch.float64)
    viewmats = look_at(eye, torch.zeros(1, 3).double(), up)
    return Cameras(viewmats.float(), intrinsics(40.0, 44.0, 16.0, 12.0).float()[None], 32, 24)


def depth_of_plane(camera, normal, distance):
    """[1,H,W] camera z at which the pixels' rays meet the plane n.x = distance, world frame."""
    rows, columns = torch.meshgrid(torch.arange(24.0), torch.arange(32.0), indexing="ij")
    K, R = camera.Ks[0], camera.viewmats[0, :3, :3]
    x, y = (columns + 0.5 - K[0, 2]) / K[0, 0], (rows + 0.5 - K[1, 2]) / K[1, 1]
    rays = torch.stack((x, y, torch.ones_like(x)), -1) @ R
    return ((distance - camera.positions[0] @ normal) / (rays @ normal))[None]


@pytest.mark.parametrize("normal", [(0.0, 0.0, -1.0), (0.3, -0.2, -1.0), (-0.5, -0.6, -0.6)])
def test_the_depths_of_a_plane_tell_its_normal(camera, normal):
    wanted = torch.nn.functional.normalize(torch.tensor(normal), dim=0)
    normals, smooth = normals_from_depth(depth_of_plane(camera, wanted, 0.0), camera)
    assert normals.shape == (1, 22, 30, 3)
    assert smooth.all()
    assert torch.allclose(normals, wanted.expand_as(normals), atol=1e-4)


def test_edges_and_holes_tell_nothing(camera):
    depth = depth_of_plane(camera, torch.tensor([0.0, 0.0, -1.0]), 0.0)
    depth[:, :, 16:] *= 2
    depth[:, 5, 5] = 0
    _, smooth = normals_from_depth(depth, camera)
    assert not smooth[:, :, 14:16].any()
    assert not smooth[:, 4, 3]
    assert smooth[:, 10:, :14].all()


def test_gradients_that_enter_the_moments_lower_the_disagreement(camera):
    gaussians = make_gaussians(400, seed=3)
    backend, options = get_backend("cpu"), Surface(shrink=1, every=1, flat_weight=0.0)
    update = UpdateOptions(rates={})
    view = View("one", camera, torch.zeros(1, 24, 32, 3, dtype=torch.uint8))

    def disagreement():
        return float(
            normal_disagreement(render(gaussians, camera, outputs=("depth", "normal")), camera)
        )

    before = disagreement()
    for _ in range(30):
        adam = AdamState.zeros_like(gaussians)
        add_surface_gradients(gaussians, adam, view, options, update, 4.0, backend)
        for name in ("means", "quats", "log_scales"):
            moment = adam.first[name]
            assert torch.isfinite(moment).all()
            getattr(gaussians, name).sub_(0.01 * moment / adam.second[name].sqrt().clamp_min(1e-20))
        assert not adam.first["sh"].any()
    assert disagreement() < 0.8 * before


def test_flattening_shrinks_the_smallest_scale_alone(camera):
    gaussians, adam = make_gaussians(50), AdamState.zeros_like(make_gaussians(50))
    view = View("one", camera, torch.zeros(1, 24, 32, 3, dtype=torch.uint8))
    options = Surface(normal_weight=0.0, flat_weight=1.0)
    update = UpdateOptions(rates={})
    add_surface_gradients(gaussians, adam, view, options, update, 4.0, get_backend("cpu"))
    smallest = torch.nn.functional.one_hot(gaussians.log_scales.argmin(-1), 3).bool()
    assert (adam.first["log_scales"][smallest] > 0).all()
    assert not adam.first["log_scales"][~smallest].any()


def test_a_loss_that_is_not_finite_changes_nothing(camera):
    gaussians = make_gaussians(50)
    gaussians.log_scales[3] = 200.0
    adam = AdamState.zeros_like(gaussians).map(lambda t: t + 0.25)
    view = View("one", camera, torch.zeros(1, 24, 32, 3, dtype=torch.uint8))
    update = UpdateOptions(rates={})
    loss = add_surface_gradients(gaussians, adam, view, Surface(), update, 4.0, get_backend("cpu"))
    assert float(loss) == 0.0
    for moments in (adam.first, adam.second):
        assert all(bool((moment == 0.25).all()) for moment in moments.values())


def test_a_training_with_surfaces_goes_on_bit_for_bit(scene, tmp_path):
    recipe = replace(FAST.recipe, surface=Surface(start=0.2, every=2))
    config = replace(FAST, surface=True, recipe=recipe)
    whole = drain(train(scene, tmp_path / "whole", config))
    assert not same(whole, drain(train(scene, tmp_path / "without", FAST)))
    work = train(scene, tmp_path / "broken", config)
    for event in work:
        if getattr(event, "step", 0) >= 11:
            break
    work.close()
    assert same(drain(train(scene, tmp_path / "broken", replace(config, resume=True))), whole)


@pytest.mark.long
def test_surfaces_come_nearer_to_the_truth_and_cost_little(tmp_path):
    scene = sample_scene(6000)
    config = TrainConfig(iterations=1000, max_gaussians=12_000, resize=336, sh_degree=1, threads=1)

    def measured(name, config):
        gaussians = drain(train(scene, tmp_path / name, config))
        angles = []
        for photo in scene.photos[::5]:
            depth = torch.tensor(read_depth(photo.name)).float()[None]
            camera = camera_of(photo, depth.shape[2], depth.shape[1]).to(torch.float32)
            rendered = render(gaussians, camera, outputs=("normal",))
            true, smooth = normals_from_depth(depth, camera)
            assert rendered.normal is not None
            cosines = (rendered.normal[:, 1:-1, 1:-1] * true).sum(-1).clamp(-1, 1)
            angles.append(cosines.acos()[smooth])
        return held_out_psnr(scene, gaussians, config), math.degrees(torch.cat(angles).mean())

    plain, plain_angle = measured("plain", config)
    psnr, angle = measured("surface", replace(config, surface=True))
    assert angle < 0.85 * plain_angle
    assert psnr > plain - 0.4
