"""What a page shows by itself: the photos' views and a walk through them, moved as the scene is."""

from __future__ import annotations

from pathlib import Path

import torch

from splatkit.core import Cameras, drain
from splatkit.core.similarity import transformed
from splatkit.export import open_scene
from splatkit.export.convert import ExportOptions, export_scene
from splatkit.export.prepare import rotation_of
from splatkit.export.tour import tour_of
from splatkit.io import info, write_gaussians
from splatkit.render import render
from tests.scenes import ball_over_floor, write_run

MOVED = ExportOptions(up="z", rotate=(10, 20, 30), scale=2.5)


def distances(cameras: Cameras, other: Cameras) -> torch.Tensor:
    """From each camera to the nearest of the others, world units."""
    return torch.cdist(cameras.positions.double(), other.positions.double()).amin(1)


def test_photos_become_views_and_a_walk(tmp_path: Path) -> None:
    scene = open_scene(write_run(tmp_path / "balls"))
    tour = tour_of(scene)
    assert tour.title == "balls"
    assert [view.name for view in tour.views] == [f"{index:03d}" for index in range(8)]
    torch.testing.assert_close(tour.views[tour.first].camera.viewmats[0], scene.photos[4].viewmat)
    photos = scene.cameras(48, 32)
    assert photos is not None
    assert tour.path is not None
    assert not tour.closed
    assert float(distances(photos, tour.path).max()) < 0.3
    steps = (tour.path.positions[1:] - tour.path.positions[:-1]).norm(dim=-1)
    assert float(steps.max()) < 0.4
    assert tour.focus is not None
    assert float(tour.focus.norm()) < 0.1


def test_a_scene_file_alone_is_gone_around(tmp_path: Path) -> None:
    write_gaussians(ball_over_floor(), tmp_path / "a.ply")
    tour = tour_of(open_scene(tmp_path / "a.ply"))
    assert tour.closed
    assert [view.name for view in tour.views] == ["Front", "Left", "Back", "Right"]
    front, left = (view.camera.positions[0] for view in tour.views[:2])
    assert tour.focus is not None
    assert front[2] < tour.focus[2] - 1, "the front is not seen from -z"
    assert left[0] < tour.focus[0] - 1, "the left side is not seen from -x"
    assert tour.path is not None
    torch.testing.assert_close(tour.path.viewmats[:1], tour.views[0].camera.viewmats)


def test_views_move_with_the_scene(tmp_path: Path) -> None:
    scene = open_scene(write_run(tmp_path / "balls"))
    plain, moved = tour_of(scene), tour_of(scene, MOVED)
    gaussians = transformed(scene.gaussians, rotation_of(MOVED), MOVED.scale)
    for before, after in zip(plain.views[:2], moved.views[:2], strict=True):
        expected = render(scene.gaussians, before.camera.to(torch.float32)).rgb
        got = render(gaussians, after.camera.to(torch.float32)).rgb
        torch.testing.assert_close(got, expected, rtol=0, atol=2e-3)
    assert plain.path is not None
    assert moved.path is not None
    turn = rotation_of(MOVED)
    assert turn is not None
    torch.testing.assert_close(moved.path.positions, 2.5 * plain.path.positions @ turn.mT)
    assert plain.focus is not None
    torch.testing.assert_close(moved.focus, 2.5 * turn @ plain.focus)


def test_a_run_is_exported_with_its_views(tmp_path: Path) -> None:
    run = write_run(tmp_path / "balls")
    done = drain(export_scene(run, tmp_path / "scene.html"))
    assert (done.format, done.num_gaussians) == ("html", 120)
    told = info(tmp_path / "scene.html")
    assert (told["title"], told["views"]) == ("balls", 8)
