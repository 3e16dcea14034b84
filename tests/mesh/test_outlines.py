"""Bright sky behind a surface does not pull its outline outwards, whether it is written or not."""

from pathlib import Path

import pytest
import torch

from splatkit.core import Gaussians, Photo, Scene, Triangles, drain
from splatkit.core.sh import sh_from_rgb
from splatkit.io import mesh_glb, write_gaussians, write_json
from splatkit.io.images import write_image
from splatkit.io.scene import save_scene
from splatkit.mesh.options import MESH_PRESETS, MeshOptions, MeshPreset
from splatkit.mesh.pipeline import make_levels, make_mesh
from splatkit.render import render_triangles
from tests.mesh.ball import ball, cameras

SKY = torch.tensor([0.9, 0.95, 1.0])


@pytest.fixture(autouse=True)
def little_effort(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough steps for vertices to go far."""
    monkeypatch.setitem(MESH_PRESETS, "draft", MeshPreset(6_000, 1_000, 128, 40, 2_000, 60))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with photos of the ball before a bright sky, and Gaussians all over the ball."""
    folder, seen, size = tmp_path_factory.mktemp("outlines") / "run", cameras(), 0.05
    pictures = render_triangles(ball(), seen, background=SKY, supersample=2).rgb
    assert pictures is not None
    photos = []
    (folder / "scene" / "images").mkdir(parents=True)
    for index, picture in enumerate((pictures * 255).round().byte().numpy()):
        path = folder / "scene" / "images" / f"{index}.png"
        write_image(path, picture)
        viewmat, K = seen.viewmats[index].double(), seen.Ks[index].double()
        photos.append(Photo(path.name, path, seen.width, seen.height, viewmat, K))
    save_scene(Scene(photos, torch.zeros(1, 3), torch.zeros(1, 3)), folder / "scene")
    write_json(folder / "config.json", {"preset": "draft", "resize": "auto"})
    places, colors = ball().vertices, ball().colors
    assert colors is not None
    gaussians = Gaussians(
        means=places * (1 - 2 * size),
        quats=torch.tensor([1.0, 0, 0, 0]).repeat(len(places), 1),
        log_scales=torch.full((len(places), 3), size).log(),
        logit_opacities=torch.full((len(places),), 4.0),
        sh=sh_from_rgb(colors)[:, None],
    )
    write_gaussians(gaussians, folder / "exports" / "scene.ply")
    return folder


def outline_share(mesh: Triangles) -> float:
    """The area that the cameras see of a mesh, of that of the ball."""
    drawn, truth = (render_triangles(each, cameras()).ids >= 0 for each in (mesh, ball()))
    return float(drawn.sum() / truth.sum())


def test_levels_of_a_written_surface_keep_its_outline(
    run: Path, tmp_path: Path, monkeypatch
) -> None:
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    target = tmp_path / "a.glb"
    mesh_glb.write(ball(), target)
    monkeypatch.setitem(MESH_PRESETS, "draft", MeshPreset(6_000, 1_000, 128, 120, 2_000, 60))
    options = MeshOptions(preset="draft", colors="vertex", lods=(0.2,))
    drain(make_levels(run, target, options))
    share = outline_share(mesh_glb.read(tmp_path / "a_lod1.glb"))
    assert 0.9 < share < 1.08


def test_a_surface_and_its_level_without_a_sky_keep_their_outline(
    run: Path, tmp_path: Path
) -> None:
    pytest.importorskip("xatlas", reason="needs the extra mesh")
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    target = tmp_path / "a.glb"
    made = drain(make_mesh(run, target, MeshOptions(preset="draft", sky=False, lods=(0.5,))))
    assert made.stats["sky_triangles"] == 0
    for name in ("a.glb", "a_lod1.glb"):
        mesh = mesh_glb.read(tmp_path / name)
        assert float(mesh.vertices.norm(dim=-1).max()) < 2
        assert 0.9 < outline_share(mesh) < 1.05
