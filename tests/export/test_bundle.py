"""``splatkit export RUN --bundle``: all that one program wants, in one place and one frame."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from splatkit.cli import main
from splatkit.core import Gaussians, Triangles
from splatkit.export.engines import ENGINES
from splatkit.io import mesh_glb, read_gaussians, read_json, write_json
from splatkit.io.axes import world_from_axes
from splatkit.io.registry import format_to_write
from splatkit.mesh.collision import is_watertight
from splatkit.mesh.convex import is_convex
from splatkit.mesh.kept import Kept
from splatkit.mesh.physics import Collision, read_collision
from splatkit.mesh.pipeline import read_surface
from tests.gltf_validator import issues_of
from tests.mesh.ball import ball
from tests.mesh.test_mesh_command import finished
from tests.scenes import ball_over_floor

# What each program makes of the numbers of a GLB and of a splat file: its own x, y, z, of which the
# last column says which is up.
AS_IT_IS = torch.eye(3, dtype=torch.float64)
Z_UP = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=torch.float64)
IMPORTED = {
    "three": (AS_IT_IS, AS_IT_IS, 1),
    "playcanvas": (AS_IT_IS, AS_IT_IS, 1),
    "unity": (torch.diag(torch.tensor([-1.0, 1, 1])).double(), AS_IT_IS, 1),
    "godot": (AS_IT_IS, torch.diag(torch.tensor([-1.0, -1, 1])).double(), 1),
    "isaac": (Z_UP, AS_IT_IS, 2),
    # The add-on's "-90 degrees about x".
    "blender": (Z_UP, -Z_UP @ torch.diag(torch.tensor([-1.0, 1, 1])).double(), 2),
}


def marks() -> Triangles:
    """Triangles whose corners are where the Gaussians are, in their order."""
    places = ball_over_floor().means
    colors = torch.rand(len(places), 3, generator=torch.Generator().manual_seed(0))
    return Triangles(places, torch.arange(len(places)).view(-1, 3).int(), colors=colors)


def with_meshes(
    folder: Path,
    surface: Triangles | None = None,
    *,
    sky: Triangles | None = None,
    shares: tuple[float, float] = (0.3, 0.1),
) -> Path:
    """A run that ``splatkit mesh`` was used on."""
    run = finished(folder)
    mesh = run / "mesh" / "surface.glb"
    mesh_glb.write(surface or marks(), mesh, beside={} if sky is None else {"sky": sky})
    for level in (1, 2):
        mesh_glb.write(ball(2 - level), mesh.with_name(f"surface_lod{level}.glb"))
    levels = [{"file": f"surface_lod{level}.glb", "share": shares[level - 1]} for level in (1, 2)]
    write_json(mesh.with_suffix(".json"), {"levels": levels})
    Collision(ball(2), (ball(1), ball(0))).write(mesh.with_name("surface_collision.glb"))
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_meshes(tmp_path_factory.mktemp("bundle") / "run")


def bytes_of(run: Path) -> dict[str, bytes]:
    """All that a run has of meshes."""
    return {file.name: file.read_bytes() for file in (run / "mesh").glob("*.*") if file.is_file()}


def bundled(run: Path, out: Path, target: str, *more: str) -> dict:
    if target == "isaac":
        pytest.importorskip("pxr", reason="needs the extra usd")
    assert main(["export", str(run), str(out), "--bundle", "--target", target, *more]) == 0
    return read_json(out / "bundle.json")


def raw(gaussians: Gaussians, path: Path) -> torch.Tensor:
    """[N,3] means as they stand in a file, from what was read of it."""
    return gaussians.means.double() @ world_from_axes(format_to_write(path)[0].axes)


@pytest.mark.parametrize("target", ENGINES)
def test_a_bundle_holds_what_it_says(run: Path, tmp_path: Path, target: str, capsys) -> None:
    facts = bundled(run, tmp_path / "out", target)
    names = {
        facts[part]["file"] for part in ("splats", "mesh", "collision")
    } | {level["file"] for level in facts["levels"]}  # fmt: skip
    assert {file.name for file in (tmp_path / "out").iterdir()} == names | {
        "bundle.json", "IMPORT.md",
    }  # fmt: skip
    notes = (tmp_path / "out" / "IMPORT.md").read_text()
    assert all(name in notes for name in names)
    assert "ntried" in notes or "Tried with" in notes
    assert not any(
        f"{{{name}}}" in notes for name in ("mesh", "lods", "collision", "splats", "scene")
    )
    assert str(tmp_path / "out") in capsys.readouterr().out
    # Normals are written for programs that draw with lights.
    assert b"NORMAL" in (tmp_path / "out" / facts["mesh"]["file"]).read_bytes()
    assert len(read_gaussians(tmp_path / "out" / facts["splats"]["file"])) == 120


@pytest.mark.parametrize("target", IMPORTED)
def test_mesh_and_splats_stand_in_the_same_place(run: Path, tmp_path: Path, target: str) -> None:
    facts = bundled(run, tmp_path / "out", target, "--rotate", "0", "30", "0", "--scale", "2")
    mesh_turn, splat_turn, up = IMPORTED[target]
    mesh = mesh_glb.read(tmp_path / "out" / facts["mesh"]["file"])
    numbers = mesh.vertices.double() @ world_from_axes("LUF") @ mesh_turn.mT
    splats = tmp_path / "out" / facts["splats"]["file"]
    places = raw(read_gaussians(splats), splats) @ splat_turn.mT
    # Formats may order Gaussians anew: the nearest one of each is asked for.
    assert torch.cdist(numbers, places).amin(1).max() < 0.01
    # And up is up: the ball of the scene is above its floor.
    assert numbers[:60, up].mean() > numbers[60:, up].mean()


def test_the_sky_stays_a_mesh_of_its_own(tmp_path: Path) -> None:
    sky = replace(ball(1), vertices=50 * ball(1).vertices)
    run = with_meshes(tmp_path / "run", sky=sky)
    facts = bundled(run, tmp_path / "out", "three")
    near, far = read_surface(tmp_path / "out" / facts["mesh"]["file"])
    assert far is not None
    assert (len(near), len(far)) == (len(marks()), len(ball(1)))
    assert facts["sky"]["mesh"] == "sky_scene"
    assert facts["sky"]["radius"] == pytest.approx(50, rel=0.1)
    assert "`sky_scene`" in (tmp_path / "out" / "IMPORT.md").read_text()
    # How large the scene is, is not how large its sky is.
    assert max(facts["size"]) < 10


def test_shapes_for_physics_have_the_names_that_engines_know(run: Path, tmp_path: Path) -> None:
    facts = bundled(run, tmp_path / "unreal", "unreal")
    shapes = mesh_glb.read_shapes(tmp_path / "unreal" / facts["mesh"]["file"])
    assert list(shapes) == ["UCX_scene_00", "UCX_scene_01"]
    assert all(is_convex(shape) and is_watertight(shape) for shape in shapes.values())
    facts = bundled(run, tmp_path / "godot", "godot")
    shapes = mesh_glb.read_shapes(tmp_path / "godot" / facts["mesh"]["file"])
    assert list(shapes) == ["scene_collision-colonly"]
    assert is_watertight(shapes["scene_collision-colonly"])
    facts = bundled(run, tmp_path / "convex", "godot", "--convex", "2")
    shapes = mesh_glb.read_shapes(tmp_path / "convex" / facts["mesh"]["file"])
    assert list(shapes) == ["scene_00-convcolonly", "scene_01-convcolonly"]
    facts = bundled(run, tmp_path / "unity", "unity")
    assert is_watertight(mesh_glb.read(tmp_path / "unity" / facts["collision"]["file"]))


@pytest.mark.parametrize("target", ENGINES)
def test_shapes_without_pieces(run: Path, tmp_path: Path, target: str) -> None:
    facts = bundled(run, tmp_path / "out", target, "--convex", "0")
    assert facts["collision"]["pieces"] == 0
    # Godot alone knows a closed shape in the mesh's file by its name.
    name = "scene_mesh.glb" if target == "godot" else "scene_collision.glb"
    assert facts["collision"]["file"] == name
    assert len(mesh_glb.read(tmp_path / "out" / "scene_mesh.glb")) == len(marks())
    shapes = mesh_glb.read_shapes(tmp_path / "out" / name)
    closed = shapes.get("scene_collision-colonly") or mesh_glb.read(tmp_path / "out" / name)
    assert len(closed) == len(ball(2))
    assert is_watertight(closed)


@pytest.mark.parametrize(
    ("words", "closed", "pieces"),
    [
        (["--collision", "1000", "--convex", "2"], 1000, 2),
        # What is closed stays as it is.
        (["--convex", "1"], len(ball(4)), 1),
    ],
)
def test_a_shape_that_is_too_large_is_made_anew(
    tmp_path: Path, words: list[str], closed: int, pieces: int
) -> None:
    for package in ("fast_simplification", "coacd"):
        pytest.importorskip(package, reason="needs the extra mesh")
    run = with_meshes(tmp_path / "run", ball(3))
    Collision(ball(4), (ball(1), ball(0))).write(run / "mesh" / "surface_collision.glb")
    facts = bundled(run, tmp_path / "out", "unreal", *words)["collision"]
    assert closed / 2 < facts["triangles"] <= closed
    assert 1 <= facts["pieces"] <= pieces
    kept = read_collision(run / "mesh" / "surface_collision.glb")
    assert (len(kept.closed), len(kept.pieces)) == (facts["triangles"], facts["pieces"])
    told = read_json(run / "mesh" / "surface.json")
    assert told["collision"]["pieces"] == facts["pieces"]
    assert len(told["levels"]) == 2
    assert not (run / "mesh" / "surface.partial").exists()


def test_a_shape_of_an_earlier_mesh_is_made_anew(tmp_path: Path, capsys) -> None:
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    run = with_meshes(tmp_path / "run", ball(3))
    place = run / "mesh" / "surface_collision.glb"
    Collision(replace(ball(1), vertices=9 * ball(1).vertices)).write(place)
    os.utime(place, (0, 0))
    bundled(run, tmp_path / "out", "three", "--collision", "600")
    assert "older than the mesh; made anew" in capsys.readouterr().err
    assert float(read_collision(place).closed.vertices.norm(dim=-1).max()) < 2


def test_what_the_mesh_has_is_taken_as_it_is(tmp_path: Path) -> None:
    run = with_meshes(tmp_path / "run", shares=(0.5, 0.25))
    Collision(ball(5), (ball(1),) * 40).write(run / "mesh" / "surface_collision.glb")
    before = bytes_of(run)
    facts = bundled(run, tmp_path / "unreal", "unreal")
    assert [level["triangles"] for level in facts["levels"]] == [len(ball(1)), len(ball(0))]
    assert facts["collision"]["pieces"] == 40
    assert bundled(run, tmp_path / "three", "three")["collision"]["triangles"] == len(ball(5))
    assert len(ball(5)) > 5000
    assert bytes_of(run) == before


@pytest.mark.long
def test_other_levels_do_not_replace_those_of_the_mesh(tmp_path: Path) -> None:
    for package in ("xatlas", "fast_simplification"):
        pytest.importorskip(package, reason="needs the extra mesh")
    run = with_meshes(tmp_path / "run", ball(3), shares=(0.5, 0.25))
    before = bytes_of(run)
    facts = bundled(run, tmp_path / "out", "three", "--lods", "0.3", "0.25")
    first, second = [level["triangles"] for level in facts["levels"]]
    assert first == pytest.approx(0.3 * len(ball(3)), rel=0.1)
    assert second == len(ball(0))
    assert bytes_of(run) == before


@pytest.mark.parametrize("missing", ["surface_lod1.glb", "surface_collision.glb"])
def test_two_commands_never_write_one_mesh(tmp_path: Path, missing: str, capsys) -> None:
    run = with_meshes(tmp_path / "run")
    if missing == "surface_lod1.glb":
        write_json(run / "mesh" / "surface.json", {"levels": []})
    with Kept(run / "mesh" / "surface.glb").alone():
        (run / "mesh" / missing).unlink()
        before = bytes_of(run)
        words = ["export", str(run), str(tmp_path / "out"), "--bundle", "--target", "three"]
        assert main(words) == 2
        assert "another splatkit command is at work there" in capsys.readouterr().err
        assert bytes_of(run) == before
    assert not (tmp_path / "out").exists()


def test_a_mesh_that_another_command_works_at_is_read(run: Path, tmp_path: Path) -> None:
    with Kept(run / "mesh" / "surface.glb").alone():
        bundled(run, tmp_path / "out", "three")


def test_the_summary_names_each_file_once(run: Path, tmp_path: Path, capsys) -> None:
    for target, physics in (("unreal", "2 convex closed pieces"), ("three", "128 closed triangle")):
        facts = bundled(run, tmp_path / target, target)
        told = capsys.readouterr().out
        assert physics in told
        files = [facts[part]["file"] for part in ("splats", "mesh", "collision")]
        assert all(told.count(name) == 1 for name in files)


def test_isaac_gets_the_closed_mesh_in_its_stage(run: Path, tmp_path: Path) -> None:
    facts = bundled(run, tmp_path / "out", "isaac", "--pivot", "keep")
    from pxr import Usd, UsdGeom, UsdPhysics

    stage = Usd.Stage.Open(str(tmp_path / "out" / facts["splats"]["file"]))
    solid = stage.GetPrimAtPath("/Scene/Collision")
    assert solid.HasAPI(UsdPhysics.CollisionAPI)
    assert UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.z
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1
    mesh = UsdGeom.Mesh(solid)
    assert len(mesh.GetFaceVertexCountsAttr().Get()) == len(ball(2))
    # The world's x, z, -y: x right, y forward, z up.
    x, y, z = ball(2).vertices.unbind(-1)
    expected = torch.stack((x, z, -y), -1)
    torch.testing.assert_close(torch.tensor(mesh.GetPointsAttr().Get()), expected)


def test_the_origin_is_where_it_was_asked_for(run: Path, tmp_path: Path) -> None:
    kept = bundled(run, tmp_path / "keep", "three", "--pivot", "keep")
    assert kept["origin_in_run"] == [0, 0, 0]
    floor = bundled(run, tmp_path / "floor", "three")
    moved, still = (
        mesh_glb.read(tmp_path / name / "scene_mesh.glb", axes="RUB").vertices
        for name in ("floor", "keep")
    )
    origin = torch.tensor(floor["origin_in_run"])
    torch.testing.assert_close(moved, still - origin.float())
    # The floor of the scene is level, and at 0 now.
    assert abs(float(moved[:, 1].max())) < 0.1


def test_an_earlier_bundle_is_replaced_and_other_folders_are_not(
    run: Path, tmp_path: Path, capsys
) -> None:
    bundled(run, tmp_path / "out", "three")
    (tmp_path / "out" / "old.txt").write_text("of the earlier bundle")
    assert "earlier bundle" not in capsys.readouterr().err
    bundled(run, tmp_path / "out", "unity")
    assert capsys.readouterr().err.count("out: the earlier bundle is replaced") == 1
    assert not (tmp_path / "out" / "old.txt").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    assert main(["export", str(run), str(mine), "--bundle", "--target", "three"]) == 2
    assert "this one holds other things" in capsys.readouterr().err
    assert [file.name for file in mine.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--bundle"], 2, "--bundle: expected --target with one of unreal, unity, godot"),
        (["--bundle", "--target", "web"], 2, "--bundle: expected --target with one of"),
        (["--bundle", "--target", "three", "--crop", "0", "0", "0", "1"], 2, "--crop: a bundle"),
        (["--bundle", "--target", "three", "--convex", "999"], 2, "--convex: expected 1 to 256"),
        (["--bundle", "--target", "three", "--lods", "3"], 2, "--lods: expected shares between"),
        (["--target", "three"], 2, "expected OUT (the file to write), got none"),
    ],
)
def test_bad_use(run: Path, words: list[str], code: int, message: str, capsys) -> None:
    before = sorted(run.rglob("*"))
    assert main(["export", str(run), *words]) == code
    assert message in capsys.readouterr().err
    assert sorted(run.rglob("*")) == before


def test_a_scene_file_alone_has_no_bundle(run: Path, tmp_path: Path, capsys) -> None:
    scene = run / "exports" / "scene.ply"
    words = ["export", str(scene), str(tmp_path / "out"), "--bundle", "--target", "three"]
    assert main(words) == 2
    assert "expected a run folder (a bundle needs its photos)" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_mesh_leaves_nothing_half_written(tmp_path: Path, capsys) -> None:
    run = with_meshes(tmp_path / "run")
    (run / "mesh" / "surface_lod2.glb").write_bytes(b"glTF, but no more")
    words = ["export", str(run), str(tmp_path / "out"), "--bundle", "--target", "three"]
    assert main(words) == 1
    assert "surface_lod2.glb" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


@pytest.mark.long
@pytest.mark.parametrize("target", ENGINES)
def test_the_khronos_validator_finds_nothing(run: Path, tmp_path: Path, target: str) -> None:
    bundled(run, tmp_path / "out", target)
    files = list((tmp_path / "out").glob("*.glb"))
    assert len(files) >= 3
    for file in files:
        assert issues_of(file) == []


@pytest.mark.long
def test_what_is_missing_is_made_and_kept(tmp_path: Path, capsys) -> None:
    for package in ("xatlas", "fast_simplification", "coacd"):
        pytest.importorskip(package, reason="needs the extra mesh")
    run = finished(tmp_path / "run")
    words = ["--bundle", "--target", "unreal", "--collision", "600", "--convex", "4", "--json"]
    assert main(["export", str(run), *words]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["path"] == str(run / "bundles" / "unreal")
    assert len(facts["levels"]) == 2
    assert 1 <= facts["collision"]["pieces"] <= 4
    assert facts["collision"]["watertight"]
    kept = {file.name: file.stat().st_mtime_ns for file in (run / "mesh").iterdir()}
    assert set(kept) == {"surface.glb", "surface.json", "surface_collision.glb",
                         "surface_lod1.glb", "surface_lod2.glb"}  # fmt: skip
    # Nothing is made twice.
    assert main(["export", str(run), "--bundle", "--target", "unity"]) == 0
    assert kept == {file.name: file.stat().st_mtime_ns for file in (run / "mesh").iterdir()}
