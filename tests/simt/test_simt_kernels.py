"""Kernels beside the rasterizer, run on the CPU: sort, sample, Morton order, splits, photos."""

from __future__ import annotations

import cv2
import pytest
import torch
from torch import Tensor

from splatkit.render.backends._cuda_compile import options_of
from splatkit.render.backends._cuda_params import divided, interface
from splatkit.render.backends._cuda_sort import SortScratch, sort
from tests.simt.driver import SimtDriver

CONSTANTS = interface().constants


def sorted_pairs(driver: SimtDriver, keys: Tensor, passes: int) -> tuple[Tensor, Tensor]:
    """Keys in order, and where each stood."""
    digits = CONSTANTS["SORT_DIGITS"]
    blocks = divided(len(keys), CONSTANTS["SORT_BLOCK_ITEMS"])

    def zeros(count: int) -> Tensor:
        return torch.zeros(count, dtype=torch.int32)

    lookbacks = [zeros(blocks * digits) for _ in range(passes)]
    scratch = SortScratch(zeros(passes * digits), zeros(passes), lookbacks)
    values = (zeros(len(keys)), zeros(len(keys)))
    count = torch.tensor([len(keys)], dtype=torch.int32)
    return sort(driver, (keys.clone(), keys.clone()), values, scratch, count, False)


@pytest.mark.parametrize("count", [1, 31, 3072, 3073, 10000])
def test_sort_is_stable_and_unsigned(count: int, driver: SimtDriver, shuffled: SimtDriver) -> None:
    g = torch.Generator().manual_seed(count)
    keys = torch.randint(-(2**31), 2**31 - 1, (count,), generator=g).to(torch.int32)
    keys[::3] = keys[0]
    expected = (keys.long() & 0xFFFFFFFF).sort(stable=True)
    for each in (driver, shuffled):
        found, places = sorted_pairs(each, keys, 4)
        assert torch.equal(found.long() & 0xFFFFFFFF, expected.values)
        assert torch.equal(places.long(), expected.indices)
    short = (keys.long() & 0xFFFFFFFF).remainder(8160).to(torch.int16)
    _, places = sorted_pairs(driver, short, 2)
    assert torch.equal(places.long(), short.sort(stable=True).indices)


def test_sample_follows_the_weights(driver: SimtDriver) -> None:
    weights = torch.zeros(4000)
    weights[:3000] = 1.0
    weights[3000:3500] = 8.0
    keys = torch.empty(4000, dtype=torch.int32)
    values = {"weights": weights, "keys": keys, "seed": 77, "count": 4000}
    driver.launch("sample_keys", (), divided(4000, 256), 256, values)
    first = (keys.long() & 0xFFFFFFFF).argsort(stable=True)[:200]
    assert (weights[first] > 0).all()
    heavy = int((first >= 3000).sum())
    # 4000 of 7000 shares lie on the heavy ones: 114 of 200, deviation 7.
    assert 85 <= heavy <= 143


@pytest.mark.parametrize(("width", "height"), [(20, 15), (13, 9), (40, 30)])
def test_photos_shrink_as_on_the_cpu(width: int, height: int, driver: SimtDriver) -> None:
    g = torch.Generator().manual_seed(width)
    photo = torch.randint(0, 256, (30, 40, 3), generator=g).to(torch.uint8)
    small = torch.empty(height, width, 3, dtype=torch.uint8)
    values = {
        "from": photo,
        "to": small,
        "from_width": 40,
        "from_height": 30,
        "width": width,
        "height": height,
        "channels": 3,
    }
    driver.launch("shrink_image", options_of({}), divided(width * height, 256), 256, values)
    expected = cv2.resize(photo.numpy(), (width, height), interpolation=cv2.INTER_AREA)
    assert (small.int() - torch.from_numpy(expected).int()).abs().max() <= 1
