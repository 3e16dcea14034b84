"""The shell far around a surface: where photos look past it, and only there."""

import torch

from splatkit.core import Triangles, drain
from splatkit.mesh.clean import edges_of
from splatkit.mesh.sky import FAR, joined, parted, sky_behind
from splatkit.mesh.warp import Warp
from splatkit.render import render_triangles
from tests.mesh.ball import RADIUS, ball, photos

AROUND = Warp(torch.zeros(3), 1.0)


def test_every_pixel_beside_the_ball_shows_the_shell() -> None:
    bare = Triangles(ball().vertices, ball().faces)
    sky = drain(sky_behind(bare, photos(), AROUND))
    radius = sky.vertices.norm(dim=-1)
    farthest = max(float(view.camera.positions.norm()) for view in photos())
    assert torch.allclose(radius, torch.tensor(FAR * farthest), rtol=1e-4)
    # Its front is where the cameras are.
    assert float((sky.normals * sky.corners.mean(1)).sum(-1).max()) < 0
    for view in photos():
        alone = render_triangles(bare, view.camera).ids
        both = render_triangles(joined(bare, sky), view.camera).ids
        assert bool((both >= 0).all())
        assert torch.equal(both[alone >= 0], alone[alone >= 0])
        assert bool((both[alone < 0] >= len(bare)).all())


def test_where_no_photo_looks_there_is_none() -> None:
    bare = Triangles(ball().vertices, ball().faces)
    sky = drain(sky_behind(bare, photos()[:1], AROUND))
    behind = sky.vertices @ photos()[0].camera.viewmats[0, 2, :3]
    assert float(behind.min()) > 0
    _, _, number = edges_of(sky.faces)
    assert int(number.max()) == 2


def test_a_surface_that_hides_all_needs_none() -> None:
    room = Triangles(ball().vertices * (10 / RADIUS), ball().faces)
    assert len(drain(sky_behind(room, photos(), AROUND))) == 0


def test_masked_pixels_do_not_count() -> None:
    bare, view = Triangles(ball().vertices, ball().faces), photos()[0]
    view = type(view)(view.name, view.camera, view.image, torch.zeros_like(view.image[..., 0]))
    assert len(drain(sky_behind(bare, [view], AROUND))) == 0


def test_parts_come_apart_again() -> None:
    bare = Triangles(ball().vertices, ball().faces)
    sky = drain(sky_behind(bare, photos(), AROUND))
    near, far = parted(joined(bare, sky), len(sky))
    assert torch.equal(near.corners, bare.corners)
    assert far is not None
    assert torch.equal(far.corners, sky.corners)
    alone, none = parted(bare, 0)
    assert none is None
    assert torch.equal(alone.corners, bare.corners)
