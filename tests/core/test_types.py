"""The core types refuse what does not fit and keep what does."""

import pytest
import torch

from splatkit.core import (
    Cameras,
    Event,
    Gaussians,
    Photo,
    Progress,
    Scene,
    SplatkitError,
    check,
    drain,
    intrinsics,
)
from splatkit.core.transforms import rotation_from_quat


def _gaussians(count: int = 4, degree: int = 1) -> Gaussians:
    generator = torch.Generator().manual_seed(count)
    shapes = [(count, 3), (count, 4), (count, 3), (count,), (count, (degree + 1) ** 2, 3)]
    tensors = [torch.randn(shape, generator=generator) for shape in shapes]
    return Gaussians(*tensors, extra={"id": torch.arange(count)})


def test_check_binds_letters_across_tensors():
    assert check(a=(torch.zeros(5, 3), "N 3"), b=(torch.zeros(5), "N")) == {"N": 5}
    assert check(a=(torch.zeros(2, 7, 4, 4), "... 4 4")) == {}
    with pytest.raises(SplatkitError, match=r"b: expected shape \[N\] with N=5, got \[6\]"):
        check(a=(torch.zeros(5, 3), "N 3"), b=(torch.zeros(6), "N"))
    with pytest.raises(SplatkitError, match=r"a: expected shape \[N 3\], got \[5\]"):
        check(a=(torch.zeros(5), "N 3"))
    with pytest.raises(
        SplatkitError, match=r"a: expected a floating-point tensor, got torch\.int64"
    ):
        check(a=(torch.zeros(5, dtype=torch.int64), "N"))
    with pytest.raises(
        SplatkitError, match=r"b: expected torch\.float32 on cpu like a, got torch\.float64"
    ):
        check(a=(torch.zeros(5), "N"), b=(torch.zeros(5, dtype=torch.float64), "N"))


def test_gaussians_refuse_mismatched_rows():
    good = _gaussians()
    with pytest.raises(
        SplatkitError, match=r"quats: expected shape \[N 4\] with N=4, got \[3, 4\]"
    ):
        Gaussians(good.means, good.quats[:3], good.log_scales, good.logit_opacities, good.sh)
    with pytest.raises(SplatkitError, match=r"extra\['id'\]: expected 4 rows, got \[2\]"):
        Gaussians(**good.parameters(), extra={"id": torch.zeros(2)})


def test_selection_and_concatenation_carry_extra():
    whole = _gaussians(6)
    mask = torch.tensor([True, False, True, False, False, True])
    joined = Gaussians.concatenate([whole[mask], whole[~mask]])
    assert joined.extra["id"].tolist() == [0, 2, 5, 1, 3, 4]
    order = joined.extra["id"].argsort()
    torch.testing.assert_close(joined[order].sh, whole.sh)
    assert len(whole[:0]) == 0


def test_dtype_change_keeps_integer_extras():
    double = _gaussians().to(torch.float64)
    assert double.means.dtype == torch.float64
    assert double.extra["id"].dtype == torch.int64


def test_finite_mask_sees_every_parameter():
    for name in ("means", "quats", "log_scales", "logit_opacities", "sh"):
        gaussians = _gaussians()
        getattr(gaussians, name)[2] = float("nan")
        assert gaussians.finite_mask().tolist() == [True, True, False, True]
    assert _gaussians(0).finite_mask().tolist() == []


def test_unprojected_pixels_project_to_their_centres():
    viewmat = torch.eye(4)
    viewmat[:3, :3] = rotation_from_quat(torch.tensor([0.8, 0.1, -0.5, 0.3]))
    viewmat[:3, 3] = torch.tensor([0.3, -1.0, 2.0])
    camera = Cameras(viewmat[None], intrinsics(9.0, 7.0, 2.5, 1.0)[None].float(), 6, 4)
    depth = 1 + torch.rand(1, 4, 6)
    there = torch.nn.functional.pad(camera.unprojected(depth), (0, 1), value=1.0) @ viewmat.T
    torch.testing.assert_close(there[..., 2], depth)
    pixels = there[..., :3] @ camera.Ks[0].T / depth[..., None]
    rows, columns = torch.meshgrid(torch.arange(4) + 0.5, torch.arange(6) + 0.5, indexing="ij")
    torch.testing.assert_close(pixels[0, ..., 0], columns)
    torch.testing.assert_close(pixels[0, ..., 1], rows)


def test_camera_positions_and_resizing():
    viewmat = torch.eye(4, dtype=torch.float64)
    viewmat[:3, 3] = torch.tensor([1.0, 2.0, 3.0])
    cameras = Cameras(viewmat[None], intrinsics(100, 110, 40, 30)[None], 80, 60)
    assert cameras.positions.tolist() == [[-1.0, -2.0, -3.0]]
    half = cameras.resized(40, 30)
    assert half.Ks[0].diagonal().tolist() == [50.0, 55.0, 1.0]
    assert half.Ks[0, :2, 2].tolist() == [20.0, 15.0]
    with pytest.raises(SplatkitError, match="expected an image of at least 1x1 pixels, got 0x60"):
        Cameras(viewmat[None], intrinsics(1, 1, 0, 0)[None], 0, 60)
    with pytest.raises(SplatkitError, match="expected a model out of pinhole, got 'fisheye'"):
        Cameras(viewmat[None], intrinsics(1, 1, 0, 0)[None], 8, 6, "fisheye")


def test_scene_splits_photos_and_measures_extent(tmp_path):
    def photo(name: str, x: float, held_out: bool) -> Photo:
        viewmat = torch.eye(4, dtype=torch.float64)
        viewmat[0, 3] = -x
        return Photo(
            name, tmp_path / name, 8, 6, viewmat, intrinsics(9, 9, 4, 3), held_out=held_out
        )

    photos = [photo("a.jpg", -2, True), photo("b.jpg", 0, False), photo("c.jpg", 2, False)]
    scene = Scene(photos, torch.zeros(0, 3), torch.zeros(0, 3))
    assert [p.name for p in scene.held_out_photos] == ["a.jpg"]
    assert [p.name for p in scene.training_photos] == ["b.jpg", "c.jpg"]
    assert scene.extent == pytest.approx(2.0)
    with pytest.raises(SplatkitError, match="expected unique photo names"):
        Scene([photos[0], photos[0]], torch.zeros(0, 3), torch.zeros(0, 3))


def test_drain_returns_the_result():
    def work():
        yield Progress("Counting", 1, 2)
        yield Event()
        return "done"

    assert drain(work()) == "done"
