"""Differences of pictures, against what the papers' own programs say."""

import numpy as np
import pytest
import torch
from torch import Tensor

from splatkit.core import Gaussians, SplatkitError
from splatkit.enhance.metrics import flip, ms_ssim, warping_error
from splatkit.render import render
from tests.enhance.conftest import camera_at


def pictures() -> tuple[Tensor, Tensor, Tensor]:
    """A soft pattern, the same with fine waves over it, the same with a negative patch."""
    y, x = np.mgrid[0:190, 0:240] / 40.0
    waves = [
        0.5 + 0.4 * np.sin(3 * x + y),
        0.5 + 0.4 * np.cos(2 * y * x),
        0.3 + 0.2 * np.sin(5 * x),
    ]
    fine = [np.sin(20 * x), np.cos(17 * y), np.sin(9 * (x + y))]
    soft = np.stack(waves, -1).clip(0, 1)
    waved = (soft + 0.05 * np.stack(fine, -1)).clip(0, 1)
    patched = soft.copy()
    patched[60:100, 80:130] = 1 - patched[60:100, 80:130]
    first, second, third = (torch.tensor(p, dtype=torch.float32) for p in (soft, waved, patched))
    return first, second, third


def test_flip_is_its_authors() -> None:
    """Values of flip-evaluator 1.7 for these pictures at 67 pixels a degree."""
    soft, waved, patched = pictures()
    assert flip(waved, soft) == pytest.approx(0.231924, abs=2e-4)
    assert flip(patched, soft) == pytest.approx(0.054020, abs=2e-4)
    assert flip(soft, soft) == 0


def test_ms_ssim() -> None:
    soft, waved, patched = pictures()
    assert ms_ssim(soft, soft) == pytest.approx(1)
    assert ms_ssim(patched, soft) < ms_ssim(waved, soft) < 0.99
    slightly = (soft + 0.01 * (waved - soft)).clamp(0, 1)
    assert ms_ssim(waved, soft) < ms_ssim(slightly, soft) < 1
    with pytest.raises(SplatkitError, match="176x176"):
        ms_ssim(soft[:100], soft[:100])


def test_warping_error_follows_the_scene(gaussians: Gaussians) -> None:
    before, camera = camera_at(0.0, 168, 120), camera_at(0.03, 168, 120)
    first, second = (render(gaussians, c, outputs=("inverse_depth",)) for c in (before, camera))
    assert first.inverse_depth is not None
    assert second.inverse_depth is not None
    depths = (second.inverse_depth[0], first.inverse_depth[0])
    alphas = (second.alpha[0], first.alpha[0])
    followed = warping_error(second.rgb[0], first.rgb[0], camera, before, depths, alphas)
    apart = float((second.rgb[0] - first.rgb[0]).square().mean().sqrt())
    assert 0 < followed < 0.6 * apart
    flicker = second.rgb[0] + 0.1 * torch.rand(120, 168, 3)
    assert warping_error(flicker, first.rgb[0], camera, before, depths, alphas) > 1.3 * followed
