"""Shapes for physics are closed, small and around the surface."""

import pytest
import torch

from splatkit.core import SplatkitError, Triangles
from splatkit.mesh.collision import collision_shape, is_watertight
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


def test_too_few_triangles_are_said() -> None:
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    with pytest.raises(SplatkitError, match="--collision: expected a closed shape of 5 triangles"):
        collision_shape(holed(), 5)
