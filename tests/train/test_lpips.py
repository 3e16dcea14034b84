"""LPIPS against its definition, with weights of our own making: the real ones are not ours."""

import pytest
import torch

from splatkit.core import SplatkitError
from splatkit.train import lpips
from splatkit.train.lpips import Lpips, find_lpips

CHANNELS = (4, 4, 6, 6, 6)


def make_weights(seed=0):
    """A thin VGG-16: the layers and names of the real one, a few channels each."""
    generator = torch.Generator().manual_seed(seed)
    backbone, linear, before = {}, {}, 3
    for depth, (block, channels) in enumerate(zip(lpips._BLOCKS, CHANNELS, strict=True)):
        for number in block:
            backbone[f"features.{number}.weight"] = torch.randn(
                channels, before, 3, 3, generator=generator
            )
            backbone[f"features.{number}.bias"] = torch.randn(channels, generator=generator)
            before = channels
        linear[f"lin{depth}.model.1.weight"] = torch.rand(1, channels, 1, 1, generator=generator)
    return backbone, linear


@pytest.fixture
def pictures():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 40, 32, 3, generator=generator)


def test_the_distance_is_that_of_the_paper(pictures):
    """Written once more with torch's layers, in the order of torchvision's VGG-16."""
    backbone, linear = make_weights()
    layers, before = torch.nn.Sequential(), 3
    for depth, (block, channels) in enumerate(zip(lpips._BLOCKS, CHANNELS, strict=True)):
        if depth:
            layers.append(torch.nn.MaxPool2d(2, 2))
        for _ in block:
            layers.extend([torch.nn.Conv2d(before, channels, 3, padding=1), torch.nn.ReLU()])
            before = channels
    layers.load_state_dict({n.removeprefix("features."): t for n, t in backbone.items()})
    mean = torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1)
    deviation = torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1)
    features = (pictures.permute(0, 3, 1, 2) * 2 - 1 - mean) / deviation
    expected, depth = 0.0, 0
    with torch.no_grad():
        for number, layer in enumerate(layers):
            features = layer(features)
            if number in (3, 8, 15, 22, 29):
                unit = features / features.square().sum(1, keepdim=True).sqrt().clamp_min(1e-10)
                difference = (unit[0] - unit[1]).square()
                expected += float(
                    (difference * linear[f"lin{depth}.model.1.weight"][0]).sum(0).mean()
                )
                depth += 1
    assert depth == 5
    distance = Lpips(backbone, linear)
    assert distance(pictures[0], pictures[1]) == pytest.approx(expected, rel=1e-5)
    assert expected > 0.1
    assert distance(pictures[0], pictures[0]) == 0


def test_pixels_outside_the_mask_do_not_count(pictures):
    distance = Lpips(*make_weights())
    spoiled = pictures[0].clone()
    spoiled[:10] = 0.5
    mask = torch.ones(40, 32, dtype=torch.bool)
    mask[:10] = False
    assert distance(spoiled, pictures[0], mask) == 0
    assert distance(spoiled, pictures[0]) > 0


def test_weights_are_taken_where_they_lie_and_nowhere_else(tmp_path, monkeypatch):
    monkeypatch.setenv(lpips.VARIABLE, str(tmp_path))
    assert find_lpips() is None
    backbone, linear = make_weights()
    torch.save(backbone, tmp_path / "vgg16-397923af.pth")
    assert find_lpips() is None
    torch.save(linear, tmp_path / "vgg.pth")
    found = find_lpips()
    assert found is not None
    generator = torch.Generator().manual_seed(5)
    first, second = torch.rand(2, 20, 20, 3, generator=generator)
    assert found(first, second) == Lpips(backbone, linear)(first, second)


def test_damaged_weights_are_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setenv(lpips.VARIABLE, str(tmp_path))
    (tmp_path / "vgg16.pth").write_bytes(b"no weights")
    (tmp_path / "vgg.pth").write_bytes(b"either")
    with pytest.raises(SplatkitError, match="expected LPIPS weights") as caught:
        find_lpips()
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_refused():
    backbone, linear = make_weights()
    with pytest.raises(SplatkitError, match=r"features\.28\.bias"):
        Lpips({n: t for n, t in backbone.items() if n != "features.28.bias"}, linear)
    linear["lin2.model.1.weight"] = torch.ones(1, 5, 1, 1)
    with pytest.raises(SplatkitError, match=r"expected \[1,6,1,1\]"):
        Lpips(backbone, linear)
