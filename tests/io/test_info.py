"""What ``info`` says, the same for every format, and the warnings that it gives."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from format_cases import scene

from splatkit.core import Gaussians
from splatkit.core.similarity import transformed
from splatkit.io import info, ply, write_gaussians
from splatkit.io._describe import up_axis
from tests.export.clouds import few_formats

WRITTEN = [known.suffix for known in few_formats()]


@pytest.mark.parametrize("suffix", WRITTEN)
def test_every_format_says_the_same(tmp_path, suffix):
    original = scene(300, 1)
    path = tmp_path / f"a{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_gaussians(original, path)
    told = info(path)
    json.dumps(told, allow_nan=False)
    assert (told["num_gaussians"], told["sh_degree"]) == (300, 0 if suffix == ".splat" else 1)
    assert told["bounds"]["min"] == pytest.approx(original.means.amin(0).tolist(), abs=0.01)
    assert told["bulk_center"] == pytest.approx(original.means.median(0).values.tolist(), abs=0.01)
    assert told["median_splat"] == pytest.approx(float(original.scales.amax(1).median()), rel=0.04)
    assert told["quantization"]
    files = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert (told["not_finite"], told["bytes"]) == (0, files)
    if suffix in (".ply", ".compressed.ply", ".sog"):
        assert told["producer"].startswith("splatkit")


def test_faults_are_warned_of(tmp_path):
    bad = scene(100, 0)
    bad.means[0, 0] = math.nan
    bad = replace(bad, logit_opacities=bad.logit_opacities - 4.0, log_scales=bad.log_scales.clone())
    bad.log_scales[1:4] = 4.0
    write_gaussians(bad, tmp_path / "a.ply")
    told = info(tmp_path / "a.ply")
    assert (told["not_finite"], told["giant"]) == (1, 3)
    assert told["nearly_transparent"] == int((bad.opacities[1:] < 1 / 255).sum()) > 5
    text = "; ".join(told["warnings"])
    assert "1 Gaussians hold NaN" in text
    assert "too transparent" in text
    assert "3 are larger than the bulk of the scene" in text


def test_dialects_are_warned_of(tmp_path):
    names = [
        "x",
        "y",
        "z",
        "opacity",
        "scale_0",
        "scale_1",
        "scale_2",
        "rot_0",
        "rot_1",
        "rot_2",
        "rot_3",
    ]
    head = (
        "ply\nformat binary_big_endian 1.0\ncomment created with Postshot 1.2\nelement vertex 5\n"
    )
    head += "".join(f"property double {name}\n" for name in names)
    head += "".join(f"property uchar {name}\n" for name in ("red", "green", "blue"))
    fields = [(name, ">f8") for name in names] + [(n, "u1") for n in ("red", "green", "blue")]
    (tmp_path / "a.ply").write_bytes(f"{head}end_header\n".encode() + np.ones(5, fields).tobytes())
    told = info(tmp_path / "a.ply")
    assert told["producer"] == "Postshot 1.2"
    text = "; ".join(told["warnings"])
    for part in ("binary big", "plain colours", "no nx, ny, nz"):
        assert part in text


def room(count: int = 4000) -> Gaussians:
    """A wide floor at y = 1, thin posts on it, one wall."""
    generator = torch.Generator().manual_seed(0)
    means = torch.rand(count, 3, generator=generator) * torch.tensor([4.0, 2.0, 4.0])
    log_scales = torch.full((count, 3), -3.0)
    floor, wall = slice(0, count // 2), slice(count // 2, 3 * count // 4)
    means[floor, 1], log_scales[floor, 1] = 2.0, -6.0
    means[wall, 0], log_scales[wall, 0] = 0.0, -6.0
    quats = torch.tensor([1.0, 0, 0, 0]).repeat(count, 1)
    return Gaussians(means, quats, log_scales, torch.ones(count), torch.zeros(count, 1, 3))


def test_the_way_up_is_guessed():
    assert up_axis(room()) == "-y"
    turns = {"z": [[1, 0, 0], [0, 0, 1], [0, -1, 0]], "y": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
             "-x": [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]}  # fmt: skip
    for name, matrix in turns.items():
        assert up_axis(transformed(room(), torch.tensor(matrix, dtype=torch.float64))) == name
    assert up_axis(scene(500)) is None


def test_a_scene_on_its_side_says_what_to_do(tmp_path):
    turn = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    ply.write(transformed(room(), turn), tmp_path / "a.ply")
    assert any("export with --up z" in text for text in info(tmp_path / "a.ply")["warnings"])
