"""Triangles in binary glTF: what is written, and what comes back."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from splatkit.core import SplatkitError, Triangles
from splatkit.core.tangents import unit_normals, vertex_tangents
from splatkit.io import mesh_glb


def square(**more) -> Triangles:
    corners = torch.tensor([[-1.0, -1, 2], [1, -1, 2], [1, 1, 2.5], [-1, 1, 2]])
    return Triangles(corners, torch.tensor([[0, 1, 2], [0, 2, 3]]).int(), **more)


def textured() -> Triangles:
    texture = torch.rand(4, 8, 3, generator=torch.Generator().manual_seed(0))
    return square(uvs=torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]]), texture=texture)


def document(path: Path) -> dict:
    data = path.read_bytes()
    (size,) = struct.unpack("<I", data[12:16])
    return json.loads(data[20 : 20 + size])


def test_vertex_colours_come_back(tmp_path: Path) -> None:
    mesh = square(colors=torch.rand(4, 3, generator=torch.Generator().manual_seed(1)))
    mesh_glb.write(mesh, tmp_path / "a.glb")
    again = mesh_glb.read(tmp_path / "a.glb")
    assert torch.equal(again.vertices, mesh.vertices)
    assert torch.equal(again.faces, mesh.faces)
    assert again.colors is not None
    assert mesh.colors is not None
    assert (again.colors - mesh.colors).abs().max() < 1e-3


def test_a_texture_comes_back_in_8_bits(tmp_path: Path) -> None:
    mesh = textured()
    mesh_glb.write(mesh, tmp_path / "a.glb", normals=True, extras={"made": "here"})
    again = mesh_glb.read(tmp_path / "a.glb")
    assert again.uvs is not None
    assert again.texture is not None
    assert mesh.texture is not None
    assert mesh.uvs is not None
    assert torch.equal(again.uvs, mesh.uvs)
    assert (again.texture - mesh.texture).abs().max() <= 0.5 / 255 + 1e-6
    told = document(tmp_path / "a.glb")
    assert told["asset"]["extras"] == {"made": "here"}
    assert set(told["meshes"][0]["primitives"][0]["attributes"]) == {
        "POSITION", "NORMAL", "TEXCOORD_0",
    }  # fmt: skip


def test_the_file_is_laid_out_as_engines_expect(tmp_path: Path) -> None:
    grey = square(colors=torch.full((4, 3), 0.5))
    mesh_glb.write(grey, tmp_path / "a.glb")
    data, told = (tmp_path / "a.glb").read_bytes(), document(tmp_path / "a.glb")
    assert len(data) % 4 == 0
    assert struct.unpack("<4sII", data[:12]) == (b"glTF", 2, len(data))
    material = told["materials"][0]
    assert material["extensions"] == {"KHR_materials_unlit": {}}
    assert "alphaMode" not in material
    attributes = told["meshes"][0]["primitives"][0]["attributes"]
    assert set(attributes) == {"POSITION", "COLOR_0"}
    # x left, y up: the world's turned by 180 degrees about z.
    assert told["accessors"][attributes["POSITION"]]["min"] == [-1, -1, 2]
    assert told["accessors"][attributes["POSITION"]]["max"] == [1, 1, 2.5]
    for view in told["bufferViews"]:
        assert view["byteOffset"] % 4 == 0
        assert view["target"] in (34962, 34963)
    start = 20 + struct.unpack("<I", data[12:16])[0] + 8
    view = told["bufferViews"][told["accessors"][attributes["COLOR_0"]]["bufferView"]]
    colors = np.frombuffer(data, "<u2", 16, start + view["byteOffset"]).reshape(4, 4)
    # Grey 0.5 in sRGB is 0.214 in linear light.
    assert colors[0].tolist() == [14027, 14027, 14027, 65535]
    position = np.frombuffer(data, "<f4", 3, start)
    assert position.tolist() == [1, 1, 2]


def test_the_front_stays_the_front(tmp_path: Path) -> None:
    mesh = square(colors=torch.zeros(4, 3))
    mesh_glb.write(mesh, tmp_path / "a.glb", normals=True)
    told = document(tmp_path / "a.glb")
    data = (tmp_path / "a.glb").read_bytes()
    start = 20 + struct.unpack("<I", data[12:16])[0] + 8
    attributes = told["meshes"][0]["primitives"][0]["attributes"]
    view = told["bufferViews"][told["accessors"][attributes["NORMAL"]]["bufferView"]]
    normals = np.frombuffer(data, "<f4", 12, start + view["byteOffset"]).reshape(4, 3)
    corners = np.frombuffer(data, "<f4", 12, start).reshape(4, 3)
    front = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    assert float(normals[1] @ front) > 0


def test_what_cannot_be_written_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.glb"
    with pytest.raises(SplatkitError, match="expected triangles to write, got none"):
        mesh_glb.write(square().selected(torch.zeros(2, dtype=torch.bool)), path)
    broken = square()
    broken.vertices[0, 0] = torch.nan
    with pytest.raises(SplatkitError, match="expected finite vertices"):
        mesh_glb.write(broken, path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", [12, 30, 200, 500, 800])
def test_damaged_files_are_refused(tmp_path: Path, where: int) -> None:
    path = tmp_path / "a.glb"
    mesh_glb.write(textured(), path)
    path.write_bytes(path.read_bytes()[:where])
    with pytest.raises(SplatkitError):
        mesh_glb.read(path)


def test_other_files_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.gltf"
    path.write_text('{"asset": {"version": "2.0"}, "scenes": [{"nodes": []}], "scene": 0}')
    with pytest.raises(SplatkitError, match="scene with triangles, got one without"):
        mesh_glb.read(path)


def tall() -> Triangles:
    """Two squares, each on a sheet of its own."""
    corners = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    places = torch.tensor([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]])
    halves = [places * torch.tensor([1, 0.5]) + torch.tensor([0, 0.5 * row]) for row in (1, 0)]
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]]).int()
    return Triangles(
        torch.cat((corners, corners + 2)),
        torch.cat((faces, faces + 4)),
        uvs=torch.cat(halves),
        texture=torch.rand(16, 8, 3, generator=torch.Generator().manual_seed(2)),
    )


def test_a_texture_of_two_sheets_becomes_two_pictures_and_comes_back(tmp_path: Path) -> None:
    mesh = tall()
    mesh_glb.write(mesh, tmp_path / "a.glb", tangents=True)
    told = document(tmp_path / "a.glb")
    assert len(told["images"]) == len(told["materials"]) == 2
    assert [part["material"] for part in told["meshes"][0]["primitives"]] == [0, 1]
    again = mesh_glb.read(tmp_path / "a.glb")
    assert again.texture is not None
    assert mesh.texture is not None
    assert (again.texture - mesh.texture).abs().max() <= 0.5 / 255 + 1e-6
    # The first sheet's triangles come first: they were the second square.
    assert again.uvs is not None
    assert mesh.uvs is not None
    torch.testing.assert_close(again.uvs, mesh.uvs.roll(4, 0))
    assert torch.equal(again.corners, mesh.corners.roll(2, 0))


def test_a_texture_that_a_triangle_crosses_stays_one_picture(tmp_path: Path) -> None:
    whole = tall()
    mesh = Triangles(whole.vertices, torch.tensor([[0, 1, 6]]).int(), uvs=whole.uvs,
                     texture=whole.texture)  # fmt: skip
    mesh_glb.write(mesh, tmp_path / "a.glb")
    assert len(document(tmp_path / "a.glb")["images"]) == 1
    assert torch.equal(mesh_glb.read(tmp_path / "a.glb").corners, mesh.corners)


def test_shapes_for_physics_stand_beside_the_mesh(tmp_path: Path) -> None:
    shapes = {"UCX_scene_00": square(), "scene-colonly": tall()}
    mesh_glb.write(textured(), tmp_path / "a.glb", name="scene", shapes=shapes)
    told = document(tmp_path / "a.glb")
    assert [node["name"] for node in told["nodes"]] == ["scene", *shapes]
    assert "material" not in told["meshes"][1]["primitives"][0]
    assert mesh_glb.read(tmp_path / "a.glb").texture is not None
    found = mesh_glb.read_shapes(tmp_path / "a.glb")
    assert list(found) == list(shapes)
    assert torch.equal(found["scene-colonly"].vertices, tall().vertices)


def test_other_axes_are_written_and_read(tmp_path: Path) -> None:
    mesh = textured()
    mesh_glb.write(mesh, tmp_path / "a.glb", axes="RUB")
    assert torch.equal(mesh_glb.read(tmp_path / "a.glb", axes="RUB").vertices, mesh.vertices)
    # Read as glTF it is turned by half a turn about the vertical.
    turned = mesh_glb.read(tmp_path / "a.glb").vertices
    assert torch.equal(turned, mesh.vertices * torch.tensor([-1.0, 1, -1]))


def test_tangents_follow_the_texture(tmp_path: Path) -> None:
    flat = Triangles(
        torch.tensor([[0.0, 0, 1], [2, 0, 1], [2, 1, 1], [0, 1, 1]]),
        torch.tensor([[0, 2, 1], [0, 3, 2]]).int(),
        uvs=torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]]),
        texture=torch.zeros(2, 2, 3),
    )
    told = vertex_tangents(flat)
    # u grows along x; the front looks at the camera, and the picture's top is up.
    torch.testing.assert_close(told, torch.tensor([1.0, 0, 0, 1]).expand(4, 4))
    mirrored = Triangles(
        flat.vertices, flat.faces, uvs=flat.uvs * torch.tensor([-1.0, 1]) + torch.tensor([1.0, 0]),
        texture=flat.texture,
    )  # fmt: skip
    torch.testing.assert_close(
        vertex_tangents(mirrored), torch.tensor([-1.0, 0, 0, -1]).expand(4, 4)
    )
    mesh_glb.write(flat, tmp_path / "a.glb", tangents=True)
    attributes = document(tmp_path / "a.glb")["meshes"][0]["primitives"][0]["attributes"]
    assert {"NORMAL", "TANGENT"} <= set(attributes)
    with pytest.raises(SplatkitError, match="tangents: expected triangles with a texture"):
        mesh_glb.write(square(), tmp_path / "b.glb", tangents=True)
    assert not (tmp_path / "b.glb").exists()


def test_normals_do_not_break_along_the_seams_of_a_texture() -> None:
    corners = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0], [1, 1, 1]])
    roof = Triangles(corners, torch.tensor([[0, 2, 1], [3, 4, 5]]).int())
    normals = unit_normals(roof)
    torch.testing.assert_close(normals[1], normals[3])
    assert (normals[0] - normals[1]).norm() > 0.1


def test_meshes_beside_another_share_its_texture(tmp_path: Path) -> None:
    mesh = textured()
    far = replace(mesh, vertices=mesh.vertices * 10)
    mesh_glb.write(mesh, tmp_path / "a.glb", beside={"sky": far})
    told = document(tmp_path / "a.glb")
    assert [node["name"] for node in told["nodes"]] == ["mesh", "sky"]
    assert len(told["images"]) == len(told["materials"]) == 1
    near, beyond = mesh_glb.read_apart(tmp_path / "a.glb", "sky")
    assert near is not None
    assert beyond is not None
    assert torch.equal(near.vertices, mesh.vertices)
    assert torch.equal(beyond.vertices, far.vertices)
    assert near.texture is beyond.texture
    assert mesh_glb.read_apart(tmp_path / "a.glb", "clouds")[1] is None
    whole = mesh_glb.read(tmp_path / "a.glb")
    assert len(whole) == 4
    assert whole.texture is not None
    assert mesh.texture is not None
    assert whole.texture.shape == mesh.texture.shape
    assert torch.equal(whole.uvs, torch.cat((mesh.uvs, mesh.uvs)))


def test_a_mesh_beside_another_on_one_of_its_two_sheets(tmp_path: Path) -> None:
    texture = torch.rand(8, 4, 3, generator=torch.Generator().manual_seed(0))
    uvs = torch.tensor([[0.0, 0], [1, 0], [1, 0.5], [0, 0.5], [0, 0.5], [1, 0.5], [1, 1], [0, 1]])
    corners = torch.cat((square().vertices, square().vertices + 1))
    faces = torch.cat((square().faces, square().faces + 4))
    mesh = Triangles(corners, faces, uvs=uvs, texture=texture)
    far = replace(mesh, vertices=corners * 10).selected(torch.tensor([2, 3]))
    mesh_glb.write(mesh, tmp_path / "a.glb", beside={"sky": far})
    assert len(document(tmp_path / "a.glb")["images"]) == 2
    near, beyond = mesh_glb.read_apart(tmp_path / "a.glb", "sky")
    assert near is not None
    assert beyond is not None
    assert torch.equal(beyond.corners, far.corners)
    assert torch.allclose(beyond.uvs, far.uvs)
    assert torch.allclose(near.uvs[near.faces.long()], uvs[faces.long()])


@pytest.mark.parametrize(
    ("mesh", "far"),
    [
        (textured(), textured()),
        (textured(), square(colors=torch.rand(4, 3))),
        (square(colors=torch.rand(4, 3)), square()),
    ],
)
def test_a_mesh_beside_another_with_other_colours_is_refused(
    tmp_path: Path, mesh: Triangles, far: Triangles
) -> None:
    with pytest.raises(SplatkitError, match="expected sky to have colours as mesh has them"):
        mesh_glb.write(mesh, tmp_path / "a.glb", beside={"sky": far})
    assert not (tmp_path / "a.glb").exists()
