"""A small scene for upscaling: a textured wall of splats with a ball in front of it."""

import pytest
import torch

from splatkit.core import Cameras, Gaussians, intrinsics
from splatkit.core.transforms import look_at
from tests.render.conftest import isa

WIDTH, HEIGHT = 84, 60
__all__ = ["isa"]


@pytest.fixture(scope="session")
def gaussians() -> Gaussians:
    g = torch.Generator().manual_seed(5)
    wall = torch.rand(700, 3, generator=g) * torch.tensor([6.0, 4.0, 0.05])
    wall += torch.tensor([-3.0, -2.0, 3.0])
    ball = torch.nn.functional.normalize(torch.randn(200, 3, generator=g), dim=1) * 0.5
    count = len(wall) + len(ball)
    sh = torch.randn(count, 4, 3, generator=g) * 0.2
    sh[:, 0] += torch.randn(count, 3, generator=g) * 0.8
    return Gaussians(
        means=torch.cat((wall, ball)),
        quats=torch.randn(count, 4, generator=g),
        log_scales=torch.randn(count, 3, generator=g) * 0.4 - 2.6,
        logit_opacities=torch.randn(count, generator=g) + 2,
        sh=sh,
    )


def camera_at(x: float, width: int = WIDTH, height: int = HEIGHT) -> Cameras:
    """A camera that looks past the ball at the wall, moved sideways."""
    eye = torch.tensor([[x, -0.2, -3.0]], dtype=torch.float64)
    target = torch.tensor([[0.0, 0.0, 2.0]], dtype=torch.float64)
    up = torch.tensor([[0.0, -1.0, 0.0]], dtype=torch.float64)
    K = intrinsics(width * 1.1, width * 1.1, width / 2, height / 2).reshape(1, 3, 3)
    return Cameras(look_at(eye, target, up), K, width, height).to(torch.float32)
