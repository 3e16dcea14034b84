"""Depth pictures become a closed, clean surface where the true one is."""

from dataclasses import replace

import pytest
import torch

from splatkit.core import SplatkitError, Triangles, drain
from splatkit.mesh.clean import (
    components,
    decimated,
    edges_of,
    manifold,
    smoothed,
    without_crumbs,
)
from splatkit.mesh.isosurface import extract
from splatkit.mesh.reach import within_reach
from splatkit.mesh.tsdf import (
    DepthView,
    Grid,
    block_keys,
    block_places,
    choose_voxel,
    fuse,
    without_outlines,
)
from splatkit.mesh.warp import Warp, warp_of
from splatkit.render import render_triangles
from tests.mesh.ball import RADIUS, ball, cameras, depths

VOXEL = 0.05
STILL = Warp(torch.zeros(3), 100.0)
"""Changes nothing that is tested here."""


def filled_grid(distance_at, low: int, high: int, voxel: float = 0.1) -> Grid:
    """All blocks from ``low`` to ``high`` on each axis with a distance known everywhere."""
    axis = torch.arange(low, high)
    places = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).view(-1, 3)
    keys, order = block_keys(places).sort()
    inner = torch.arange(8)
    offsets = torch.stack(torch.meshgrid(inner, inner, inner, indexing="ij"), -1)
    points = (places[order][:, None, None, None] * 8 + offsets) * voxel
    distance = distance_at(points.float()).clamp(-1, 1)
    return Grid(STILL, voxel, keys, distance, torch.ones_like(distance))


def test_keys_of_blocks_go_back_and_sort() -> None:
    places = torch.tensor([[0, 0, 0], [-5, 7, 123], [65535, -65535, 1]])
    assert torch.equal(block_places(block_keys(places)), places)


def test_a_ball_in_a_grid_is_closed_and_faces_outwards() -> None:
    grid = filled_grid(lambda p: (p.norm(dim=-1) - 0.93) / 0.4, -2, 2)
    triangles = Triangles(*extract(grid))
    _, _, number = edges_of(triangles.faces)
    assert bool((number == 2).all())
    # Euler: a sphere.
    assert len(triangles.vertices) - len(number) + len(triangles) == 2
    radius = triangles.vertices.norm(dim=-1)
    assert (radius - 0.93).abs().max() < 0.01
    assert float((triangles.normals * triangles.corners.mean(1)).sum(-1).min()) >= 0


def test_what_was_not_seen_stays_open() -> None:
    grid = filled_grid(lambda p: (p.norm(dim=-1) - 0.93) / 0.4, -2, 2)
    grid.weight[block_places(grid.keys)[:, 0] < 0] = 0
    triangles = Triangles(*extract(grid))
    assert float(triangles.vertices[:, 0].min()) > -0.01
    _, _, number = edges_of(triangles.faces)
    assert int((number == 1).sum()) > 10


def test_fused_depth_lies_on_the_surface() -> None:
    grid = drain(fuse(depths(), STILL, VOXEL))
    whole = without_crumbs(Triangles(*extract(grid)), 1e-3, STILL)
    inner = whole.vertices[:, 1].abs() < 0.6
    error = (whole.vertices.norm(dim=-1) - RADIUS).abs()[inner]
    assert len(error) > 1000
    assert error.mean() < VOXEL / 4
    assert error.max() < 2 * VOXEL


def test_wrong_depths_at_outlines_do_not_bend_the_surface() -> None:
    views = depths()
    for view in views:
        away = torch.where(view.depth.isfinite(), 0.0, 1.0)[None, None]
        rim = (torch.nn.functional.max_pool2d(away, 3, 1, 1)[0, 0] > 0) & view.depth.isfinite()
        # Between the ball and what would be behind it, as blended depths are.
        view.depth = torch.where(rim, view.depth + 0.3, view.depth)
    whole = without_crumbs(Triangles(*extract(drain(fuse(views, STILL, VOXEL)))), 1e-3, STILL)
    inner = whole.vertices[:, 1].abs() < 0.6
    error = (whole.vertices.norm(dim=-1) - RADIUS).abs()[inner]
    assert len(error) > 1000
    assert error.mean() < VOXEL / 4


def test_the_voxel_follows_the_number_of_cells() -> None:
    coarse, fine = choose_voxel(depths(), STILL, 400), choose_voxel(depths(), STILL, 1600)
    assert 1.6 < coarse / fine < 2.6
    # One pixel shows 2 / 70 of the unit.
    assert 0.025 < choose_voxel(depths(), STILL, 10**9) < 0.05


