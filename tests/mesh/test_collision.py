"""Shapes for physics are closed, small and around the surface."""

from pathlib import Path

import pytest
import torch

from splatkit.core import SplatkitError, Triangles, drain
from splatkit.mesh.clean import welded
from splatkit.mesh.collision import collision_shape, is_watertight, unpinched
from splatkit.mesh.convex import convex_pieces, is_convex
from splatkit.mesh.physics import make_collision, read_collision
from splatkit.mesh.warp import Warp
from tests.mesh.ball import ball


def holed() -> Triangles:
    """The upper part of a ball and a floor."""
    whole = ball(4)
    part = whole.selected(whole.corners.mean(1)[:, 1] < 0.2)
    floor = torch.tensor([[-2.0, 1, -2], [2, 1, -2], [2, 1, 2], [-2, 1, 2]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]]).int() + len(part.vertices)
    return Triangles(torch.cat((part.vertices, floor)), torch.cat((part.faces, faces)))


def test_a_surface_with_holes_gets_a_closed_shape() -> None:
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    surface = holed()
    assert not is_watertight(surface)
    shape = collision_shape(surface, 3000)
    assert is_watertight(shape)
    assert 100 < len(shape) <= 3000
    # It reaches as far as the surface and little farther.
    for end in ("amin", "amax"):
        inner, outer = (getattr(mesh.vertices, end)(0) for mesh in (surface, shape))
        assert (inner - outer).abs().max() < 0.15
    on_ball = shape.vertices[shape.vertices[:, 1] < -0.2]
    assert (on_ball.norm(dim=-1) - 1).abs().max() < 0.15


def test_solids_that_touch_are_moved_apart() -> None:
    # Two pyramids that share an edge: four triangles meet there.
    points = torch.tensor(
        [[0.0, 0, 0], [0, 0, 1], [1, 1, 0.5], [1, -1, 0.5], [-1, 1, 0.5], [-1, -1, 0.5]]
    )
    right = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    left = torch.tensor([[0, 1, 4], [0, 5, 1], [0, 4, 5], [1, 5, 4]])
    both = Triangles(points, torch.cat((right, left)).int())
    assert not is_watertight(both)
    apart = unpinched(both, 0.01)
    assert is_watertight(apart)
    assert len(apart.vertices) == 8
    assert is_watertight(welded(apart))
    torch.testing.assert_close(apart.corners, both.corners, rtol=0, atol=0.011)
    # What does not touch stays as it is.
    alone = ball(2)
    torch.testing.assert_close(unpinched(alone, 0.01).corners, alone.corners)


def test_cells_are_smaller_in_the_middle_of_a_warp() -> None:
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    near = ball(4)
    far = Triangles(near.vertices * 0.5 + torch.tensor([12.0, 0, 0]), near.faces)
    scene = Triangles(
        torch.cat((near.vertices, far.vertices)),
        torch.cat((near.faces, far.faces + len(near.vertices))),
    )
    reach = []
    for warp in (None, Warp(torch.zeros(3), 1.5)):
        shape = collision_shape(scene, 4000, warp)
        assert is_watertight(shape)
        reach.append(float(shape.vertices[shape.vertices[:, 0] < 4].norm(dim=-1).max()))
    # How far beyond the near ball the shape reaches.
    assert reach[1] - 1 < 0.7 * (reach[0] - 1)


def test_too_few_triangles_are_said() -> None:
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    with pytest.raises(SplatkitError, match="--collision: expected a closed shape of 5 triangles"):
        collision_shape(holed(), 5)


def test_a_closed_shape_is_divided_into_convex_pieces(tmp_path: Path) -> None:
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    pytest.importorskip("coacd", reason="needs the extra mesh")
    made = drain(make_collision(holed(), 400, 4))
    assert is_watertight(made.closed)
    assert not is_convex(made.closed)
    assert 2 <= len(made.pieces) <= 4
    for piece in made.pieces:
        assert is_watertight(piece)
        assert is_convex(piece)
        assert len(piece) <= 124
    # Together they reach as far as the shape does.
    everywhere = torch.cat([piece.vertices for piece in made.pieces])
    for end in ("amin", "amax"):
        ends = [getattr(points, end)(0) for points in (everywhere, made.closed.vertices)]
        assert (ends[0] - ends[1]).abs().max() < 0.1
    path = tmp_path / "a.glb"
    made.write(path)
    again = read_collision(path)
    assert torch.equal(again.closed.vertices, made.closed.vertices)
    assert len(again.pieces) == len(made.pieces)
    assert made.facts(path)["watertight"]
    assert made.facts(path)["convex"]


def test_an_open_shape_is_not_divided() -> None:
    with pytest.raises(SplatkitError, match="--convex: expected a closed shape to divide"):
        convex_pieces(holed(), 4)
