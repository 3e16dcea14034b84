"""Reconstruction, history, features and FSR 1 on a GPU are those of plain torch and of the CPU."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from splatkit.core import Cameras, Gaussians
from splatkit.enhance import native
from splatkit.enhance.cuda_kernels import FOLDED_FEATURES, UpscaleKernels
from splatkit.enhance.network import DETAIL_SCALE, FEATURES, FOLD, features, unfolded
from splatkit.enhance.small import Placing, SmallView, render_small, small_view
from splatkit.enhance.spatial import fsr1, plain_hermite, sharpen
from splatkit.enhance.temporal import (
    COLOR_TOLERANCE,
    DECAY,
    Past,
    accumulate,
    motion,
    plain_history,
)
from tests.enhance.conftest import camera_at, gaussians
from tests.render.fake_driver import FakeDriver
from tests.simt.driver import SimtDriver

__all__ = ["gaussians"]
VIEWS = [
    (84, 60, 2.0, (0.0, 0.0)),
    (67, 43, 1.3, (0.3, -0.2)),
    (37, 21, 1.5, (-0.4, 0.45)),
    (131, 9, 3.0, (1 / 3, -1 / 3)),
    (5, 7, 2.0, (0.25, 0.25)),
    (1, 2, 3.0, (0.0, 0.0)),
]
"""Width, height, ratio and shift; odd sizes, several tiles, and less than one."""
MOST_WEIGHT = 0.7
MOTION = ("gradient", "inverse_depth")


def view_of(width: int, height: int, ratio: float, shift: tuple[float, float]) -> SmallView:
    return small_view(camera_at(0.0, width, height), ratio, shift)


def small_images(view: SmallView, count: int) -> list[Tensor]:
    """Pictures [h,w,3] of noise, of the small size."""
    g = torch.Generator().manual_seed(view.width)
    shape = (view.camera.height, view.camera.width, 3)
    return [torch.rand(shape, generator=g) * 1.2 - 0.1 for _ in range(count)]


def large_image(view: SmallView, channels: int = 3) -> Tensor:
    g = torch.Generator().manual_seed(view.height)
    return torch.rand(view.height, view.width, channels, generator=g)


def empty(view: SmallView) -> Tensor:
    """Room for a large picture; NaN where nothing writes."""
    return torch.full((view.height, view.width, 3), torch.nan)


@pytest.mark.parametrize("case", VIEWS, ids=str)
def test_hermite(case: tuple, driver: SimtDriver) -> None:
    view = view_of(*case)
    rgb, dx, dy = small_images(view, 3)
    got, on_cpu = empty(view), empty(view)
    UpscaleKernels(driver).hermite(rgb, dx, dy, view.placing, got)
    plain = plain_hermite(rgb, dx, dy, view.placing, view.width, view.height)
    torch.testing.assert_close(got, plain, rtol=0, atol=2e-6)
    native.upscale_hermite(rgb, dx, dy, view.placing, on_cpu)
    torch.testing.assert_close(got, on_cpu, rtol=0, atol=2e-6)


@pytest.mark.parametrize("case", VIEWS, ids=str)
def test_features_are_folded_and_half(
    case: tuple, driver: SimtDriver, shuffled: SimtDriver
) -> None:
    view = view_of(*case)
    (rgb,) = small_images(view, 1)
    alpha, base = small_images(view, 2)[1][..., 0].contiguous(), large_image(view)
    plain = features(base, rgb, alpha, view.placing)
    last = (0, view.width % FOLD, 0, view.height % FOLD)
    even = torch.nn.functional.pad(plain[None], last, mode="replicate")
    expected = pixel_unshuffle(even, FOLD)
    for each in (driver, shuffled):
        seen = torch.full(expected.shape, torch.nan, dtype=torch.float16)
        seen = seen.to(memory_format=torch.channels_last)
        UpscaleKernels(each).features(base, rgb, alpha, view.placing, DETAIL_SCALE, seen)
        # Half precision has 11 bits; the magnified difference is of what is up to 1.
        torch.testing.assert_close(seen.float(), expected, rtol=2**-11, atol=1e-5)


@pytest.mark.parametrize("case", VIEWS, ids=str)
@pytest.mark.parametrize("shared", [False, True])
def test_the_answer_is_added(case: tuple, shared: bool, driver: SimtDriver) -> None:
    view = view_of(*case)
    folded = (1, 3 * FOLD**2, -(-view.height // FOLD), -(-view.width // FOLD))
    answer = torch.randn(folded, generator=torch.Generator().manual_seed(1)).half()
    answer = answer.to(memory_format=torch.channels_last)
    base, share = large_image(view), large_image(view, 1) if shared else None
    got = UpscaleKernels(driver).add(base, answer, 0.05, share)
    missing = 0.5 * unfolded(answer.float())[0, :, : view.height, : view.width].permute(1, 2, 0)
    expected = base + (missing if share is None else share * missing)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", VIEWS, ids=str)
def test_fsr_and_sharpening(case: tuple, driver: SimtDriver) -> None:
    view = view_of(*case)
    (rgb,) = small_images(view, 1)
    kernels, upscaled, sharp = UpscaleKernels(driver), empty(view), empty(view)
    kernels.fsr(rgb, view.placing, upscaled)
    expected = fsr1(rgb, view.placing, view.width, view.height)
    torch.testing.assert_close(upscaled, expected, rtol=0, atol=2e-6)
    kernels.sharpen(expected, 0.6, sharp)
    torch.testing.assert_close(sharp, sharpen(expected, 0.6), rtol=0, atol=2e-6)


def rendered_small(gaussians: Gaussians, view: SmallView) -> list[Tensor]:
    """Small picture, its derivatives, inverse depth and alpha."""
    rendered = render_small(gaussians, view, MOTION)
    images = (rendered.rgb, rendered.rgb_dx, rendered.rgb_dy, rendered.inverse_depth,
              rendered.alpha)  # fmt: skip
    return [image[0].contiguous() for image in images if image is not None]


def past_of(gaussians: Gaussians, camera: Cameras, ratio: float) -> Past:
    view = small_view(camera, ratio, (0.1, -0.2))
    return accumulate(render_small(gaussians, view, MOTION), view, camera, None, 0)


def mixed(
    driver: SimtDriver,
    small: list[Tensor],
    placing: Placing,
    past: Past | None,
    moved: list[float],
    resting: bool,
    size: tuple[int, int],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Picture and weight by the GPU's kernel, then by the CPU's."""
    before = past and (past.rgb, past.weight, past.inverse_depth, past.alpha, past.placing)
    made = [torch.full((*size, 3), torch.nan) for _ in range(2)]
    weights = [torch.full(size, torch.nan) for _ in range(2)]
    told = MOST_WEIGHT, DECAY, COLOR_TOLERANCE
    UpscaleKernels(driver).history(
        small, placing, before, moved, resting, told, made[0], weights[0]
    )
    native.upscale_history(
        *small[:3], placing, *small[3:], before, moved, resting, *told, made[1], weights[1]
    )
    return made[0], weights[0], made[1], weights[1]


