"""Accumulation over frames: rest, motion, and what must be forgotten."""

from dataclasses import replace

import pytest
import torch

from splatkit.core import Cameras, Gaussians
from splatkit.enhance.options import Grade, UpscaleOptions
from splatkit.enhance.small import MARGIN, render_small, small_view
from splatkit.enhance.temporal import (
    PHASES,
    Past,
    accumulate,
    motion,
    phase,
    plain_history,
    weight_in_motion,
)
from splatkit.enhance.upscaler import Upscaler
from splatkit.render import render
from splatkit.train.metrics import psnr
from tests.enhance.conftest import camera_at

TEMPORAL = ("gradient", "inverse_depth")


def picture(gaussians: Gaussians, camera: Cameras) -> torch.Tensor:
    with torch.no_grad():
        return render(gaussians, camera).rgb[0]


@pytest.mark.parametrize(("ratio", "frames"), [(2.0, 4), (3.0, 9), (1.5, 5), (2.3, 10)])
def test_at_rest_the_plain_render_is_reached(
    ratio: float, frames: int, gaussians: Gaussians
) -> None:
    camera = camera_at(0.2)
    upscaler = Upscaler(UpscaleOptions("temporal", ratio))
    shown = [upscaler.frame(gaussians, camera) for _ in range(frames + 2)]
    assert [f.settled for f in shown].index(True) == frames - 1
    native = picture(gaussians, camera)
    for frame in shown[frames - 1 :]:
        assert (frame.rgb - native).abs().max() <= 1 / 255


@pytest.mark.parametrize("ratio", [2, 3])
def test_shifted_small_pictures_are_the_pixels_of_the_large_one(
    ratio: int, gaussians: Gaussians
) -> None:
    # Close to the wall, with a wide lens: large splats reach into the picture from outside it.
    large, camera = replace(gaussians, log_scales=gaussians.log_scales + 1.2), camera_at(0.2)
    camera.Ks[:, :2, :2] *= 0.4
    camera.viewmats[:, 2, 3] -= 4.8
    native = picture(large, camera)

    def wrong(frame: bool) -> float:
        pixels = []
        for index, (x, y) in enumerate(PHASES[ratio]):
            view = small_view(camera, ratio, phase(ratio, index))
            options = {"frame": view.frame} if frame else {}
            with torch.no_grad():
                small = render(
                    large, view.camera, eps2d=view.eps2d, pixel_offset=view.shift, **options
                )
            difference = small.rgb[0, MARGIN:-MARGIN, MARGIN:-MARGIN] - native[y::ratio, x::ratio]
            pixels.append(difference.abs().amax(-1).flatten())
        return float((torch.cat(pixels) > 1e-4).float().mean())

    assert wrong(frame=True) < 0.01
    assert wrong(frame=False) > 0.1


def test_after_a_movement_rest_is_reached_too(gaussians: Gaussians) -> None:
    upscaler = Upscaler(UpscaleOptions("temporal", 2.0))
    for x in (0.0, 0.05, 0.1):
        upscaler.frame(gaussians, camera_at(x))
    frames = [upscaler.frame(gaussians, camera_at(0.15)) for _ in range(5)]
    # The first picture from a place does not yet know that it will rest there.
    assert [f.settled for f in frames] == [False] * 4 + [True]
    assert (frames[-1].rgb - picture(gaussians, camera_at(0.15))).abs().max() <= 1 / 255


def test_phases_cover_every_pixel() -> None:
    for ratio in PHASES:
        shifts = {phase(ratio, i) for i in range(ratio**2)}
        assert len(shifts) == ratio**2
        assert max(abs(x) for shift in shifts for x in shift) < 0.5


def test_motion_follows_a_point() -> None:
    now, then = camera_at(0.4), camera_at(-0.3)
    point = torch.tensor([0.2, -0.1, 0.5, 1.0])

    def seen(camera: Cameras) -> tuple[torch.Tensor, float]:
        p = (camera.viewmats[0] @ point)[:3]
        return (camera.Ks[0] @ p)[:2] / p[2], float(p[2])

    (x, y), z = seen(now)
    (past_x, past_y), past_z = seen(then)
    matrix = torch.tensor(motion(now, then)).view(3, 4)
    place = matrix @ torch.tensor([float(x), float(y), 1.0, 1 / z])
    assert place[0] / place[2] == pytest.approx(float(past_x), abs=1e-3)
    assert place[1] / place[2] == pytest.approx(float(past_y), abs=1e-3)
    assert place[2] * z == pytest.approx(past_z, abs=1e-4)


