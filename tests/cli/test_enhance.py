"""Upscaling and grading on the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from splatkit.enhance.network import load_network
from splatkit.io import write_gaussians
from tests.scenes import ball_over_floor, write_run


def frame(splatkit, scene: Path, *words: object) -> np.ndarray:
    """[H,W,3] 0..1 the only picture that a command line gives."""
    folder = scene.parent / f"out{len(list(scene.parent.iterdir()))}"
    common = ("--path", "orbit", "--frames", 1, "--format", "png", "--width", 96, "--height", 64)
    answer = splatkit("render", scene, *common, "-o", folder, *words)
    assert answer.code == 0, answer.err
    return np.asarray(Image.open(folder / "orbit" / "00000.png")) / 255.0


def test_render_upscales_and_grades(splatkit, tmp_path: Path) -> None:
    scene = tmp_path / "balls.ply"
    write_gaussians(ball_over_floor(), scene)
    plain = frame(splatkit, scene)
    upscaled = frame(splatkit, scene, "--upscale", "hermite", "--ratio", "quality")
    assert upscaled.shape == plain.shape
    assert 0 < np.abs(upscaled - plain).mean() < 0.01
    grey = frame(splatkit, scene, "--saturation", 0)
    assert np.abs(grey[..., 0] - grey[..., 2]).max() < 1 / 128
    assert np.abs(plain[..., 0] - plain[..., 2]).max() > 0.05


def test_colours_change_in_a_part_of_the_scene(splatkit, tmp_path: Path) -> None:
    scene = tmp_path / "balls.ply"
    write_gaussians(ball_over_floor(), scene)
    plain = frame(splatkit, scene)
    everywhere = ("-100", "-100", "-100", "100", "100", "100")
    grey = ("--saturation", 0)
    inside = frame(splatkit, scene, *grey, "--enhance-inside", *everywhere)
    outside = frame(splatkit, scene, *grey, "--enhance-outside", *everywhere)
    assert np.abs(inside - plain).max() > 0.1
    assert np.abs(outside - plain).max() < 0.05
    both = ("--enhance-outside", 0, 0, 0, 1, "--enhance-inside", 0, 0, 0, 1)
    assert splatkit("render", scene, *both).code == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--ratio 3", "--ratio: expected --upscale MODE with it, got none"),
        ("--upscale hermite --network m", "--network: expected --upscale neural"),
        ("--upscale hermite --strength 0.5", "--strength: expected --upscale neural"),
        ("--upscale fsr1 --upscale-engine onnxruntime", "--upscale-engine: expected --upscale"),
        ("--upscale neural --temporal-weight 0", "--temporal-weight: expected --upscale temporal"),
        ("--upscale hermite --enhance-inside 0 0 0 1", "--enhance-inside: expected --upscale neu"),
        ("--saturation 0 --outputs depth", "--outputs: expected rgb among them"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    splatkit, tmp_path: Path, words: str, message: str
) -> None:
    scene = tmp_path / "balls.ply"
    write_gaussians(ball_over_floor(), scene)
    answer = splatkit("render", scene, *words.split())
    assert answer.code == 2
    assert answer.err.startswith(f"error: {message}")
    assert [file.name for file in tmp_path.iterdir()] == ["balls.ply"]


def test_a_network_is_trained_and_written_for_others(splatkit, tmp_path: Path) -> None:
    run, file = write_run(tmp_path / "run"), tmp_path / "net.onnx"
    answer = splatkit("enhance", "train", run, "--iterations", 1, "--json")
    assert answer.code == 0, answer.err
    assert set(json.loads(answer.out)["psnr"]) == {"hermite", "start", "trained"}
    assert splatkit("enhance", "train", run, "--network", tmp_path / "none").code != 0
    pytest.importorskip("onnx", reason="needs the extra onnx")
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    assert splatkit("enhance", "onnx", "-o", file).code == 0
    session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    seen = np.random.default_rng(0).random((1, 8, 32, 48)).astype(np.float32)
    (found,) = session.run(None, {given.name: seen})
    expected = load_network("s")(torch.from_numpy(seen)).detach().numpy()
    assert np.abs(found - expected).max() < 1e-5


def test_wrong_names_are_told(splatkit, tmp_path: Path) -> None:
    scene = tmp_path / "balls.ply"
    write_gaussians(ball_over_floor(), scene)
    answer = splatkit("render", scene, "--upscale", "dlss")
    assert answer.code == 2
    assert answer.err.startswith("error: --upscale: expected one of off, bilinear")
    answer = splatkit("render", scene, "--upscale", "hermite", "--ratio", "7")
    assert answer.code == 2
    assert "from 1.3 to 3, got '7'" in answer.err
