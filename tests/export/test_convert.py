"""``splatkit export``: formats, turns, crops, and the check of what was written."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import pytest
import torch

from splatkit.core import Gaussians, SplatkitError, UsageError, drain
from splatkit.core.sh import basis
from splatkit.core.transforms import covariance_from_scale_rotation
from splatkit.export import convert
from splatkit.export.convert import ExportOptions, export_scene, prepared, rotation_of
from splatkit.io import read_gaussians, write_gaussians


def scene(count: int = 60, degree: int = 2, seed: int = 0) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return Gaussians(
        means=normal(count, 3) * torch.tensor([1.0, 2.0, 3.0]) + torch.tensor([1.0, -2.0, 4.0]),
        quats=normal(count, 4),
        log_scales=normal(count, 3) * 0.3 - 1,
        logit_opacities=normal(count) * 2,
        sh=normal(count, (degree + 1) ** 2, 3) * 0.1,
    )


def run(source, target, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return drain(export_scene(source, target, ExportOptions(backend="torch_ref", **options)))


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    """The reference rasterizer compares, and takes its time over large ones."""
    monkeypatch.setattr(convert, "CHECK_SIZE", (48, 36))


WRITTEN = ("ply", "compressed.ply", "spz", "sog", "splat", "npz")


@pytest.mark.parametrize("end", WRITTEN)
def test_every_pair_of_formats_shows_the_same(tmp_path, end):
    # Random colours of degree 4 are more than SPZ's 4 bits can show faithfully.
    write_gaussians(scene(degree=2 if end == "spz" else 4), tmp_path / "first.ply")
    middle = tmp_path / f"middle.{end}"
    done = run(tmp_path / "first.ply", middle)
    assert (done.num_gaussians, done.bytes) == (60, middle.stat().st_size)
    assert done.sh_degree == read_gaussians(middle).sh_degree
    assert done.psnr is None or done.psnr > 38
    for last in WRITTEN:
        target = tmp_path / f"last.{last}"
        assert run(middle, target, check=False).num_gaussians == 60
        means = read_gaussians(target).means
        assert float(torch.cdist(scene().means, means).min(1).values.max()) < 0.02


def test_axes_that_pointed_up_point_up():
    for name, axis in convert.UP.items():
        turn = rotation_of(ExportOptions(up=name))
        assert turn is not None
        start = torch.tensor(axis, dtype=torch.float64)
        assert torch.equal(turn @ start, torch.tensor([0.0, -1, 0], dtype=torch.float64))
        assert float(torch.linalg.det(turn)) == 1.0


def test_turns_are_about_x_then_y_then_z_by_the_right_hand():
    def turned(rotate, point):
        matrix = rotation_of(ExportOptions(rotate=rotate))
        assert matrix is not None
        return matrix @ torch.tensor(point, dtype=torch.float64)

    close = {"rtol": 0, "atol": 1e-12}
    expect = [((90, 0, 0), (0, 1, 0), (0, 0, 1)), ((0, 90, 0), (0, 0, 1), (1, 0, 0)),
              ((0, 0, 90), (1, 0, 0), (0, 1, 0)), ((90, 90, 0), (0, 1, 0), (1, 0, 0))]  # fmt: skip
    for rotate, point, goal in expect:
        goal = torch.tensor(goal, dtype=torch.float64)
        torch.testing.assert_close(turned(rotate, point), goal, **close)


def test_shape_place_and_colour_turn_together():
    before = scene().to(torch.float64)
    options = ExportOptions(up="z", rotate=(10, 20, 30), scale=2.5)
    after = prepared(before, options)
    turn = rotation_of(options)
    torch.testing.assert_close(after.means, 2.5 * before.means @ turn.mT)
    covariances = covariance_from_scale_rotation(before.scales, before.quats)
    torch.testing.assert_close(
        covariance_from_scale_rotation(after.scales, after.quats),
        2.5**2 * turn @ covariances @ turn.mT,
    )
    direction = torch.tensor([0.36, 0.48, 0.8], dtype=torch.float64)
    torch.testing.assert_close(
        torch.einsum("k,nkc->nc", basis(2, turn @ direction), after.sh),
        torch.einsum("k,nkc->nc", basis(2, direction), before.sh),
    )


def test_crop_and_degree():
    before = scene()
    box = (0.0, -3.0, 0.0, 2.0, 0.0, 9.0)
    after = prepared(before, ExportOptions(crop=box, sh_degree=1))
    inside = [all(box[i] <= v <= box[i + 3] for i, v in enumerate(m)) for m in before.means]
    assert 0 < sum(inside) < 60
    assert len(after) == sum(inside)
    assert after.sh_degree == 1
    assert prepared(before, ExportOptions(sh_degree=4)).sh_degree == 2
    with pytest.raises(UsageError, match="none of the 60 Gaussians"):
        prepared(before, ExportOptions(crop=(90.0, 90, 90, 91, 91, 91)))


def test_spz_versions(tmp_path):
    write_gaussians(scene(), tmp_path / "a.ply")
    run(tmp_path / "a.ply", tmp_path / "b.spz", spz_version=3)
    assert (tmp_path / "b.spz").read_bytes()[:2] == b"\x1f\x8b"
    run(tmp_path / "a.ply", tmp_path / "b.spz")
    assert (tmp_path / "b.spz").read_bytes()[:4] == b"NGSP"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"up": "w"}, "--up: expected one of x, neg-x"),
        ({"sh_degree": 5}, "--sh-degree: expected 0 to 4, got 5"),
        ({"scale": -1.0}, "--scale: expected a positive number"),
        ({"rotate": (math.nan, 0, 0)}, "--rotate"),
        ({"crop": (1.0, 0, 0, 0, 1, 1)}, "--crop: expected low x y z below"),
        ({"spz_version": 3}, "--spz-version: expected a target ending in .spz"),
    ],
)
def test_options_that_cannot_be(tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        run(tmp_path / "absent.ply", tmp_path / "b.ply", **options)


def test_a_target_of_no_format_is_refused_before_reading(tmp_path):
    with pytest.raises(UsageError, match=r"b\.obj: expected a file name ending in"):
        run(tmp_path / "absent.ply", tmp_path / "b.obj")


def test_what_a_format_cannot_show_is_an_error(tmp_path):
    # SPZ holds base colours up to 1.44 only.
    glowing = scene(degree=0)
    glowing = replace(glowing, sh=glowing.sh + 8, logit_opacities=glowing.logit_opacities - 4)
    write_gaussians(glowing, tmp_path / "a.ply")
    with pytest.raises(SplatkitError, match=r"dB only \(expected 38\).*--no-check"):
        run(tmp_path / "a.ply", tmp_path / "b.spz")
    assert run(tmp_path / "a.ply", tmp_path / "b.spz", check=False).psnr is None
    # The colours that .splat clamps are no fault of its writer; a warning names them.
    assert run(tmp_path / "a.ply", tmp_path / "b.splat").psnr > 40


def test_the_check_sees_a_mirrored_file(tmp_path, monkeypatch):
    write_gaussians(scene(), tmp_path / "a.ply")

    def mirrored(path):
        read = read_gaussians(path)
        return replace(read, means=read.means * torch.tensor([-1.0, 1, 1]))

    monkeypatch.setattr(convert, "read_gaussians", mirrored)
    with pytest.raises(SplatkitError, match="dB only"):
        run(tmp_path / "a.ply", tmp_path / "b.ply")


def test_an_empty_scene_is_written(tmp_path):
    write_gaussians(scene(0), tmp_path / "a.ply")
    done = run(tmp_path / "a.ply", tmp_path / "b.spz")
    assert (done.num_gaussians, done.psnr) == (0, None)
