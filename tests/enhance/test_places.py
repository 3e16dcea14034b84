"""Enhancing only where something marked shows, or everywhere else."""

import pytest
import torch

from splatkit.core import Gaussians, UsageError
from splatkit.enhance.options import Grade, UpscaleOptions
from splatkit.enhance.upscaler import Upscaler
from splatkit.render import render
from tests.enhance.conftest import camera_at

BALL = 700
"""The first Gaussian of the ball; the wall's come before."""
GREY = Grade(saturation=0.0)


def ball_share(gaussians: Gaussians) -> torch.Tensor:
    """[H,W] how much of each pixel is the ball, in the plain render."""
    marked = (torch.arange(len(gaussians)) >= BALL).float()
    drawn = render(gaussians, camera_at(0.2), features=marked[:, None])
    assert drawn.features is not None
    return drawn.features[0, ..., 0] / drawn.alpha[0].clamp_min(1 / 255)


@pytest.mark.parametrize("mode", ["off", "hermite", "neural"])
def test_only_the_part_is_enhanced(mode: str, gaussians: Gaussians) -> None:
    share, marked = ball_share(gaussians), torch.arange(len(gaussians)) >= BALL
    ball, wall = share > 0.98, share < 0.005
    assert min(ball.sum(), wall.sum()) > 50

    def frame(mode: str, where: str, grade: Grade = GREY) -> torch.Tensor:
        options = UpscaleOptions(mode, 1.5, grade=grade, where=where)
        return Upscaler(options).frame(gaussians, camera_at(0.2), marked=marked).rgb.clone()

    plain = frame("hermite" if mode == "neural" else mode, "everywhere", Grade())
    whole = frame(mode, "everywhere")
    inside, outside = frame(mode, "inside"), frame(mode, "outside")
    assert (whole - plain).abs()[ball | wall].max() > 0.2
    for picture, changed, kept in ((inside, ball, wall), (outside, wall, ball)):
        assert (picture - whole)[changed].abs().max() < 0.03
        assert (picture - plain)[kept].abs().max() < 0.01


def test_a_part_needs_marks(gaussians: Gaussians) -> None:
    upscaler = Upscaler(UpscaleOptions(grade=GREY, where="inside"))
    with pytest.raises(UsageError, match="expected marked Gaussians"):
        upscaler.frame(gaussians, camera_at(0.2))
