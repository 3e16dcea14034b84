"""Surfaces take the colours of photos, at vertices and in a texture."""

import math
from pathlib import Path

import pytest
import torch

from splatkit.core import Triangles, UsageError, drain
from splatkit.core.sheets import sheet_count
from splatkit.io import mesh_glb
from splatkit.mesh.clean import welded
from splatkit.mesh.kept import Kept
from splatkit.mesh.lookup import look_up
from splatkit.mesh.paint import painted
from splatkit.mesh.warp import Warp
from splatkit.render import render_triangles
from splatkit.train.metrics import psnr
from splatkit.train.photos import View
from tests.mesh.ball import ball, cameras, photos

BLACK = torch.zeros(3)


def mean_psnr(mesh: Triangles) -> float:
    values = []
    for view in photos():
        drawn = render_triangles(mesh, view.camera, supersample=2).rgb
        assert drawn is not None
        values.append(psnr(drawn[0], view.image[0].float() / 255))
    return sum(values) / len(values)


def test_vertices_get_the_photos_colours() -> None:
    mesh = Triangles(ball().vertices, ball().faces)
    first = drain(painted(mesh, photos(), BLACK, steps=0, supersample=2))
    best = drain(painted(mesh, photos(), BLACK, steps=12, supersample=2))
    assert mean_psnr(first) > 30
    assert mean_psnr(best) > mean_psnr(first)
    truth = ball().colors
    assert first.colors is not None
    assert truth is not None
    # What no camera sees, below, is guessed.
    assert (first.colors - truth).abs().median() < 0.02


def test_unseen_vertices_take_their_neighbours_colours() -> None:
    mesh = Triangles(ball().vertices, ball().faces)
    done = drain(painted(mesh, photos()[:1], BLACK, steps=0))
    assert done.colors is not None
    assert float(done.colors.std(0).min()) > 0.02
    assert float(done.colors.min()) > 0.05


def test_a_texture_gets_the_photos_colours() -> None:
    pytest.importorskip("xatlas", reason="needs the extra mesh")
    from splatkit.mesh.atlas import unwrapped

    mesh = unwrapped(Triangles(ball(3).vertices, ball(3).faces), 128)
    assert mesh.texture is not None
    assert 64 <= min(mesh.texture.shape[:2]) <= max(mesh.texture.shape[:2]) <= 512
    # Nothing moved, and no triangle was lost.
    assert torch.equal(mesh.corners.reshape(-1, 9).sort(0).values,
                       ball(3).corners.reshape(-1, 9).sort(0).values)  # fmt: skip
    first = drain(painted(mesh, photos(), BLACK, steps=0, supersample=2))
    best = drain(painted(mesh, photos(), BLACK, steps=12, supersample=2))
    assert mean_psnr(first) > 25
    assert mean_psnr(best) > mean_psnr(first)


def test_a_texture_is_no_larger_than_a_sheet_and_no_face_moves(monkeypatch) -> None:
    pytest.importorskip("xatlas", reason="needs the extra mesh")
    from splatkit.mesh import atlas

    monkeypatch.setattr(atlas, "PART", 100)
    bare = Triangles(ball(3).vertices, ball(3).faces)
    for side in (256, 200, 128):
        mesh = atlas.unwrapped(bare, side, sheet=256)
        assert mesh.texture is not None
        assert mesh.uvs is not None
        assert 0.7 * side < max(mesh.texture.shape[:2]) <= 256
        assert torch.equal(mesh.corners, bare.corners)
        # Charts lie side by side: together they have most of the texture, and not more than it.
        size = torch.tensor([mesh.texture.shape[1], mesh.texture.shape[0]])
        a, b, c = (mesh.uvs[mesh.faces.long()] * size).unbind(1)
        x, y = b - a, c - a
        areas = (x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0]).abs() / 2
        assert float(areas.min()) > 0
        assert 0.3 < float(areas.sum()) / float(size.prod()) < 1


@pytest.mark.parametrize("sheet", [4096, 128])
def test_a_texture_does_not_depend_on_the_unit_of_the_scene(sheet: int) -> None:
    pytest.importorskip("xatlas", reason="needs the extra mesh")
    from splatkit.mesh.atlas import unwrapped

    sizes = []
    for unit in (1.0, 0.003, 1000.0):
        mesh = unwrapped(Triangles(unit * ball(3).vertices, ball(3).faces), 256, sheet=sheet)
        assert mesh.texture is not None
        sizes.append(mesh.texture[..., 0].numel())
        assert torch.equal(mesh.corners, unit * ball(3).corners)
    assert max(sizes) < 1.2 * min(sizes)


def test_faces_that_will_not_be_written_get_few_texels() -> None:
    pytest.importorskip("xatlas", reason="needs the extra mesh")
    from splatkit.mesh.atlas import unwrapped

    mesh, count = dented(), len(ball().faces)
    far = unwrapped(mesh, 128, coarse=count)
    assert torch.equal(far.corners, mesh.corners)
    assert far.uvs is not None
    a, b, c = far.uvs[far.faces.long()].unbind(1)
    areas = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]).abs()
    # Eight times as large, and a quarter of that.
    assert float(areas[:count].sum() / areas.sum()) == pytest.approx(1 / (1 + 2**2), abs=0.05)


def test_a_texture_of_several_sheets_is_painted_and_comes_back(tmp_path: Path) -> None:
    pytest.importorskip("xatlas", reason="needs the extra mesh")
    from splatkit.mesh.atlas import unwrapped

    mesh = unwrapped(Triangles(ball(3).vertices, ball(3).faces), 256, sheet=128)
    number = sheet_count(mesh)
    assert number > 1
    assert mesh.texture is not None
    assert mesh.texture.shape[:2] == (128 * number, 128)
    done = drain(painted(mesh, photos(), BLACK, steps=0, supersample=2))
    assert mean_psnr(done) > 25
    mesh_glb.write(done, tmp_path / "a.glb")
    again = mesh_glb.read(tmp_path / "a.glb")
    assert sheet_count(again) == number
    assert mean_psnr(again) == pytest.approx(mean_psnr(done), abs=0.05)