def past_of(gaussians: Gaussians, camera: Cameras, ratio: float) -> Past:
    view = small_view(camera, ratio, (0.1, -0.2))
    return accumulate(render_small(gaussians, view, TEMPORAL), view, camera, None, 0)


@pytest.mark.parametrize("ratio", [1.5, 2.0, 3.0])
def test_native_accumulation_is_the_plain_one(ratio: float, isa: str, gaussians: Gaussians) -> None:
    before, camera = camera_at(0.0), camera_at(0.04)
    past = past_of(gaussians, before, ratio)
    view = small_view(camera, ratio, (-0.3, 0.25))
    rendered = render_small(gaussians, view, TEMPORAL)
    got = accumulate(rendered, view, camera, past, 0, 0.7 / weight_in_motion(ratio))
    images = (rendered.rgb, rendered.rgb_dx, rendered.rgb_dy, rendered.inverse_depth,
              rendered.alpha)  # fmt: skip
    small = [image[0] for image in images if image is not None]
    color, weight = plain_history(small, view, past, motion(camera, before), False, 0.7)
    # A tolerance may fall on the other side at a pixel or two.
    assert ((got.rgb - color).abs() > 1e-3).float().mean() < 2e-3
    assert ((got.weight - weight).abs() > 1e-2 * weight).float().mean() < 2e-3
    followed = weight > plain_history(small, view, None, [], False, 0.0)[1] * 1.01
    assert 0.2 < followed.float().mean() < 1


def test_no_ghosts_where_something_comes_into_sight(gaussians: Gaussians) -> None:
    """The ball moves before the wall: the wall behind its old place is new."""
    ratio, before, camera = 3.0, camera_at(0.0), camera_at(0.5)
    upscaler = Upscaler(UpscaleOptions("temporal", ratio))
    for _ in range(4):
        upscaler.frame(gaussians, before)
    shown = upscaler.frame(gaussians, camera).rgb
    view = small_view(camera, ratio)
    alone = accumulate(render_small(gaussians, view, TEMPORAL), view, camera, None, 0)
    native = picture(gaussians, camera)
    with torch.no_grad():
        depth = render(gaussians, camera, outputs=("depth",)).depth
        past_depth = render(gaussians, before, outputs=("depth",)).depth
    assert depth is not None
    assert past_depth is not None
    uncovered = (depth[0] > 4.5) & (past_depth[0] < 4)
    assert uncovered.sum() > 50
    assert psnr(shown, native, uncovered) >= psnr(alone.rgb, native, uncovered) - 0.2


def test_edits_and_other_looks_are_noticed(gaussians: Gaussians) -> None:
    camera = camera_at(0.1)
    upscaler = Upscaler(UpscaleOptions("temporal", 2.0))

    def settle(scene: Gaussians, **look: torch.Tensor) -> torch.Tensor:
        first = upscaler.frame(scene, camera, **look)
        assert not first.settled
        return [upscaler.frame(scene, camera, **look) for _ in range(3)][-1].rgb

    scene = gaussians.map(torch.clone)
    settle(scene)
    scene.sh[:, 0] += 0.5
    assert (settle(scene) - picture(scene, camera)).abs().max() <= 1 / 255
    white = torch.ones(3)
    shown = settle(scene, background=white)
    expected = render(scene, camera, background=white).rgb[0]
    assert (shown - expected).abs().max() <= 1 / 255
    upscaler.reset()
    assert not upscaler.frame(scene, camera, background=white).settled


def test_another_scene_in_the_same_memory_is_noticed(gaussians: Gaussians) -> None:
    camera = camera_at(0.1)
    upscaler = Upscaler(UpscaleOptions("temporal", 2.0))
    for shift in (0.0, 0.3, -0.3, 0.1, -0.2):
        other = gaussians.map(torch.clone)
        other.sh[:, 0] += shift
        first = upscaler.frame(other, camera)
        fresh = Upscaler(UpscaleOptions("temporal", 2.0)).frame(other, camera)
        assert torch.equal(first.rgb, fresh.rgb)
        del other


def test_highlights_survive_sharpening(gaussians: Gaussians) -> None:
    camera, bright = camera_at(0.1), gaussians.map(torch.clone)
    bright.sh[:, 0] += 3.0
    darker = Grade(exposure=-1.5)
    plain, sharpened = (
        Upscaler(UpscaleOptions("off", sharpness=amount, grade=darker)).frame(bright, camera).rgb
        for amount in (0.0, 0.05)
    )
    shown = plain.clamp(0, 1)
    assert (shown > 0.9).float().mean() > 0.05
    assert (sharpened - shown).abs().mean() < 0.02
