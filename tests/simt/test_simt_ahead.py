"""Surfaces made without waiting for the GPU, its kernels run on the CPU, against the reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians
from splatkit.render import get_backend
from splatkit.render.backends import _cuda_ops
from splatkit.render.backends._cuda_work import Allocate
from splatkit.render.backends.base import AdamState, Rasterizer, UpdateOptions, rasterizer_ahead
from splatkit.render.backends.cuda import CudaBackend
from splatkit.train.photos import View
from splatkit.train.surface import Surface, add_surface_gradients
from tests.render.test_step import double, scene
from tests.simt.driver import SimtDriver


def spoilt(device: torch.device) -> Allocate:
    """New memory that shows when it is read before it is written."""

    def allocate(name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        worst = float("nan") if dtype.is_floating_point else torch.iinfo(dtype).max
        return torch.full(shape, worst, dtype=dtype, device=device)

    return allocate


def moments(gaussians: Gaussians, cameras: Cameras, rasterizer: Rasterizer) -> AdamState:
    """What both terms add to new moments."""
    adam = AdamState.zeros_like(gaussians)
    view = View("one", cameras, torch.zeros(1, 27, 33, 3, dtype=torch.uint8))
    update = UpdateOptions(rates={})
    loss = add_surface_gradients(gaussians, adam, view, Surface(shrink=1), update, 4.0, rasterizer)
    assert float(loss) > 0
    return adam


@pytest.mark.parametrize("way", ["cpu", "cuda", "deterministic"])
def test_surfaces_as_the_reference_makes_them(
    way: str, driver: SimtDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    gaussians, cameras = scene(120, 16, 1)
    # Many are behind the camera: their rows are no records.
    gaussians.means[::3, 2] -= 10
    monkeypatch.setattr(_cuda_ops, "fresh", spoilt)
    backend = get_backend("cpu") if way == "cpu" else CudaBackend(driver, way == "deterministic")
    ahead = rasterizer_ahead(backend)
    assert (ahead is backend) == (way == "cpu")
    wanted = moments(gaussians.to(torch.float64), double(cameras), get_backend("torch_ref"))
    for _ in range(2):
        got = moments(gaussians, cameras, ahead)
        for name in ("means", "quats", "log_scales", "logit_opacities"):
            expected = wanted.first[name]
            assert expected.norm() > 0
            assert (got.first[name] - expected).norm() <= 1e-3 * expected.norm(), name
            difference = (got.second[name] - wanted.second[name]).norm()
            assert difference <= 2e-3 * wanted.second[name].norm(), name
        assert not got.first["sh"].any()
