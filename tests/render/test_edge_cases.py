"""Degenerate scenes and images, faults known from other rasterizers, and refused input."""

import math

import pytest
import torch
from torch import Tensor

from splatkit import _native
from splatkit.core import Cameras, Gaussians, SplatkitError, intrinsics
from splatkit.core.sh import sh_from_rgb
from splatkit.render import Rendered, render
from splatkit.render.backends.base import ProjectOptions
from splatkit.render.backends.cpu import CpuBackend
from splatkit.render.backends.torch_ref import TorchReference
from splatkit.render.constants import BlendConstants
from splatkit.render.screen import BlendRequest, ScreenSplats
from tests.render.cases import OUTPUTS, Case, cameras_around, random_gaussians

WIDTH, HEIGHT = 40, 30


def camera(width: int = WIDTH, height: int = HEIGHT, cx: float = 20.0, cy: float = 15.0) -> Cameras:
    """At the origin, looking along z."""
    K = intrinsics(40.0, 40.0, cx, cy).float()
    return Cameras(torch.eye(4)[None], K[None], width, height)


def splat(
    x: float = 0.0, y: float = 0.0, z: float = 2.0, scale: float = 0.1, opacity: float = 0.8
) -> Gaussians:
    """One round grey Gaussian."""
    return Gaussians(
        means=torch.tensor([[x, y, z]]),
        quats=torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
        log_scales=torch.full((1, 3), math.log(scale)),
        logit_opacities=torch.tensor([opacity]).logit(),
        sh=sh_from_rgb(torch.full((1, 3), 0.6))[:, None],
    )


