"""A network for one scene is kept only where it is better."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from splatkit.core import Cameras, Gaussians, UsageError, drain, intrinsics
from splatkit.enhance import per_scene
from splatkit.enhance.network import SHAPES, Residual, load_network, save_network
from splatkit.enhance.per_scene import SceneTraining, enlarged, on_screen, train_for_scene
from splatkit.enhance.training import RATIOS, make_sample
from splatkit.export import open_scene
from tests.enhance.conftest import camera_at
from tests.scenes import write_run

SMALL = {"pieces": 8, "side": 48}


def test_what_is_no_better_is_not_kept(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    options = SceneTraining(iterations=1, **SMALL)
    result = drain(train_for_scene(open_scene(run), None, options))
    assert not result["kept"]
    assert result["file"] is None
    assert not (run / "enhance").exists()


def test_what_is_better_is_written(tmp_path: Path) -> None:
    run, start = write_run(tmp_path / "run"), tmp_path / "start.safetensors"
    network = Residual(SHAPES["s"])
    torch.nn.init.constant_(network.leave.bias, 0.3)
    save_network(network, start, {})
    options = SceneTraining(start=str(start), iterations=60, **SMALL)
    result = drain(train_for_scene(open_scene(run), None, options))
    assert result["kept"]
    assert result["psnr"]["trained"] > result["psnr"]["start"] + 3
    assert Path(result["file"]) == run / "enhance" / "network.safetensors"
    load_network(result["file"])


def test_photos_can_be_the_target(tmp_path: Path) -> None:
    """The photos of this run are grey: to look like them is to lose the scene's colours."""
    run = write_run(tmp_path / "run")
    options = SceneTraining(target="photos", iterations=80, **SMALL)
    result = drain(train_for_scene(open_scene(run), tmp_path / "net.safetensors", options))
    assert result["kept"]
    assert result["psnr"]["hermite"] < 20
    assert result["psnr"]["trained"] > result["psnr"]["hermite"] + 0.5


def test_all_ratios_and_sizes_are_learned_from_many_photos(tmp_path: Path, monkeypatch) -> None:
    scene = open_scene(write_run(tmp_path / "run"))
    photos = [replace(photo, name=f"{n} {photo.name}") for n in range(9) for photo in scene.photos]
    seen = []

    def noted(gaussians, camera, ratio, background, truth, backend, counts):
        wide = camera.Ks[0, 0, 0] > 1.5 * scene.photos[0].K[0, 0]
        seen.append((ratio, bool(wide), tuple(camera.viewmats.flatten().tolist())))
        return torch.zeros(1)

    monkeypatch.setattr(per_scene, "make_sample", noted)
    options = SceneTraining(pieces=48, side=32)
    behind = (0.0, 0.0, 0.0)
    drain(per_scene._pieces(scene.gaussians, behind, photos, 48, options, "", "ignore"))
    assert {(ratio, wide) for ratio, wide, _ in seen} == {
        (ratio, wide) for ratio in RATIOS for wide in (False, True)
    }
    assert len({view for _, _, view in seen}) == len(scene.photos)


def test_masked_pixels_are_not_learned(gaussians: Gaussians) -> None:
    camera = camera_at(0.1)
    truth = torch.rand(camera.height, camera.width, 3)
    counts = torch.zeros(camera.height, camera.width, dtype=torch.bool)
    counts[: camera.height // 2] = True
    missing = make_sample(gaussians, camera, 2.0, truth=truth, counts=counts).missing
    assert missing[:, : camera.height // 2].abs().mean() > 0.1
    assert (missing[:, camera.height // 2 :] == 0).all()


def test_a_scene_without_photos_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    scene = open_scene(run / "exports" / "scene.ply")
    with pytest.raises(UsageError, match="got 0 and 0"):
        drain(train_for_scene(scene, None, SceneTraining()))


def test_small_photos_fill_a_screen_and_large_ones_stay() -> None:
    camera = Cameras(
        torch.eye(4)[None], intrinsics(400.0, 400.0, 290.0, 240.0)[None].float(), 600, 480
    )
    large = on_screen(camera)
    assert (large.width, large.height) == (1350, 1080)
    torch.testing.assert_close(large.Ks[0, :2], camera.Ks[0, :2] * 2.25)
    again = on_screen(camera.resized(3000, 2400))
    assert (again.width, again.height) == (3000, 2400)
    picture = torch.linspace(0.1, 0.9, 600).expand(480, 600)[..., None]
    shown = enlarged(picture, large)
    assert shown.shape == (1080, 1350, 1)
    expected = torch.linspace(0.1, 0.9, 1350).expand(1080, 1350)[..., None]
    assert (shown - expected).abs().max() < 2e-3
