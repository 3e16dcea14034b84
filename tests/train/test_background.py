"""What stands behind the scene: given, or another colour in every step."""

from dataclasses import replace

import pytest
import torch

from splatkit.core import Cameras, drain, intrinsics
from splatkit.io.images import read_image
from splatkit.render import render
from splatkit.train.behind import as_configured
from splatkit.train.initialize import Initialization
from splatkit.train.photos import load_views
from splatkit.train.trainer import train
from tests.train.photographed import HEIGHT, WIDTH, make_scene, make_viewmats
from tests.train.test_trainer import FAST, held_out_psnr


@pytest.fixture
def cut_out(tmp_path):
    """Photos with alpha, which stand before white."""
    return make_scene(tmp_path, alpha=True)


def test_a_given_background_is_the_scenes(cut_out):
    config = replace(FAST, background="0.2,0.4,1")
    scene = as_configured(cut_out, config)
    assert scene.background == (0.2, 0.4, 1.0)
    view = drain(load_views(scene.photos[:1], config.picture_size, scene.background))[0]
    pixels = torch.tensor(read_image(scene.photos[0].path)).float()
    cover = pixels[..., 3:] / 255
    expected = pixels[..., :3] * cover + 255 * torch.tensor(scene.background) * (1 - cover)
    torch.testing.assert_close(view.image[0].float(), expected, rtol=0, atol=0.51)


def test_a_view_moves_before_another_background(cut_out):
    white, blue = (
        drain(load_views(cut_out.photos[:1], FAST.picture_size, color))[0]
        for color in ((1.0, 1.0, 1.0), (0.0, 0.0, 1.0))
    )
    moved = white.before((1.0, 1.0, 1.0), (0.0, 0.0, 1.0))
    assert moved.dtype == torch.uint8
    assert (moved.int() - blue.image.int()).abs().max() <= 1
    opaque = replace(white, alpha=None)
    assert opaque.before((1.0, 1.0, 1.0), (0.0, 0.0, 1.0)) is white.image


def mean_alpha(gaussians):
    camera = Cameras(
        make_viewmats().float(),
        intrinsics(70.0, 70.0, WIDTH / 2, HEIGHT / 2).float().expand(13, 3, 3),
        WIDTH,
        HEIGHT,
    )
    return float(render(gaussians, camera).alpha.mean())


def test_before_random_colours_emptiness_is_learned(cut_out, tmp_path):
    """Before white, white Gaussians may stand for emptiness; before random colours none can."""
    recipe = replace(FAST.recipe, initialization=Initialization(fill=200, fill_opacity=0.5))
    cut_out.points, cut_out.point_colors = torch.zeros(0, 3), torch.zeros(0, 3)
    for photo in cut_out.photos:
        photo.mask_path = None
    config = replace(FAST, iterations=300, max_gaussians=250, recipe=recipe)
    random = replace(config, background="random")
    plain = drain(train(cut_out, tmp_path / "plain", config))
    gaussians = drain(train(cut_out, tmp_path / "random", random))
    assert held_out_psnr(cut_out, gaussians, config) > 20
    assert mean_alpha(gaussians) < mean_alpha(plain)


def test_where_nothing_is_known_to_be_behind_surfaces_become_opaque(pictured, tmp_path):
    """Before black, dark surfaces may stay half transparent and let the far sphere through."""
    config = replace(FAST, iterations=200)
    before_black = drain(train(pictured, tmp_path / "black", config))
    unknown = replace(pictured, background=None)
    gaussians = drain(train(unknown, tmp_path / "unknown", config))
    assert mean_alpha(gaussians) > 1.05 * mean_alpha(before_black)