def draw(gaussians: Gaussians, cameras: Cameras, **options: object) -> Rendered:
    return render(gaussians, cameras, backend="cpu", outputs=OUTPUTS, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_gaussians(dtype: torch.dtype) -> None:
    gaussians = splat()[:0].to(dtype)
    gaussians.means.requires_grad_()
    background = torch.tensor([0.1, 0.2, 0.3], dtype=dtype)
    rendered = draw(gaussians, camera().to(dtype), background=background)
    assert torch.equal(rendered.rgb, background.expand_as(rendered.rgb))
    assert not rendered.alpha.any()
    assert rendered.top_ids is not None
    assert (rendered.top_ids == -1).all()
    rendered.rgb.sum().backward()
    assert gaussians.means.grad is not None


@pytest.mark.parametrize("z", [-2.0, 0.0, 0.01, 0.005])
def test_behind_or_before_the_near_plane(z: float) -> None:
    rendered = draw(splat(z=z), camera())
    assert not rendered.alpha.any()
    assert not rendered.rgb.any()


def test_one_gaussian_on_one_pixel() -> None:
    gaussians = splat(opacity=0.5)
    rendered = draw(gaussians, camera(1, 1, 0.5, 0.5))
    assert rendered.alpha.item() == pytest.approx(0.5, rel=1e-5)
    assert rendered.rgb[0, 0, 0, 0].item() == pytest.approx(0.3, rel=1e-5)
    assert rendered.depth is not None
    assert rendered.depth.item() == pytest.approx(2.0, rel=1e-5)
    assert rendered.weight_count is not None
    assert rendered.weight_count.tolist() == [1]


def test_the_principal_point_moves_the_image() -> None:
    gaussians = splat(scale=0.15)
    middle = draw(gaussians, camera()).rgb
    moved = draw(gaussians, camera(cx=23.0, cy=13.0)).rgb
    torch.testing.assert_close(moved[:, :-2, 3:], middle[:, 2:, :-3], rtol=0, atol=2e-6)


def test_alpha_is_clamped_forward_and_backward_alike() -> None:
    gaussians = splat(scale=0.5, opacity=0.9999).map(lambda t: t.requires_grad_())
    rendered = draw(gaussians, camera(1, 1, 0.5, 0.5))
    assert rendered.alpha.item() == pytest.approx(0.99, abs=1e-7)
    rendered.rgb.sum().backward()
    for name in ("means", "quats", "log_scales", "logit_opacities"):
        assert not getattr(gaussians, name).grad.any(), name
    assert gaussians.sh.grad is not None
    assert gaussians.sh.grad[0, 0, 0].item() == pytest.approx(0.99 * 0.28209479, rel=1e-5)


def test_splats_reach_to_one_255th() -> None:
    # At this opacity alpha falls to 1/255 at 3.3 standard deviations, not at 3.
    gaussians = splat(scale=0.2, opacity=0.98)
    alpha = draw(gaussians, camera(), eps2d=0.0).alpha[0]
    x, y = torch.meshgrid(torch.arange(WIDTH) + 0.5, torch.arange(HEIGHT) + 0.5, indexing="xy")
    distance = ((x - 20) ** 2 + (y - 15) ** 2).sqrt() / (0.2 * 40 / 2)
    inside = distance < math.sqrt(2 * math.log(255 * 0.98)) - 1e-3
    outside = distance > math.sqrt(2 * math.log(255 * 0.98)) + 1e-3
    assert bool((inside & (distance > 3)).any())
    assert bool((alpha[inside] >= 1 / 255 - 1e-6).all())
    assert not alpha[outside].any()


def test_a_tilted_splat_has_the_whole_gradient_of_its_tilt() -> None:
    # Half the gradient of the conic's off-diagonal is a fault that parity of round splats hides.
    angle = torch.tensor(0.4, dtype=torch.float64)
    base = splat(scale=0.1).to(torch.float64)
    base.log_scales = base.log_scales + torch.tensor([0.9, 0.0, 0.0], dtype=torch.float64)
    weight = torch.randn(1, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(0))

    def loss(angle: Tensor, dtype: torch.dtype) -> Tensor:
        half, zero = angle / 2, torch.zeros_like(angle)
        turned = base.map(lambda t: t)
        turned.quats = torch.stack((half.cos(), zero, zero, half.sin()))[None]
        images = render(turned.to(dtype), camera().to(dtype), backend="cpu").rgb
        return (images * weight).sum()

    step = 1e-5
    expected = (loss(angle + step, torch.float64) - loss(angle - step, torch.float64)) / (2 * step)
    for dtype in (torch.float32, torch.float64):
        variable = angle.clone().requires_grad_()
        loss(variable, dtype).backward()
        assert variable.grad is not None
        assert variable.grad.item() == pytest.approx(expected.item(), rel=0.02)


def test_a_tilted_splat_reaches_no_tile_in_vain() -> None:
    # A thin diagonal crosses few of the tiles in the box around it.
    gaussians = splat(scale=0.004, opacity=0.9)
    gaussians.log_scales[0, 0] = math.log(1.5)
    gaussians.quats[0] = torch.tensor([math.cos(math.pi / 8), 0, 0, math.sin(math.pi / 8)])
    cameras = camera(320, 320, 160.0, 160.0)
    cameras.Ks[:, 0, 0] = cameras.Ks[:, 1, 1] = 100.0
    splats = CpuBackend().project(gaussians, cameras, ProjectOptions())
    work = _native.Blending()
    _native.bin(work, splats.records, splats.gaussian_ids, splats.camera_ids, 1, 320, 320)
    # Of the 10 by 10 tiles, those on the diagonal and the ones whose corners it cuts.
    assert 10 <= work.instances <= 28


def test_memory_is_bounded_by_splats_and_tiles_not_by_pixels() -> None:
    gaussians = Gaussians.concatenate([splat(scale=5.0, opacity=0.01)] * 3000)
    splats = CpuBackend().project(gaussians, camera(64, 32), ProjectOptions())
    work = _native.Blending()
    _native.bin(work, splats.records, splats.gaussian_ids, splats.camera_ids, 1, 64, 32)
    assert work.instances == 3000 * 2


def test_equal_depths_blend_in_order_of_index() -> None:
    gaussians = Gaussians.concatenate([splat(opacity=0.7)] * 5)
    rendered = draw(gaussians, camera(), top_k=5)
    assert rendered.top_ids is not None
    assert rendered.top_ids[0, 15, 20].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("count", [1, 3, 5, 6, 13, 14, 16, 30])
def test_channel_counts(count: int) -> None:
    case = Case("channels", width=20, height=18, count=30, cameras=1)
    gaussians, cameras = random_gaussians(case), cameras_around(case)
    values = torch.randn(case.count, count, dtype=torch.float64)
    results = []
    for dtype in (torch.float64, torch.float32):
        features = values.to(dtype, copy=True).requires_grad_()
        means = gaussians.means.to(dtype, copy=True).requires_grad_()
        moving = gaussians.to(dtype)
        moving.means = means
        image = render(moving, cameras.to(dtype), features=features, backend="cpu").features
        assert image is not None
        image.square().sum().backward()
        results.append((image.detach(), features.grad, means.grad))
    for exact, fast in zip(*results, strict=True):
        assert exact is not None
        assert fast is not None
        assert ((fast - exact).norm() / exact.norm()).item() < 1e-5


def screen(count: int = 3) -> ScreenSplats:
    gaussians = Gaussians.concatenate([splat()] * count)
    return CpuBackend().project(gaussians, camera(), ProjectOptions())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"records": torch.zeros(3, 11)}, "records: expected shape"),
        ({"records": torch.zeros(3, 12, dtype=torch.float16)}, "records: expected float32"),
        ({"gaussian_ids": torch.tensor([0, 1, 3], dtype=torch.int32)}, "expected values of 0 to 2"),
        ({"gaussian_ids": torch.tensor([0, 1, 2])}, "gaussian_ids: expected int32"),
        ({"camera_ids": torch.tensor([0, 0, 1], dtype=torch.int32)}, "expected values of 0 to 0"),
    ],
)
def test_wrong_records_are_refused(change: dict[str, Tensor], message: str) -> None:
    splats = screen()
    for name, value in change.items():
        setattr(splats, name, value)
    with pytest.raises(SplatkitError, match=message):
        CpuBackend().blend(splats, torch.zeros(1, 3, dtype=splats.records.dtype))


