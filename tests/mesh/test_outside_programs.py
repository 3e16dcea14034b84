"""Blender, Godot, assimp, trimesh and three.js find in a file of ours what was put into it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from splatkit.core import Triangles
from splatkit.io import mesh_glb
from tests.gltf_validator import issues_of
from tests.mesh.ball import ball
from tests.mesh.programs import PROGRAMS, godot

pytestmark = pytest.mark.long


def egg() -> Triangles:
    """A ball with a picture, of another size on each axis, above, to the right of the origin and
    in front of it."""
    whole = ball(3)
    uvs = whole.vertices[:, :2] * 0.4 + 0.5
    texture = torch.rand(32, 64, 3, generator=torch.Generator().manual_seed(0))
    places = whole.vertices * torch.tensor([1.5, 1.0, 0.5]) + torch.tensor([0.3, -2.0, 0.7])
    return Triangles(places, whole.faces, uvs=uvs, texture=texture)


def far_shell(near: Triangles) -> Triangles:
    """A ball around a mesh, of the same picture, that is not in the middle either."""
    whole = ball(2)
    places = whole.vertices * 20 + torch.tensor([5.0, 3.0, -4.0])
    return replace(near, vertices=places, faces=whole.faces, uvs=whole.vertices[:, :2] * 0.4 + 0.5)


@pytest.mark.parametrize("sky", [False, True])
@pytest.mark.parametrize("name", PROGRAMS)
def test_size_axes_and_material_are_right(tmp_path: Path, name: str, sky: bool) -> None:
    mesh = egg()
    beside = {"sky": far_shell(mesh)} if sky else {}
    mesh_glb.write(mesh, tmp_path / "a.glb", normals=True, beside=beside)
    found = PROGRAMS[name](tmp_path / "a.glb", tmp_path)
    print(found.version)
    parts = [mesh, *beside.values()]
    all_places = torch.cat([part.vertices for part in parts])
    # glTF: left, up, front.
    low, high = (
        [round(end * sign, 4) for end, sign in zip(ends.tolist(), (-1, -1, 1), strict=True)]
        for ends in (all_places.amin(0), all_places.amax(0))
    )
    assert found.low == pytest.approx((high[0], high[1], low[2]), abs=1e-3)
    assert found.high == pytest.approx((low[0], low[1], high[2]), abs=1e-3)
    assert found.triangles == sum(map(len, parts))
    assert found.materials == 1
    assert found.pictures == [[64, 32]]
    assert found.unlit is not False


@pytest.mark.parametrize(
    ("suffix", "shape"),
    [("-colonly", "ConcavePolygonShape"), ("-convcolonly", "ConvexPolygonShape")],
)
def test_godot_makes_bodies_of_shapes(tmp_path: Path, suffix: str, shape: str) -> None:
    shapes = {f"scene_{place}{suffix}": ball(1) for place in ("00", "01")}
    mesh_glb.write(egg(), tmp_path / "a.glb", name="scene", shapes=shapes)
    found = godot(tmp_path / "a.glb", tmp_path)
    assert found.bodies == (shape, shape)
    assert found.triangles == len(egg())


@pytest.mark.parametrize("kind", ["tangents", "sheets", "shapes", "axes"])
def test_the_khronos_validator_finds_nothing(tmp_path: Path, kind: str) -> None:
    mesh, more = egg(), {}
    if kind == "sheets":
        assert mesh.uvs is not None
        other = replace(mesh, uvs=mesh.uvs * torch.tensor([1, 0.5]), vertices=-mesh.vertices)
        assert other.uvs is not None
        mesh = Triangles(
            torch.cat((mesh.vertices, other.vertices)),
            torch.cat((mesh.faces, other.faces + len(mesh.vertices))),
            uvs=torch.cat((other.uvs + torch.tensor([0, 0.5]), other.uvs)),
            texture=torch.rand(128, 64, 3, generator=torch.Generator().manual_seed(0)),
        )
    if kind == "shapes":
        more = {"shapes": {"UCX_scene_00": ball(1)}}
    if kind == "axes":
        more = {"axes": "RUB"}
    tangents = kind == "tangents"
    mesh_glb.write(mesh, tmp_path / "a.glb", normals=True, tangents=tangents, **more)
    told = issues_of(tmp_path / "a.glb")
    # A hint, no warning: a normal map, for which tangents are wanted, comes later.
    assert [issue["code"] for issue in told] == ["UNUSED_MESH_TANGENT"] * tangents
    assert all(issue["severity"] == 2 for issue in told)
