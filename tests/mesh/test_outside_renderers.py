"""A file of ours looks in three.js and in OpenGL as it does here."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from splatkit.core import Cameras, Triangles
from splatkit.core.sheets import sheet_count
from splatkit.io import mesh_glb
from splatkit.render import render_triangles
from splatkit.train.metrics import psnr
from tests.gltf_validator import issues_of
from tests.mesh.ball import ball, cameras
from tests.mesh.outside import opengl, three

pytestmark = pytest.mark.long

LEAST = 48.0
"""dB."""


def views() -> list[Cameras]:
    """Two views, their principal point away from the middle."""
    around = cameras().resized(320, 240)
    around.Ks[:, 0, 2] += 30
    around.Ks[:, 1, 2] -= 20
    return [around[:1], around[6:7]]


def ours(mesh: Triangles) -> list[torch.Tensor]:
    drawn = [render_triangles(mesh, view, supersample=2).rgb for view in views()]
    return [picture[0].clamp(0, 1) for picture in drawn if picture is not None]


def textured() -> Triangles:
    """The ball with a picture around it, seam and all."""
    rows, columns = 24, 48
    v, u = torch.meshgrid(
        torch.linspace(0, 1, rows + 1), torch.linspace(0, 1, columns + 1), indexing="ij"
    )
    up, around = v * math.pi, u * 2 * math.pi
    places = torch.stack((up.sin() * around.cos(), -up.cos(), up.sin() * around.sin()), -1)
    first = (torch.arange(rows)[:, None] * (columns + 1) + torch.arange(columns)).view(-1)
    other = first + columns + 1
    faces = torch.cat(
        (torch.stack((first, first + 1, other), -1), torch.stack((first + 1, other + 1, other), -1))
    )
    picture = torch.rand(32, 64, 3, generator=torch.Generator().manual_seed(0))
    uvs = torch.stack((u, v), -1).view(-1, 2)
    return Triangles(places.view(-1, 3), faces.int(), uvs=uvs, texture=picture)


def sheets() -> Triangles:
    """A ball whose texture is several pictures."""
    pytest.importorskip("xatlas", reason="needs the extra mesh")
    from splatkit.mesh.atlas import unwrapped

    mesh = unwrapped(ball(3), 256, sheet=64)
    assert mesh.texture is not None
    assert sheet_count(mesh) > 2
    generator = torch.Generator().manual_seed(0)
    return replace(mesh, texture=torch.rand(mesh.texture.shape, generator=generator))


MESHES = {"vertex": lambda: ball(4), "texture": textured, "sheets": sheets}


@pytest.mark.parametrize("kind", MESHES)
def test_three_shows_the_same(tmp_path: Path, kind: str) -> None:
    mesh = MESHES[kind]()
    mesh_glb.write(mesh, tmp_path / "a.glb")
    with three(tmp_path / "a.glb") as draw:
        pictures = [draw(view) for view in views()]
    for theirs, picture in zip(pictures, ours(mesh), strict=True):
        assert psnr(theirs, picture) >= LEAST
        assert psnr(theirs, picture) > psnr(theirs.flip(1), picture) + 10


@pytest.mark.parametrize("kind", MESHES)
def test_opengl_shows_the_same(kind: str) -> None:
    mesh = MESHES[kind]()
    for theirs, picture in zip(opengl(mesh, views()), ours(mesh), strict=True):
        assert psnr(theirs, picture) >= LEAST


def test_a_wrong_gamma_would_be_noticed(tmp_path: Path) -> None:
    mesh = ball(4)
    assert mesh.colors is not None
    wrong = Triangles(mesh.vertices, mesh.faces, colors=mesh.colors.square())
    mesh_glb.write(wrong, tmp_path / "a.glb")
    with three(tmp_path / "a.glb") as draw:
        assert psnr(draw(views()[0]), ours(mesh)[0]) < 30


@pytest.mark.parametrize("kind", ["vertex", "texture"])
@pytest.mark.parametrize("normals", [False, True])
def test_the_khronos_validator_finds_nothing(tmp_path: Path, kind: str, normals: bool) -> None:
    mesh = textured() if kind == "texture" else ball(2)
    mesh_glb.write(mesh, tmp_path / "a.glb", normals=normals)
    assert issues_of(tmp_path / "a.glb") == []


def test_trimesh_reads_the_same_triangles(tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh", reason="needs trimesh: pip install trimesh")
    mesh = ball(3)
    mesh_glb.write(mesh, tmp_path / "a.glb")
    theirs = trimesh.load(tmp_path / "a.glb", force="mesh", process=False)
    turned = mesh.vertices * torch.tensor([-1.0, -1, 1])
    torch.testing.assert_close(torch.from_numpy(theirs.vertices).float(), turned)
    assert (theirs.faces == mesh.faces.numpy()).all()
    assert theirs.is_watertight
    assert theirs.volume > 3