def test_other_wrong_input_is_refused() -> None:
    with pytest.raises(SplatkitError, match=r"background: expected \[1,3\]"):
        CpuBackend().blend(screen(), torch.zeros(2, 3))
    with pytest.raises(SplatkitError, match="top_k: expected 0 to 32, got 33"):
        CpuBackend().blend(screen(), torch.zeros(1, 3), request=BlendRequest(top_k=33))
    with pytest.raises(SplatkitError, match="smooth_cutoff: expected float64"):
        CpuBackend(smooth_cutoff=True).blend(screen(), torch.zeros(1, 3))
    with pytest.raises(SplatkitError, match="at most 65535 pixels"):
        draw(splat(), camera(70000, 1))
    splats = screen()
    splats.num_cameras = 2
    splats.camera_ids = torch.tensor([0, 1, 0], dtype=torch.int32)
    with pytest.raises(SplatkitError, match="in the order of their cameras"):
        CpuBackend().blend(splats, torch.zeros(2, 3))


def test_a_reach_ends_splats_earlier() -> None:
    """Other viewers' constants: beyond so many standard deviations there is nothing."""
    round_one = splat(z=4.0, scale=0.5, opacity=0.99)
    far = render(round_one, camera(), backend=TorchReference()).alpha[0, 15]
    cut = TorchReference(BlendConstants(reach=2.0))
    near = render(round_one, camera(), backend=cut).alpha[0, 15]
    # A standard deviation is 40 * 0.5 / 4 = 5 pixels, and eps2d adds a little.
    inside = ((torch.arange(WIDTH) + 0.5 - 20).square() + 0.25) / (25 + 0.3) <= 4
    assert torch.equal(near > 0, inside)
    assert torch.equal(near[inside], far[inside])
    assert int((far > 0).sum()) > int(inside.sum()) + 8
