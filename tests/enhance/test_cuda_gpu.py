"""Upscaling on a GPU against the CPU, and replayed networks against the same ones run plainly."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from splatkit.core import Gaussians
from splatkit.enhance.inference import TorchEngine
from splatkit.enhance.network import FOLD, load_network, unfolded
from splatkit.enhance.options import Grade, UpscaleOptions
from splatkit.enhance.upscaler import Upscaler
from splatkit.render import get_backend
from splatkit.render.backends import _cuda_device
from tests.enhance.conftest import camera_at

WIDTH, HEIGHT = 85, 61
"""Odd, so that folding has a border."""


@pytest.fixture(scope="module", autouse=True)
def _gpu() -> None:
    reason = _cuda_device.obstacle()
    if reason is not None:
        pytest.skip(f"needs a GPU that the CUDA backend can use: {reason}")


def frames(
    options: UpscaleOptions, backend: str, gaussians: Gaussians, places: list[float]
) -> list[Tensor]:
    """Pictures [H,W,3] of one upscaler, on the CPU, the camera at these places."""
    upscaler = Upscaler(options, get_backend(backend))
    marked = torch.arange(len(gaussians)) >= 700
    shown = []
    for x in places:
        camera = camera_at(x, WIDTH, HEIGHT)
        picture = upscaler.frame(gaussians, camera, background=torch.ones(3) / 3, marked=marked)
        assert picture.rgb.device.type == get_backend(backend).device.type
        shown.append(picture.rgb.cpu().clone())
    return shown


def check_frames(options: UpscaleOptions, gaussians: Gaussians, places: list[float]) -> None:
    """Hold the pictures of the GPU against those of the CPU."""
    got, expected = (frames(options, name, gaussians, places) for name in ("cuda", "cpu"))
    for one, other in zip(got, expected, strict=True):
        assert one.shape == (HEIGHT, WIDTH, 3)
        # Where splats are at the cut-off of 1/255 renders differ, too.
        assert ((one - other).abs() > 1 / 255).float().mean() < 2e-3


@pytest.mark.parametrize("ratio", [1.5, 2.0, 3.0])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "fsr1", "hermite", "neural"])
def test_pictures(mode: str, ratio: float, gaussians: Gaussians) -> None:
    options = UpscaleOptions(mode, ratio, sharpness=0.4, grade=Grade(saturation=1.2))
    check_frames(options, gaussians, [0.2, 0.3])


@pytest.mark.parametrize("where", ["inside", "outside"])
def test_a_part_alone(where: str, gaussians: Gaussians) -> None:
    options = UpscaleOptions("neural", 2.0, strength=0.7, sharpness=0.4, where=where)
    check_frames(options, gaussians, [0.2])


@pytest.mark.parametrize("ratio", [1.5, 3.0])
def test_frames_over_time(ratio: float, gaussians: Gaussians) -> None:
    """Motion, then rest."""
    options = UpscaleOptions("temporal", ratio)
    check_frames(options, gaussians, [0.0, 0.02, 0.06, *[0.1] * 5])


def test_replays_are_the_network_itself() -> None:
    """For every picture of a size, and when the size changes and comes back."""
    device = get_backend("cuda").device
    network = load_network("s")
    engine, g = TorchEngine(network, device), torch.Generator().manual_seed(0)
    plain = load_network("s").to(device, torch.float16).to(memory_format=torch.channels_last)
    captured = []
    for height, width in ((HEIGHT, WIDTH), (HEIGHT, WIDTH), (40, 32), (HEIGHT, WIDTH)):
        seen = torch.rand(8, height, width, generator=g).to(device)
        got = engine(seen)
        last = (0, width % FOLD, 0, height % FOLD)
        even = torch.nn.functional.pad(seen[None], last, mode="replicate").half()
        folded = pixel_unshuffle(even, FOLD).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            expected = unfolded(plain.folded(folded))[0, :, :height, :width]
        assert torch.equal(got.cpu(), expected.float().cpu())
        captured.append(engine.replayed(height, width))
    assert captured[0] is captured[1]
    assert captured[1] is not captured[3]
