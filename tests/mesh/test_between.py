"""Pictures of the Gaussians from between the photos, and what they are worth."""

from dataclasses import replace

import pytest
import torch

from splatkit.core import Cameras, Triangles, drain
from splatkit.mesh.between import FARTHEST, FEW_PHOTOS, MOST, MOST_EACH, pictures_between
from splatkit.mesh.seeds import triangles_of
from splatkit.mesh.splats import fitted
from splatkit.render import render, render_triangles
from splatkit.train.metrics import psnr
from tests.mesh.ball import cameras, photos
from tests.mesh.test_splats import surfels

BLACK = torch.zeros(3)


def axis(camera: Cameras) -> torch.Tensor:
    return camera.viewmats[0, 2, :3]


def test_they_look_at_the_same_from_elsewhere() -> None:
    views = drain(pictures_between(surfels(), photos(), BLACK, open_=False))
    assert len(views) == MOST_EACH * len(photos()) <= MOST
    for number, view in enumerate(views):
        photo = photos()[number // MOST_EACH]
        assert view.image.shape == photo.image.shape
        assert view.mask is None
        turned = torch.arccos((axis(view.camera) @ axis(photo.camera)).clamp(-1, 1))
        assert 0.05 < float(turned) < FARTHEST + 1e-3
        # The near side of the ball stays in the middle: its distance hardly changes.
        away = (view.camera.positions[0].norm(), photo.camera.positions[0].norm())
        assert float(away[0]) == pytest.approx(float(away[1]), rel=0.1)
        shown = render(surfels(), view.camera, background=BLACK).rgb
        assert float((view.image / 255 - shown.clamp(0, 1)).abs().max()) < 0.51 / 255


def test_what_is_seen_past_an_open_scene_does_not_count() -> None:
    view = drain(pictures_between(surfels(), photos(), BLACK, open_=True))[0]
    assert view.mask is not None
    covered = render(surfels(), view.camera).alpha > 0.5
    assert torch.equal(view.mask > 0, covered)
    assert 0.1 < covered.float().mean() < 0.9


def test_many_photos_and_those_that_see_nothing_have_none() -> None:
    gone = surfels()
    gone.logit_opacities[:] = -10
    assert drain(pictures_between(gone, photos(), BLACK, open_=False)) == []
    assert drain(pictures_between(surfels(), photos()[:1], BLACK, open_=False)) == []
    many = photos() * (1 + FEW_PHOTOS // len(photos()))
    assert drain(pictures_between(surfels(), many, BLACK, open_=False)) == []


def test_few_photos_and_pictures_between_them_show_more_than_the_photos() -> None:
    """Triangles fitted to three photos of Gaussians, seen from where three others were taken."""
    gaussians = surfels()
    shown = render(gaussians, cameras()).rgb.clamp(0, 1)
    pictures = (shown * 255).round().byte().split(1)
    all_ = [
        replace(photo, image=picture) for photo, picture in zip(photos(), pictures, strict=True)
    ]
    few, others = all_[:5:2], all_[1:6:2]
    start = triangles_of(gaussians, torch.ones(len(gaussians)), 300, 0.0)
    between = drain(pictures_between(gaussians, few, BLACK, open_=False))

    def from_elsewhere(views: list) -> float:
        made: Triangles = drain(fitted(start, views, BLACK, steps=120, count=600))
        scores = []
        for view in others:
            drawn = render_triangles(made, view.camera, supersample=2).rgb
            assert drawn is not None
            scores.append(psnr(drawn[0], view.image[0] / 255))
        return sum(scores) / len(scores)

    assert from_elsewhere(few + between) > from_elsewhere(few) + 0.5
