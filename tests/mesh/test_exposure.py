"""Photos of varied exposure get the scene's own before a mesh takes its colours from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from splatkit.core import Gaussians, drain
from splatkit.core.sh import sh_from_rgb
from splatkit.io import write_gaussians, write_json
from splatkit.io.images import write_image
from splatkit.mesh.exposure import neutral_photos
from splatkit.mesh.options import MESH_PRESETS, MeshOptions, MeshPreset
from splatkit.mesh.pipeline import make_mesh, read_surface
from splatkit.render import render
from splatkit.train.photos import View
from tests.scenes import ball_over_floor, ring, write_run

BLACK = torch.zeros(3)
PHOTOS = 8


def scene() -> Gaussians:
    """Balls and a floor of many colours, none so bright that a gain cuts it off."""
    gaussians = ball_over_floor(600)
    colors = 0.4 + 0.3 * (2 * gaussians.means).sin()
    return replace(gaussians, sh=sh_from_rgb(colors)[:, None])


def pictures() -> torch.Tensor:
    """[P,1,H,W,3] what the scene shows."""
    return render(scene(), ring(PHOTOS).to(torch.float32)).rgb.clamp(0, 1)[:, None]


def spoiled() -> torch.Tensor:
    """The same, bright from the side of the first and dark from behind."""
    gains = torch.tensor([1.3, 1.3, 1.3, 0.7, 0.65, 0.7, 1.3, 1.3])
    return pictures() * gains.view(-1, 1, 1, 1, 1)


def in_bytes(picture: torch.Tensor) -> torch.Tensor:
    return (picture.clamp(0, 1) * 255).round().byte()


def test_photos_become_what_the_scene_shows() -> None:
    cameras = ring(PHOTOS).to(torch.float32)
    views = [
        View(f"{index}.png", cameras[index : index + 1], in_bytes(picture))
        for index, picture in enumerate(spoiled())
    ]
    found = drain(neutral_photos(scene(), views, scene().means, BLACK))
    covered = render(scene(), cameras).alpha[:, None] > 0.5
    before, after = (
        float((torch.stack([view.image for view in some]) / 255 - pictures())[covered].abs().mean())
        for some in (views, found)
    )
    assert after < 0.2 * before
    assert [view.name for view in found] == [view.name for view in views]


def test_a_mesh_of_varied_photos_has_the_scene_s_colours(tmp_path: Path, monkeypatch) -> None:
    effort = MeshPreset(12_000, 2_000, 256, 12, 2_000, 60)
    monkeypatch.setitem(MESH_PRESETS, "draft", effort)
    run = write_run(tmp_path / "run", PHOTOS)
    write_gaussians(scene(), run / "exports" / "scene.ply")
    folder = run / "scene" / "images"
    options = MeshOptions(preset="draft", colors="vertex", sky=False)

    def colors(photos: torch.Tensor, exposure: str) -> torch.Tensor:
        for index, picture in enumerate(photos):
            write_image(folder / f"{index:03d}.png", in_bytes(picture)[0].numpy())
        told = {"preset": "draft", "resize": "auto", "exposure": exposure, "surface": True}
        write_json(run / "config.json", told)
        made = drain(make_mesh(run, tmp_path / "made.glb", options))
        assert made.stats["mean"]["psnr_cc"] > made.stats["mean"]["psnr"]
        found = read_surface(made.path)[0].colors
        assert found is not None
        return found

    clean = colors(pictures(), "same")
    plain, neutral = (
        (colors(spoiled(), exposure) - clean).abs().mean() for exposure in ("same", "varies")
    )
    assert neutral < 0.4 * plain
