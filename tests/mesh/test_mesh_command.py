"""``splatkit mesh``: a run folder in, a file that shows the same out; and what it refuses."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from splatkit.cli import main
from splatkit.core import Event, Gaussians, Note, Progress, SplatkitError, Triangles, drain
from splatkit.io import mesh_glb, read_json, write_gaussians, write_json
from splatkit.io.images import write_image
from splatkit.mesh.collision import is_watertight
from splatkit.mesh.options import MESH_PRESETS, Colors, MeshOptions, MeshPreset, Mode
from splatkit.mesh.pipeline import make_levels, make_mesh, projected_edge, read_surface
from splatkit.render import render
from splatkit.train.config import TrainConfig
from tests.mesh.ball import photos
from tests.scenes import ball_over_floor, ring, write_run


@pytest.fixture(autouse=True)
def little_effort(monkeypatch: pytest.MonkeyPatch) -> None:
    """All stages, each as short as the pictures are small."""
    monkeypatch.setitem(MESH_PRESETS, "draft", MeshPreset(12_000, 2_000, 256, 12, 2_000, 60))


def finished(folder: Path) -> Path:
    """A run whose Gaussians, two balls over a floor, are what its photos show."""
    write_run(folder)
    write_json(folder / "config.json", {"preset": "draft", "resize": "auto"})
    pictures = render(ball_over_floor(), ring().to(torch.float32)).rgb
    for index, picture in enumerate((pictures.clamp(0, 1) * 255).round().byte().numpy()):
        write_image(folder / "scene" / "images" / f"{index:03d}.png", picture)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("mesh") / "run")


def test_an_edited_run_makes_a_mesh_and_is_measured(run: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("xatlas", reason="needs the extra mesh")
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    once, twice = tmp_path / "once", tmp_path / "twice"
    assert main(["edit", str(run), "--scale", "2", "-o", str(once)]) == 0
    assert main(["edit", str(once), "--max-gaussians", "110", "-o", str(twice)]) == 0
    capsys.readouterr()
    assert main(["eval", str(twice), "--json"]) == 0
    stats = json.loads(capsys.readouterr().out)
    assert stats["num_gaussians"] == 110
    assert stats["mean"]["psnr"] > 25
    assert (twice / "report.html").is_file()
    assert main(["mesh", str(twice), "--preset", "draft", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mean"]["psnr"] > 15
    # Training has no part in an edited scene, and never writes over it.
    assert main(["train", "--resume", "-o", str(twice)]) == 2


def test_a_textured_mesh_is_written_and_compared(run: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("xatlas", reason="needs the extra mesh")
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    target = tmp_path / "a.glb"
    words = ["--preset", "draft", "--triangles", "800", "-o", str(target), "--json"]
    assert main(["mesh", str(run), *words]) == 0
    stats = json.loads(capsys.readouterr().out)
    assert stats["path"] == str(target)
    assert 100 < stats["triangles"] <= 800
    assert stats["non_manifold_edges"] == 0
    assert stats["reimport_psnr"] > 48
    assert stats["mean"]["psnr"] > 15
    assert read_json(target.with_suffix(".json"))["triangles"] == stats["triangles"]
    mesh, sky = read_surface(target)
    assert len(mesh) == stats["triangles"]
    assert sky is not None
    assert len(sky) == stats["sky_triangles"] > 50
    # It is far away, and the photos' own place on the texture is not taken by it.
    assert float(sky.vertices.norm(dim=-1).min()) > float(mesh.vertices.norm(dim=-1).max())
    assert mesh.texture is not None
    # The floor of the scene is below its balls.
    floor = mesh.vertices[mesh.vertices[:, 1] > 0.6]
    assert len(floor) > 20


def test_vertex_colours_and_the_default_place(run: Path, capsys, monkeypatch) -> None:
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    # As if the run had many photos, and --surface had not been asked for.
    monkeypatch.setattr(TrainConfig, "makes_surfaces", lambda self, _: self.surface)
    words = ["--preset", "draft", "--colors", "vertex", "--triangles", "500", "--time-limit", "5m"]
    further = ["--lods", "0.5", "0.2", "--collision", "2000", "--no-sky"]
    assert main(["mesh", str(run), *words, *further]) == 0
    target = run / "mesh" / "surface.glb"
    told = capsys.readouterr()
    printed = told.out
    assert str(target) in printed
    assert "trained without --surface" in told.err
    counts = [len(mesh_glb.read(target))]
    for level in (1, 2):
        path = target.with_name(f"surface_lod{level}.glb")
        assert f"{path}: " in printed
        counts.append(len(mesh_glb.read(path)))
    assert counts[0] * 0.4 < counts[1] <= counts[0] / 2
    # Its borders keep more than the fifth.
    assert counts[2] < 0.8 * counts[1]
    shape = mesh_glb.read(target.with_name("surface_collision.glb"))
    assert is_watertight(shape)
    assert len(shape) <= 2000
    mesh = mesh_glb.read(target)
    assert mesh.colors is not None
    assert torch.isfinite(mesh.colors).all()


def test_photos_with_alpha_have_no_sky(tmp_path: Path, capsys) -> None:
    pytest.importorskip("xatlas", reason="needs the extra mesh")
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    run = finished(tmp_path / "run")
    pictures = render(ball_over_floor(), ring().to(torch.float32))
    both = torch.cat((pictures.rgb, pictures.alpha[..., None]), -1)
    for index, picture in enumerate((both.clamp(0, 1) * 255).round().byte().numpy()):
        write_image(run / "scene" / "images" / f"{index:03d}.png", picture)
    assert main(["mesh", str(run), "--preset", "draft", "--triangles", "800", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sky_triangles"] == 0


def test_levels_of_a_textured_surface_with_a_sky(run: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("xatlas", reason="needs the extra mesh")
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    target = tmp_path / "a.glb"
    words = ["--preset", "draft", "--triangles", "800", "-o", str(target), "--lods", "0.5"]
    assert main(["mesh", str(run), *words]) == 0
    assert " of sky" in capsys.readouterr().out
    near, far = read_surface(target)
    assert far is not None
    alone, none = read_surface(tmp_path / "a_lod1.glb")
    assert none is None
    assert len(alone) < 0.8 * len(near)
    # The same of the file alone, as bundles ask for it.
    (level,) = drain(make_levels(run, target, MeshOptions(preset="draft", lods=(0.5,))))
    assert level["triangles"] < 0.8 * len(near)


def test_splats_are_written_and_compared(run: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    target = tmp_path / "a.glb"
    words = ["--mode", "splats", "--preset", "draft", "--triangles", "400", "-o", str(target)]
    assert main(["mesh", str(run), *words, "--json"]) == 0
    stats = json.loads(capsys.readouterr().out)
    assert stats["mode"] == "splats"
    assert 50 < stats["triangles"] <= 400
    assert stats["reimport_psnr"] > 48
    assert stats["mean"]["psnr"] > 15
    assert mesh_glb.read(target).colors is not None


def test_splats_tell_when_no_time_is_left_to_fit_them(
    run: Path, tmp_path: Path, monkeypatch
) -> None:
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    monkeypatch.setattr("splatkit.mesh.pipeline.TIME_SHARE", 0.0)
    options = MeshOptions(mode="splats", preset="draft", triangles=400, time_limit="9m")
    notes = [e.text for e in make_mesh(run, tmp_path / "a.glb", options) if isinstance(e, Note)]
    assert any("--time-limit 9m: over before" in note for note in notes)
    assert len(mesh_glb.read(tmp_path / "a.glb")) > 50


def test_levels_get_their_share_of_the_time(run: Path, tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    # A clock that goes on by a second each time that somebody looks at it.
    clock: Iterator[int] = count()
    ticking = SimpleNamespace(monotonic=lambda: float(next(clock)))
    monkeypatch.setattr("splatkit.mesh.pipeline.time", ticking)
    options = MeshOptions(
        preset="draft", colors="vertex", triangles=500, lods=(0.5,), time_limit="17s"
    )
    events: list[Event] = list(make_mesh(run, tmp_path / "a.glb", options))
    steps = [e for e in events if isinstance(e, Progress) and e.stage == "Painting"]
    main, level = ([step.done for step in steps if step.total == total] for total in (12, 6))
    assert 3 < len(main) < 12
    assert 1 < len(level) < 6
    told = [e.text for e in events if isinstance(e, Note) and e.warning]
    assert len(told) == 2
    assert all("--time-limit 17s: over before" in text for text in told)
    # All of it, levels included.
    assert read_json(tmp_path / "a.json")["seconds"] > 12


def test_a_surface_painted_in_time_says_nothing(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    options = MeshOptions(preset="draft", colors="vertex", triangles=500, time_limit="1h")
    events: list[Event] = list(make_mesh(run, tmp_path / "a.glb", options))
    assert not any(isinstance(event, Note) and event.warning for event in events)


def test_a_mesh_that_is_replaced_takes_what_belongs_to_it_along(
    run: Path, tmp_path: Path, monkeypatch
) -> None:
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    options = MeshOptions(preset="draft", colors="vertex", triangles=500)
    further = [tmp_path / name for name in ("a_lod1.glb", "a_collision.glb", "a.json")]
    target, other = tmp_path / "a.glb", tmp_path / "a_lodge.glb"
    for file in (target, other, *further):
        file.write_bytes(b"")

    def killed(path: Path) -> Triangles:
        raise KeyboardInterrupt

    monkeypatch.setattr("splatkit.mesh.pipeline.mesh_glb.read", killed)
    with pytest.raises(KeyboardInterrupt):
        drain(make_mesh(run, target, options))
    assert target.stat().st_size > 0
    assert not any(file.exists() for file in further)
    assert other.is_file()


def test_a_mesh_stays_where_its_shape_cannot_be_made(run: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    target = tmp_path / "a.glb"
    words = ["--preset", "draft", "--colors", "vertex", "--triangles", "500", "--collision", "4"]
    assert main(["mesh", str(run), *words, "-o", str(target)]) == 1
    told = capsys.readouterr().err
    assert "so few do not enclose the surface" in told
    assert f"{target} is written, without a shape" in told
    stats = read_json(tmp_path / "a.json")
    assert len(read_surface(target)[0]) == stats["triangles"]
    assert stats["collision"] is None
    assert not target.with_suffix(".partial").exists()


@pytest.mark.parametrize("module", ["xatlas", "fast_simplification", "coacd"])
def test_a_missing_library_is_told_before_the_work(
    run: Path, tmp_path: Path, monkeypatch, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    options = MeshOptions(preset="draft", collision=500, convex=4)
    done = []
    with pytest.raises(SplatkitError, match=r"expected the package .*splatkit\[mesh\]"):
        done += (
            event.stage
            for event in make_mesh(run, tmp_path / "a.glb", options)
            if isinstance(event, Progress)
        )
    assert "Looking for surfaces" not in done


def test_a_triangle_that_reaches_behind_the_camera_has_no_length_in_pixels() -> None:
    view = photos()[0]
    forward, place = view.camera.viewmats[0, 2, :3], view.camera.positions[0]
    across = torch.linalg.cross(forward, torch.tensor([0.0, 1, 0]))
    corners = torch.stack((-20 * forward, 9 * forward + 9 * across, 9 * forward - 9 * across))
    below = torch.tensor([[0.0, 0.2, 0]])
    mesh = Triangles(place + corners + below, torch.tensor([[0, 1, 2]]).int())
    assert projected_edge(mesh, view) == 0.0


def test_options_that_mean_the_same_are_the_same() -> None:
    assert MeshOptions().facts() == MeshOptions(colors="texture").facts()
    assert MeshOptions().facts() != MeshOptions(colors="vertex").facts()
    some = (MeshOptions(mode="splats", colors=colors).facts() for colors in (None, "vertex"))
    assert len({str(facts) for facts in some}) == 1


@pytest.mark.parametrize(
    ("mode", "colors", "stage"),
    [
        ("surface", "texture", "Painting"),
        ("surface", "vertex", "Painting"),
        ("splats", "vertex", "Fitting triangles"),
    ],
)
def test_a_stopped_mesh_goes_on_where_it_was(
    run: Path, tmp_path: Path, monkeypatch, mode: Mode, colors: Colors, stage: str
) -> None:
    pytest.importorskip("xatlas", reason="needs the extra mesh")
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    monkeypatch.setattr("splatkit.mesh.kept.SAVE_SECONDS", 0.0)
    target = tmp_path / "a.glb"
    options = MeshOptions(mode=mode, colors=colors, preset="draft", triangles=800)
    work = make_mesh(run, target, options)
    while not (isinstance(event := next(work), Progress) and event.stage == stage):
        pass
    # It is kept when the next one is asked for.
    next(work)
    work.close()
    assert not target.exists()
    again, told = make_mesh(run, target, replace(options, resume=True)), []
    for event in again:
        told += [(event.stage, event.done)] if isinstance(event, Progress) else []
    assert not any(name.startswith(("Fusing", "Looking for surfaces")) for name, _ in told)
    assert next(done for name, done in told if name == stage) == 2
    near, far = read_surface(target)
    assert len(near) > 100
    assert (far is None) == (mode == "splats")
    assert not target.with_suffix(".partial").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["{run}", "-o", "a.obj"], 2, "a.obj: expected a name ending in .glb"),
        (["{run}", "--triangles", "3"], 2, "--triangles: expected 100 to 5000000, got 3"),
        (["{run}", "--time-limit", "soon"], 2, "--time-limit: expected a time like"),
        (["{run}", "--mode", "splats", "--colors", "texture"], 2, "--colors: expected vertex"),
        (["{run}", "--lods", "2"], 2, "--lods: expected shares between 0 and 1, got [2.0]"),
        (["{run}", "--mode", "splats", "--lods", ".5"], 2, "--lods: expected a surface"),
        (["{run}", "--collision", "3"], 2, "--collision: expected at least 4 triangles, got 3"),
        (["{run}", "--convex", "8"], 2, "--convex: expected --collision TRIANGLES with it"),
        (["{run}", "--collision", "900", "--convex", "0"], 2, "--convex: expected 1 to 256 pieces"),
        (["{run}", "--mode", "splats", "--tangents"], 2, "--tangents: expected a surface with a"),
        (["{run}", "--mode", "splats", "--texture-side", "512"], 2, "--texture-side: expected a"),
        (["{run}", "--colors", "vertex", "--texture-side", "512"], 2, "--texture-side: expected a"),
        (["{run}", "--mode", "splats", "--no-sky"], 2, "--no-sky: expected a surface, got --mode"),
        (["{run}", "--texture-side", "9"], 2, "--texture-side: expected 64 to 16384, got 9"),
        (["{run}", "--preset", "best"], 2, "--preset: expected one of draft, standard, high"),
        (["nowhere"], 2, "nowhere: expected a run folder, found none there"),
        (["."], 1, "expected the folder of a finished run, but config.json is missing"),
    ],
)
def test_bad_use(run: Path, tmp_path: Path, monkeypatch, capsys, words, code, message) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["mesh", *(word.format(run=run) for word in words)]) == code
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_two_cameras_or_nothing_to_see_are_told(tmp_path: Path, capsys) -> None:
    pytest.importorskip("xatlas", reason="needs the extra mesh")
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    few, empty = finished(tmp_path / "few"), finished(tmp_path / "empty")
    told = read_json(few / "scene" / "scene.json")
    told["photos"] = told["photos"][:3]
    write_json(few / "scene" / "scene.json", told)
    assert main(["mesh", str(few)]) == 1
    told = capsys.readouterr().err
    assert "expected at least 3 photos to see surfaces from, got 2" in told
    assert "(and 1 held out for evaluation, not counted)" in told
    faint = ball_over_floor()
    faint = Gaussians(
        faint.means, faint.quats, faint.log_scales, faint.logit_opacities - 9, faint.sh
    )
    write_gaussians(faint, empty / "exports" / "scene.ply")
    assert main(["mesh", str(empty), "--preset", "draft"]) == 1
    assert "expected a scene with surfaces, but no view shows any" in capsys.readouterr().err
    assert not (empty / "mesh").exists()