def test_a_voxel_holds_the_mean_of_what_views_say() -> None:
    views = depths()[:2]
    views[1].depth[:, 20:30] = 0
    grid = drain(fuse(views, STILL, VOXEL))
    block = torch.searchsorted(grid.keys, block_keys(torch.tensor([0, 0, -3])))
    inner = torch.arange(8)
    offsets = torch.stack(torch.meshgrid(inner, inner, inner, indexing="ij"), -1)
    points = (block_places(grid.keys[block]) * 8 + offsets) * VOXEL
    total, weight = torch.zeros(8, 8, 8), torch.zeros(8, 8, 8)
    for view in map(without_outlines, views):
        matrix, K = view.camera.viewmats[0], view.camera.Ks[0]
        place = (points @ matrix[:3, :3].T + matrix[:3, 3]) @ K.T
        column, row = (place[..., k] / place[..., 2] for k in (0, 1))
        depth = view.depth[row.long().clamp(0, 47), column.long().clamp(0, 63)]
        distance = (depth - place[..., 2]) / (4 * VOXEL)
        seen = (column >= 0) & (column < 64) & (row >= 0) & (row < 48)
        seen &= (depth > 0) & (distance > -1)
        far = torch.where(depth.isfinite(), depth, place[..., 2])
        share = torch.where(seen, far**-2, 0)
        total += share * distance.clamp_max(1)
        weight += share
    sure = weight > 0
    assert sure.float().mean() > 0.3
    torch.testing.assert_close(grid.weight[block][sure], weight[sure], rtol=1e-4, atol=1e-6)
    error = (grid.distance[block] - total / weight.clamp_min(1e-9)).abs()[sure]
    # Where the two contradict one another, the coarser grid has a word, too.
    assert error.quantile(0.8) < 1e-3


def test_what_is_empty_in_a_picture_is_free() -> None:
    views = depths()
    ghost = views[0].depth.clone()
    ghost[5:9, 5:9] = 2.5
    views[0].depth = ghost
    grid = drain(fuse(views, STILL, VOXEL))
    whole = without_crumbs(Triangles(*extract(grid)), 1e-3, STILL)
    assert whole.vertices.norm(dim=-1).max() < RADIUS + 2 * VOXEL


def test_depths_that_disagree_leave_fewer_holes(monkeypatch) -> None:
    views = depths()
    generator = torch.Generator().manual_seed(0)
    for view in views:
        view.depth += 0.25 * torch.randn(view.depth.shape, generator=generator)
    open_pixels = []
    for levels in (1, 2):
        monkeypatch.setattr("splatkit.mesh.tsdf.LEVELS", levels)
        mesh = Triangles(*extract(drain(fuse(views, STILL, VOXEL))))
        drawn = render_triangles(mesh, cameras())
        solid = torch.stack([view.depth.isfinite() for view in views])
        open_pixels.append(int((solid & (drawn.alpha < 0.5)).sum()))
    assert open_pixels[0] > 2 * open_pixels[1]


def test_nothing_seen_is_said() -> None:
    views = depths()
    for view in views:
        view.depth.zero_()
    with pytest.raises(SplatkitError, match="no view shows any"):
        drain(fuse(views, STILL, VOXEL))
    with pytest.raises(SplatkitError, match="no view shows any"):
        choose_voxel(views, STILL, 1000)


def test_crumbs_go_and_connected_parts_stay() -> None:
    large, small = ball(3), ball(1)
    both = Triangles(
        torch.cat((large.vertices, 5 + 0.05 * small.vertices)),
        torch.cat((large.faces, small.faces + len(large.vertices))),
    )
    assert len(components(both.faces, len(both.vertices)).unique()) == 2
    kept = without_crumbs(both, 0.01, STILL)
    assert len(kept) == len(large)
    assert len(kept.vertices) == len(large.vertices)
    assert len(without_crumbs(both, 1e-6, STILL)) == len(both)


def test_what_is_near_is_no_crumb_however_far_the_scene_reaches() -> None:
    near, far = ball(2), ball(2)
    both = Triangles(
        torch.cat((near.vertices, 500 * far.vertices)),
        torch.cat((near.faces, far.faces + len(near.vertices))),
    )
    assert len(without_crumbs(both, 1e-3, Warp(torch.zeros(3), 1.0))) == len(both)


def test_edges_have_two_triangles_at_most() -> None:
    mesh = ball(2)
    extra = torch.cat((mesh.vertices, torch.tensor([[3.0, 0, 0]])))
    a, b, c = (int(v) for v in mesh.faces[0])
    fin = torch.tensor([[a, b, len(mesh.vertices)], [b, c, a], [a, a, b]]).int()
    broken = Triangles(extra, torch.cat((mesh.faces, fin)))
    assert int(edges_of(broken.faces)[2].max()) > 2
    mended = manifold(broken)
    assert int(edges_of(mended.faces)[2].max()) == 2
    assert len(mended) >= len(mesh) - 3