@pytest.mark.parametrize("ratio", [1.3, 2.0, 3.0])
@pytest.mark.parametrize("motion_of", ["no past", "rest", "slow", "fast"])
def test_history(ratio: float, motion_of: str, driver: SimtDriver, gaussians: Gaussians) -> None:
    width, height = 91, 61
    now, then = {"fast": (0.9, 0.0), "slow": (0.04, 0.0)}.get(motion_of, (0.0, 0.0))
    camera, before = camera_at(now, width, height), camera_at(then, width, height)
    view = small_view(camera, ratio, (-0.3, 0.25))
    small = rendered_small(gaussians, view)
    past = None if motion_of == "no past" else past_of(gaussians, before, ratio)
    resting = motion_of == "rest"
    moved = motion(camera, before)
    got, weight, on_cpu, weight_on_cpu = mixed(
        driver, small, view.placing, past, moved, resting, (height, width)
    )
    plain, plain_weight = plain_history(small, view, past, moved, resting, MOST_WEIGHT)
    for color, worth in ((plain, plain_weight), (on_cpu, weight_on_cpu)):
        # A depth or coverage may fall on the other side of its tolerance at a pixel or two.
        assert ((got - color).abs() > 1e-4).float().mean() < 5e-4
        assert ((weight - worth).abs() > 1e-3 * worth).float().mean() < 5e-4
    assert torch.isfinite(got).all()
    alone, own = plain_history(small, view, None, [], False, 0.0)
    followed = (weight > 1.001 * own).float().mean()
    if motion_of == "no past":
        assert followed == 0
    elif motion_of == "slow":
        assert 0.2 < followed < 1
    elif motion_of == "fast":
        # The ball has moved before the wall, and a part of the wall was out of sight.
        assert 0.05 < followed < 0.8
        assert (got - alone).abs()[weight < 1.00001 * own].max() < 1e-4


def test_launches_are_as_the_header_says() -> None:
    """Geometry, and sizes of what is read and written."""
    driver, view = FakeDriver(), view_of(67, 43, 1.5, (0.0, 0.0))
    kernels, large = UpscaleKernels(driver), large_image(view)
    rgb, dx, dy = small_images(view, 3)
    alpha = rgb[..., 0].contiguous()
    kernels.hermite(rgb, dx, dy, view.placing, large)
    kernels.fsr(rgb, view.placing, large)
    kernels.sharpen(large, 0.5, large)
    past = (large, large[..., 0], alpha, alpha, view.placing)
    told, moved, out = (0.7, 0.9, 0.1), [0.0] * 12, large_image(view, 1)[..., 0]
    small = [rgb, dx, dy, alpha, alpha]
    kernels.history(small, view.placing, past, moved, False, told, large, out)
    seen = torch.zeros(1, FOLDED_FEATURES, 22, 34, dtype=torch.float16)
    seen = seen.to(memory_format=torch.channels_last)
    kernels.features(large, rgb, alpha, view.placing, 10.0, seen)
    kernels.add(large, seen[:, :12].contiguous(memory_format=torch.channels_last), 0.1, None)
    assert {launch.kernel for launch in driver.launches} == {
        "upscale_hermite", "upscale_fsr", "sharpen_image", "upscale_history", "upscale_features",
        "upscale_add",
    }  # fmt: skip
    assert {("upscale_hermite", "out"), ("upscale_history", "past_weight"),
            ("upscale_features", "seen"), ("upscale_add", "answer")} <= driver.checked  # fmt: skip
    assert FOLDED_FEATURES == FEATURES * FOLD**2
    with pytest.raises(AssertionError, match="seen"):
        kernels.features(large, rgb, alpha, view.placing, 10.0, seen[:, :, :21])