def test_what_a_view_reads_of_a_texture_is_what_is_drawn() -> None:
    pytest.importorskip("xatlas", reason="needs the extra mesh")
    from splatkit.mesh.atlas import unwrapped

    mesh = unwrapped(Triangles(ball(3).vertices, ball(3).faces), 128)
    assert mesh.texture is not None
    generator = torch.Generator().manual_seed(0)
    mesh.texture = torch.rand(mesh.texture.shape, generator=generator)
    view, background = photos()[2], torch.tensor([0.2, 0.4, 0.6])
    lookup = look_up(mesh, view, 2)
    drawn = render_triangles(mesh, view.camera, background=background, supersample=2)
    colors = mesh.texture.view(-1, 3)[lookup.texels]
    assert drawn.rgb is not None
    torch.testing.assert_close(lookup.picture(colors, background), drawn.rgb, atol=2e-5, rtol=0)
    assert len(lookup.texels) < 0.8 * mesh.texture[..., 0].numel()
    # Every sample's shares add up to one.
    total = lookup.spread(torch.ones(len(lookup.hit), 1)).sum()
    assert float(total) == pytest.approx(int(lookup.hit.sum()), rel=1e-4)


def test_time_can_run_out() -> None:
    mesh = Triangles(ball(2).vertices, ball(2).faces)
    asked = []

    def in_time() -> bool:
        asked.append(1)
        return len(asked) < 3

    done = drain(painted(mesh, photos(), BLACK, steps=1000, in_time=in_time))
    assert done.colors is not None
    assert len(asked) == 3


def dented() -> Triangles:
    """The ball with bumps and dents of a tenth of its radius, its faces twice: the second time far
    outside."""
    places, faces = ball().vertices, ball().faces
    bumps = 1 + 0.1 * torch.sin(4 * places[:, :1]) * torch.cos(4 * places[:, 1:2])
    return Triangles(
        torch.cat((places * bumps, 8 * places)), torch.cat((faces, faces + len(places)))
    )


@pytest.mark.parametrize("textured", [False, True])
def test_photos_move_a_surface_to_where_they_see_it(textured: bool) -> None:
    places, faces, count = ball().vertices, ball().faces, len(ball().faces)
    # Waves of colour, so that photos tell where on the ball they look.
    truth = Triangles(places, faces, colors=0.5 + 0.4 * torch.sin(6 * places))
    large = cameras().resized(128, 96)
    pictures = render_triangles(truth, large, supersample=2).rgb
    assert pictures is not None
    seen = (pictures * 255).round().byte()
    views = [View(str(i), large[i : i + 1], seen[i : i + 1]) for i in range(len(large))]
    mesh = dented()
    if textured:
        pytest.importorskip("xatlas", reason="needs the extra mesh")
        from splatkit.mesh.atlas import unwrapped

        mesh = unwrapped(mesh, 512)

    def wrong(triangles: Triangles) -> float:
        return float((triangles.corners[:count].norm(dim=-1) - 1).abs().mean())

    def seen_wrong(triangles: Triangles) -> float:
        drawn = render_triangles(triangles.selected(torch.arange(count)), large, supersample=2).rgb
        assert drawn is not None
        return float((drawn - seen / 255).square().mean())

    moved = drain(painted(mesh, views, BLACK, steps=60, moved=count))
    stays = drain(painted(mesh, views, BLACK, steps=60))
    assert torch.equal(stays.vertices, mesh.vertices)
    assert torch.equal(moved.corners[count:], mesh.corners[count:])
    if textured:
        assert len(welded(moved).vertices) == 2 * len(places), "seams stay closed"
    assert wrong(moved) < 0.8 * wrong(mesh)
    assert seen_wrong(moved) < 0.4 * seen_wrong(stays)


def test_a_surface_that_was_moved_is_taken_up_where_it_was(tmp_path: Path) -> None:
    mesh, kept = Triangles(dented().vertices, dented().faces), Kept(tmp_path / "a.glb")
    kept.due = lambda: True
    count = len(ball().faces)
    made = drain(painted(mesh, photos(), BLACK, steps=4, moved=count, kept=kept))
    again = drain(painted(mesh, photos(), BLACK, steps=4, moved=count, kept=kept))
    assert not torch.equal(made.vertices, mesh.vertices)
    assert torch.equal(again.vertices, made.vertices)
    with pytest.raises(UsageError, match="supersample"):
        drain(painted(mesh, photos(), BLACK, steps=1, moved=1, supersample=2))


def test_what_is_far_gets_few_texels() -> None:
    pytest.importorskip("xatlas", reason="needs the extra mesh")
    from splatkit.mesh.atlas import unwrapped

    mesh, count = dented(), len(ball().faces)

    def far_share(warp: Warp | None) -> float:
        made = unwrapped(mesh, 128, warp)
        assert made.uvs is not None
        a, b, c = made.uvs[made.faces.long()].unbind(1)
        areas = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]).abs()
        return float(areas[count:].sum() / areas.sum())

    assert far_share(None) > 0.95
    # A shell of eight times the radius has the warped radius 1 + ln 8.
    around = Warp(torch.zeros(3), 1.1)
    expected = 1 / (1 + (1.1 * (1 + math.log(8 / 1.1))) ** -2)
    assert far_share(around) == pytest.approx(expected, abs=0.1)
