"""The comparison of upscaling modes, small."""

import json
from pathlib import Path

from PIL import Image

from splatkit.io import write_gaussians
from tests.scenes import ball_over_floor


def test_bench_enhance(splatkit, tmp_path: Path) -> None:
    scene, picture = tmp_path / "balls.ply", tmp_path / "crops.png"
    write_gaussians(ball_over_floor(), scene)
    small = ("--width", 192, "--height", 176, "--views", 1, "--frames", 2, "--ratios", "ultra")
    modes = ("--modes", "bicubic,hermite", "--picture", picture)
    answer = splatkit("bench", "enhance", scene, *small, *modes, "--json")
    assert answer.code == 0, answer.err
    (document,) = json.loads(answer.out)
    rows = {row["mode"]: row for row in document["rows"]}
    assert set(rows) == {"bicubic, usual low-pass", "bicubic", "hermite"}
    assert rows["hermite"]["psnr"] > rows["bicubic"]["psnr"]
    assert rows["hermite"]["flip"] < rows["bicubic"]["flip"]
    assert all(row["milliseconds"] > 0 for row in rows.values())
    assert Image.open(picture).size == (4 * 192, 210)
    told = splatkit("bench", "enhance", scene, "--views", 0)
    assert told.code == 2
    assert "--views: expected at least 1, got 0" in told.err


def test_wrong_modes_and_ratios_are_told(splatkit, tmp_path: Path) -> None:
    scene = tmp_path / "balls.ply"
    write_gaussians(ball_over_floor(), scene)
    told = splatkit("bench", "enhance", scene, "--modes", "hermite,dlss")
    assert told.err.startswith("error: --modes: expected any of off, bilinear")
    told = splatkit("bench", "enhance", scene, "--ratios", "2,7")
    assert told.err.startswith("error: --ratios: expected quality (1.5)")