def test_smoothing_takes_noise_and_no_size() -> None:
    mesh = ball(4)
    noise = 0.02 * torch.randn(mesh.vertices.shape, generator=torch.Generator().manual_seed(0))
    rough = Triangles(mesh.vertices + noise, mesh.faces)
    smooth = smoothed(rough, 8)
    before, after = (m.vertices.norm(dim=-1) - RADIUS for m in (rough, smooth))
    assert after.std() < before.std() / 2.5
    assert abs(float(after.mean())) < 0.003
    open_one = ball(3).selected(torch.arange(100))
    _, _, number = edges_of(open_one.faces)
    assert int((number == 1).sum()) > 5
    ends, _, _ = edges_of(open_one.faces)
    border = ends[number == 1].reshape(-1).unique()
    assert torch.equal(smoothed(open_one, 3).vertices[border], open_one.vertices[border])


def test_thinning_keeps_the_shape() -> None:
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    thin = manifold(decimated(ball(5), 500, STILL))
    assert 300 < len(thin) <= 500
    assert (thin.vertices.norm(dim=-1) - RADIUS).abs().max() < 0.05
    assert len(decimated(ball(1), 500, STILL)) == len(ball(1))


@pytest.mark.parametrize("unit", [1e-4, 1e4])
def test_thinning_does_not_depend_on_the_unit_of_the_scene(unit: float) -> None:
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    still = Warp(torch.zeros(3), 100 * unit)
    thin = decimated(ball(4), 500, STILL)
    other = decimated(Triangles(unit * ball(4).vertices, ball(4).faces), 500, still)
    assert abs(len(other) - len(thin)) <= 10
    far_off = ((other.vertices / unit).norm(dim=-1) - RADIUS).abs().mean()
    assert far_off < 1.2 * (thin.vertices.norm(dim=-1) - RADIUS).abs().mean()


def test_warped_space_goes_back_and_shrinks_what_is_far() -> None:
    warp = Warp(torch.tensor([1.0, -2, 3]), 1.5)
    directions = torch.nn.functional.normalize(torch.randn(50, 3), dim=-1)
    for distance in (0.0, 0.5, 1.4999, 1.5001, 4.0, 60.0):
        points = warp.center + distance * directions
        torch.testing.assert_close(warp.inverse(warp.forward(points)), points, rtol=1e-4, atol=1e-4)
    near, far = (warp.forward(warp.center + r * directions) for r in (20.0, 20.01))
    step = (far - near).norm(dim=-1).mean()
    torch.testing.assert_close(0.01 / step, warp.stretch(near).mean(), rtol=0.05, atol=0)


def test_the_warp_is_around_what_the_cameras_look_at() -> None:
    warp = warp_of([cameras()[i : i + 1] for i in range(7)])
    assert float(warp.center.norm()) < 0.1
    assert warp.radius == pytest.approx(0.6 * 3, rel=0.1)


def test_a_warped_grid_gives_the_same_surface() -> None:
    warp = Warp(torch.tensor([0.1, 0, 0]), 0.4)
    grid = drain(fuse(depths(), warp, 0.02))
    whole = without_crumbs(Triangles(*extract(grid)), 1e-3, STILL)
    inner = whole.vertices[:, 1].abs() < 0.6
    assert (whole.vertices.norm(dim=-1) - RADIUS).abs()[inner].mean() < 0.015
    assert float((whole.normals * whole.corners.mean(1)).sum(-1).mean()) > 0


def test_depths_far_beyond_the_sparse_points_need_a_second_place() -> None:
    seen, points = depths(), ball().vertices
    near = seen[0]

    def kept(views: list[DepthView], points: torch.Tensor) -> torch.Tensor:
        return within_reach(views, points)[0].depth

    assert torch.equal(kept(seen, points), near.depth)
    wall = 2 * float(near.depth[near.depth.isfinite()].amax())
    far = DepthView(near.camera, near.depth.clamp(max=wall))
    assert bool((far.depth == wall).any())
    assert torch.equal(kept([far, *seen[1:]], points), near.depth)
    # Another camera at the same place says no more than the first; one beside it tells the depth.
    assert torch.equal(kept([far, far], points), near.depth)
    moved = far.camera.viewmats.clone()
    moved[0, 0, 3] -= 0.8
    beside = DepthView(replace(far.camera, viewmats=moved), torch.full_like(far.depth, wall))
    told = kept([far, beside], points) == wall
    assert 0.5 < float(told.sum()) / float((far.depth == wall).sum()) < 1
    # Too few points say nothing.
    assert torch.equal(kept([far], points[:20]), far.depth)
    # What is behind the camera does not reach farther.
    behind = torch.cat((points, -100 * torch.ones(1000, 3) * near.camera.viewmats[0, 2, :3]))
    assert torch.equal(kept([far], behind), near.depth)
