"""Upscaling on a GPU, without one: the bodies of ``test_cuda_gpu.py``, kernels on the CPU.

Tensors only say that they are on a GPU (``tests/render/pretended.py``), and graphs are lists of
operations (``captured.py``): what would mix devices, or replay into another memory, shows.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from splatkit.core import Gaussians
from splatkit.enhance import inference
from splatkit.render import get_backend
from splatkit.render.backends import _cuda_device
from splatkit.render.backends.cuda import CudaBackend
from tests.enhance import test_cuda_gpu as on_gpu
from tests.enhance.captured import capture_graph, captures, modules_that_pretend
from tests.enhance.conftest import camera_at
from tests.render.pretended import GPU, pretended_gpu
from tests.simt.driver import COMPILER, SimtDriver

pytestmark = pytest.mark.skipif(not COMPILER, reason="no g++ to compile the kernels with")


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[CudaBackend]:
    """A GPU that pretends, as the backend ``cuda``."""
    cpu = get_backend("cpu")
    captures.clear()
    with pretended_gpu(monkeypatch):
        cuda = CudaBackend(SimtDriver(device=GPU))

        def chosen(name: str = "auto", device: object = None) -> object:
            return cpu if name == "cpu" else cuda

        for module in (on_gpu, "splatkit.render.rows", "splatkit.render.api"):
            place = module if isinstance(module, str) else module.__name__
            monkeypatch.setattr(f"{place}.get_backend", chosen)
        monkeypatch.setattr(_cuda_device, "obstacle", lambda: None)
        monkeypatch.setattr(inference, "capture_graph", capture_graph)
        with modules_that_pretend():
            yield cuda


def launched(backend: CudaBackend) -> set[str]:
    """Names of the kernels that ran."""
    driver = backend.driver
    assert isinstance(driver, SimtDriver)
    return {kernel for kernel, _ in driver.launched}


@pytest.mark.parametrize(
    ("mode", "kernels"),
    [
        ("bilinear", set()),
        ("bicubic", {"upscale_hermite"}),
        ("fsr1", {"upscale_fsr"}),
        ("hermite", {"upscale_hermite"}),
        ("neural", {"upscale_hermite", "upscale_features", "upscale_add"}),
    ],
)
def test_pictures(mode: str, kernels: set[str], backend: CudaBackend, gaussians: Gaussians) -> None:
    on_gpu.test_pictures(mode, 1.5, gaussians)
    assert kernels | {"sharpen_image"} == {
        name for name in launched(backend) if name.startswith(("upscale", "sharpen"))
    }
    # One graph for both pictures.
    assert len(captures) == (mode == "neural")


def test_a_part_alone(backend: CudaBackend, gaussians: Gaussians) -> None:
    on_gpu.test_a_part_alone("inside", gaussians)


def test_frames_over_time(backend: CudaBackend, gaussians: Gaussians) -> None:
    on_gpu.test_frames_over_time(3.0, gaussians)
    assert "upscale_history" in launched(backend)


def test_replays(backend: CudaBackend) -> None:
    on_gpu.test_replays_are_the_network_itself()
    assert len(captures) == 3
    assert min(captures) > 10


def test_a_scene_of_the_cpu_is_brought_over_once(
    backend: CudaBackend, gaussians: Gaussians
) -> None:
    """And a picture from the same place goes on with the past, unless the scene was edited."""
    upscaler = on_gpu.Upscaler(on_gpu.UpscaleOptions("temporal", 2.0), backend)
    scene, camera = gaussians.map(torch.clone), camera_at(0.1, 24, 16)

    def settled() -> list[bool]:
        return [upscaler.frame(scene, camera).settled for _ in range(4)]

    assert settled() == [False, False, False, True]
    (kept,) = upscaler._display._kept.values()
    assert kept.gaussians.device == GPU
    scene.sh[:, 0] += 0.5
    assert settled() == [False, False, False, True]
