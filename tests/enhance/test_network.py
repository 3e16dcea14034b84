"""The network: what it is given, what it adds, its files and its engines."""

from pathlib import Path

import pytest
import torch

from splatkit.core import Gaussians, SplatkitError, UsageError, drain
from splatkit.enhance import UpscaleOptions, Upscaler
from splatkit.enhance.inference import OnnxEngine, TorchEngine, make_engine
from splatkit.enhance.network import (
    SHAPES,
    WEIGHTS,
    Residual,
    load_network,
    save_network,
)
from splatkit.enhance.scenes import made_up_camera, made_up_scene
from splatkit.enhance.training import (
    TrainingOptions,
    gain,
    make_sample,
    train_network,
    window,
)
from tests.enhance.conftest import camera_at

CPU = torch.device("cpu")


def some_network(size: str = "s") -> Residual:
    """One that adds something."""
    torch.manual_seed(0)
    network = Residual(SHAPES[size])
    torch.nn.init.normal_(network.leave.weight, std=0.3)
    return network.eval()


def test_sizes() -> None:
    assert sum(p.numel() for p in Residual(SHAPES["s"]).parameters()) <= 15_000
    assert sum(p.numel() for p in Residual(SHAPES["m"]).parameters()) <= 60_000
    for name in SHAPES:
        assert (WEIGHTS / f"{name}.safetensors").stat().st_size <= 100_000


def test_strength_0_is_hermite_to_the_bit(gaussians: Gaussians) -> None:
    camera = camera_at(0.2)
    hermite, none, half, full = (
        Upscaler(options).frame(gaussians, camera).rgb
        for options in (
            UpscaleOptions("hermite", 2.0),
            UpscaleOptions("neural", 2.0, strength=0.0),
            UpscaleOptions("neural", 2.0, strength=0.5),
            UpscaleOptions("neural", 2.0),
        )
    )
    assert torch.equal(none, hermite)
    assert not torch.equal(full, hermite)
    torch.testing.assert_close(half, 0.5 * (full + hermite), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_shipped_is_better_on_scenes_it_has_not_seen(name: str) -> None:
    generator = torch.Generator().manual_seed(9)
    samples = []
    for seed in (200_001, 200_002, 200_003):
        piece = window(made_up_camera(seed, 288, 216), 1.5, 128, generator)
        grey = torch.tensor([0.5, 0.5, 0.5])
        samples.append(make_sample(made_up_scene(seed), piece, 2.0, grey))
    before, after = gain(load_network(name), samples)
    assert after > before + 0.2


def test_files(tmp_path: Path) -> None:
    network, file = some_network("m"), tmp_path / "m.safetensors"
    save_network(network, file, {"made": "here"})
    back = load_network(file)
    other = tmp_path / "other"
    other.touch()
    assert file.stat().st_mode == other.stat().st_mode
    seen = torch.rand(1, 8, 12, 10)
    assert torch.equal(back(seen), network(seen))
    with pytest.raises(UsageError, match="one of: m, s"):
        load_network(tmp_path / "none.safetensors")
    file.write_bytes(b"no network")
    with pytest.raises(SplatkitError, match="expected weights of an upscaling network"):
        load_network(file)
    with pytest.raises(UsageError, match="engine: expected one of torch, onnxruntime"):
        make_engine(network, CPU, "abacus")


@pytest.mark.parametrize("size", [(36, 50), (37, 51)])
def test_engines_agree(size: tuple[int, int]) -> None:
    network, seen = some_network(), torch.rand(8, *size)
    exact = TorchEngine(network, CPU, torch.float32)(seen)
    assert exact.shape == (3, *size)
    fast = TorchEngine(network, CPU)(seen)
    assert (fast - exact).abs().max() < 0.02 * exact.abs().max()
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    assert (OnnxEngine(network)(seen) - exact).abs().max() < 1e-5


def test_training_improves_and_repeats_itself() -> None:
    generator = torch.Generator().manual_seed(3)
    scene = made_up_scene(1)
    pieces = [window(made_up_camera(i, 160, 120), 1.0, 64, generator) for i in range(4)]
    samples = [make_sample(scene, piece, 2.0) for piece in pieces]
    options = TrainingOptions(iterations=40, batch=4, crop=48)
    first, second = (drain(train_network(samples, options)) for _ in range(2))
    before, after = gain(first, samples)
    assert after > before + 0.1
    assert gain(second, samples)[1] == pytest.approx(after, abs=0.1)
