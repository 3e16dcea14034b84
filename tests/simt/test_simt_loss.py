"""L1 + SSIM and its gradient on a GPU against the reference, at sizes around a block's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from splatkit.render.backends._cuda_loss import image_loss
from splatkit.render.backends._workspace import Workspace
from splatkit.render.backends.torch_ref import TorchReference
from tests.render.cases import relative_l2
from tests.simt.driver import SimtDriver

SIZES = [(1, 1, 1), (1, 5, 40), (2, 33, 31), (1, 32, 64), (1, 70, 65)]


def pictures(cameras: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """A render, a photo and a mask."""
    g = torch.Generator().manual_seed(width)
    rgb = torch.rand(cameras, height, width, 3, generator=g)
    photo = torch.randint(0, 256, rgb.shape, generator=g).to(torch.uint8)
    # Equal pixels: the difference has no sign there.
    rgb[:, ::4] = 0
    photo[:, ::4] = 0
    mask = (torch.rand(cameras, height, width, generator=g) > 0.3).to(torch.uint8)
    return rgb, photo, mask


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_loss_gradient_and_errors(
    size: tuple[int, int, int], masked: bool, driver: SimtDriver, shuffled: SimtDriver
) -> None:
    rgb, photo, mask = pictures(*size)
    mask = mask if masked else None
    expected, wanted = TorchReference().l1_ssim(rgb.double(), photo, 0.2, mask)
    difference = (rgb - photo.float() / 255).abs()
    if mask is not None:
        difference = difference * mask[..., None]
    for each in (driver, shuffled):
        v_rgb, errors = torch.full_like(rgb, torch.nan), torch.full(rgb.shape[:3], torch.nan)
        take = Workspace().take
        loss = image_loss(each, take, rgb, photo, mask, 0.2, v_rgb, errors)
        assert float(loss[0]) == pytest.approx(float(expected), rel=1e-5)
        assert float(loss[1]) == pytest.approx(float(difference.mean()), rel=1e-5)
        assert relative_l2(v_rgb.double(), wanted) < 1e-4
        torch.testing.assert_close(errors, difference.mean(-1), rtol=1e-5, atol=1e-6)
        alone = image_loss(each, take, rgb, photo, mask, 0.2, None)
        assert torch.equal(alone, loss)
