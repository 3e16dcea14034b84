"""What the strategies' tests share: a small model, and its picture."""

import torch

from splatkit.core import Cameras, intrinsics
from splatkit.render import render
from splatkit.train.strategies import Budget, Model, Occasion
from tests.train.photographed import HEIGHT, WIDTH, make_gaussians, make_viewmats

COUNT = 50


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def occasion(start, most, progress, step=1000, extent=4.0):
    return Occasion(step, progress, Budget(start, most), extent)


def make_model():
    """Labelled Gaussians with statistics and moments that are not zero."""
    model = Model.start(make_gaussians(COUNT))
    model.gaussians.extra["label"] = torch.arange(COUNT)
    model.statistics.score_sum += torch.arange(COUNT) + 1.0
    model.statistics.visible_count += 2
    for moments in (model.adam.first, model.adam.second):
        for moment in moments.values():
            moment += 1
    return model


def picture(gaussians):
    """[H,W,3] the model from the first camera."""
    camera = Cameras(
        make_viewmats()[:1].float(),
        intrinsics(70.0, 70.0, WIDTH / 2, HEIGHT / 2)[None].float(),
        WIDTH,
        HEIGHT,
    )
    return render(gaussians, camera, backend="torch_ref").rgb[0]


def copies_of(model, after):
    """[COUNT] how many Gaussians of each label there are now."""
    return torch.bincount(after.gaussians.extra["label"], minlength=COUNT)
