"""Where training starts: sizes, colours, dense surfaces and hulls."""

import cv2
import numpy as np
import pytest
import torch

from splatkit.core import Cameras, drain, intrinsics
from splatkit.core.transforms import look_at
from splatkit.render import render
from splatkit.train.chance import PhotoOrder, generator_for
from splatkit.train.config import TrainConfig
from splatkit.train.initialize import (
    Initialization,
    common_box,
    fill_common_volume,
    gaussians_at,
    initialize,
    neighbour_distances,
)
from splatkit.train.photos import View, load_views
from splatkit.train.shell import Shell, shell_points, unseen_shell
from splatkit.train.sweep import Sweep, dense_points
from tests.train.photographed import make_scene

BARE = Initialization(dense_share=0.0)


def views_of(scene):
    return drain(load_views(scene.training_photos, TrainConfig().picture_size, scene.background))


def views_of_a_wall(count=6, width=160, height=120):
    """Photos of a textured wall in the plane z = 0, from a row of cameras before it."""
    random = np.random.default_rng(0)
    texture = random.integers(0, 256, (60, 60, 3), dtype=np.uint8)
    texture = cv2.resize(texture, (600, 600), interpolation=cv2.INTER_CUBIC)
    wall_from_texture = np.array([[4 / 600, 0, -2], [0, 4 / 600, -2], [0, 0, 1.0]])
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    K = intrinsics(150.0, 150.0, width / 2, height / 2)
    up = torch.tensor([0.0, -1.0, 0.0]).double()
    views = []
    for index in range(count):
        eye = torch.tensor([0.35 * (index - count / 2), 0.2 * (index % 2), -3.0])
        viewmat = look_at(eye.double(), torch.zeros(3).double(), up)
        image_from_wall = (K @ viewmat[:3, [0, 1, 3]]).numpy()
        mapping = np.linalg.inv(half) @ image_from_wall @ wall_from_texture @ half
        pixels = cv2.warpPerspective(texture, mapping, (width, height), flags=cv2.INTER_AREA)
        camera = Cameras(viewmat[None].float(), K[None].float(), width, height)
        views.append(View(f"{index}", camera, torch.from_numpy(pixels)[None]))
    return views


def test_swept_points_lie_on_the_wall():
    hints = torch.rand(100, 3, generator=generator_for(0, "test")) - 0.5
    points, colors = drain(dense_points(views_of_a_wall(), hints, Sweep(long_side=160)))
    assert len(points) > 10_000
    off = points[:, 2].abs()
    assert float(off.quantile(0.9)) < 0.03
    assert float(off.median()) < 0.01
    assert colors.min() >= 0
    assert colors.max() <= 1
    assert float(colors.std()) > 0.05


def test_photos_that_share_nothing_give_no_points():
    views = views_of_a_wall(3)
    random = torch.Generator().manual_seed(0)
    for view in views:
        shape = view.image.shape
        view.image = torch.randint(0, 256, shape, generator=random, dtype=torch.uint8)
    points, _ = drain(dense_points(views, torch.rand(50, 3) - 0.5, Sweep(long_side=160)))
    assert len(points) < 500


def test_transparent_pixels_are_not_swept():
    views = views_of_a_wall()
    for view in views:
        view.alpha = torch.zeros(view.image.shape[:3], dtype=torch.uint8)
    points, _ = drain(dense_points(views, torch.rand(50, 3) - 0.5, Sweep(long_side=160)))
    assert len(points) == 0


def test_size_is_the_distance_to_the_neighbours():
    line = torch.arange(5.0)[:, None] * torch.tensor([1.0, 0.0, 0.0])
    distances = neighbour_distances(line)
    assert float(distances[2]) == pytest.approx((1 + 1 + 2) / 3)
    assert float(distances[0]) == pytest.approx((1 + 2 + 3) / 3)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_points_still_have_a_size(count):
    gaussians = gaussians_at(torch.rand(count, 3), torch.rand(count, 3), 0.5, 2)
    assert len(gaussians) == count
    assert gaussians.finite_mask().all()


def test_points_in_one_place_keep_off_zero():
    assert (neighbour_distances(torch.zeros(10, 3)) > 0).all()


def test_colours_and_opacity_are_those_asked_for():
    colors = torch.rand(7, 3)
    gaussians = gaussians_at(torch.rand(7, 3), colors, 0.3, 3)
    torch.testing.assert_close(gaussians.sh[:, 0] * 0.28209479177387814 + 0.5, colors)
    torch.testing.assert_close(gaussians.opacities, torch.full((7,), 0.3))


def test_more_points_than_allowed_are_drawn_by_chance(scene):
    views = views_of(scene)
    first, again = (
        drain(initialize(scene, views, BARE, 20, generator_for(0, "x"))) for _ in range(2)
    )
    assert len(first) == 20
    assert torch.equal(first.means, again.means)


def test_points_that_are_not_finite_are_left_out(scene):
    scene.points[3] = float("nan")
    gaussians = drain(
        initialize(
            scene, views_of(scene), Initialization(least_points=0), 60, generator_for(0, "x")
        )
    )
    assert gaussians.finite_mask().all()


def test_the_common_box_holds_what_the_cameras_look_at(scene):
    low, high = common_box(views_of(scene))
    assert (low < -1).all()
    assert (high > 1).all()


def test_the_hull_of_transparent_photos_is_filled(tmp_path):
    scene = make_scene(tmp_path, alpha=True)
    points, colors = fill_common_volume(views_of(scene), 200, generator_for(0, "x"))
    assert len(points) > 20
    assert points.abs().max() < 2
    assert torch.isfinite(colors).all()


def test_every_photo_comes_once_a_round():
    order = PhotoOrder(7, seed=3)
    rounds = [[order.at(7 * r + k) for k in range(7)] for r in range(3)]
    assert all(sorted(one) == list(range(7)) for one in rounds)
    assert rounds[0] != rounds[1]
    assert [PhotoOrder(7, seed=3).at(10), PhotoOrder(7, seed=3).at(2)] == [
        rounds[1][3],
        rounds[0][2],
    ]


def test_the_far_sphere_surrounds_everything_in_the_colours_of_the_photos(scene):
    views = views_of(scene)
    for view in views:
        view.image[:] = torch.tensor([200, 100, 50], dtype=torch.uint8)
    centers, colors, size = shell_points(views, scene.points, Shell(count=500, distance=4.0))
    radii = (centers - torch.cat([v.camera.positions for v in views]).mean(0)).norm(dim=-1)
    assert float(radii.std()) < 1e-3 * float(radii.mean())
    assert float(radii.mean()) > 3 * float(scene.points.norm(dim=-1).quantile(0.9))
    torch.testing.assert_close(colors[:, 0], torch.full((500,), 200 / 255), atol=0.01, rtol=0)
    # Neighbours overlap: the sphere has no holes.
    nearest = torch.cdist(centers, centers).fill_diagonal_(1e9).amin(1)
    assert float(nearest.max()) < 2.5 * size


def test_the_far_sphere_stands_only_where_no_photo_looks(scene):
    views = views_of(scene)[:1]
    shell = unseen_shell(views, scene.points, Shell(count=2000), 2000, 1)
    assert 1000 < len(shell) < 2000
    assert float(render(shell, views[0].camera).alpha[0, 8:-8, 8:-8].max()) < 0.05
    behind = views[0].camera.viewmats.clone()
    behind[:, 0] *= -1
    behind[:, 2] *= -1
    turned = Cameras(behind, views[0].camera.Ks, 64, 48)
    assert float(render(shell, turned).alpha.min()) > 0.8
