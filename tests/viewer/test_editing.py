"""Working on a scene in the page: the same messages that a browser sends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from splatkit.core import SplatkitError
from splatkit.edit.selection import in_rectangle, under_brush
from splatkit.export import open_scene
from splatkit.io import read_gaussians
from splatkit.viewer import FixedSource, Library, Viewer
from splatkit.viewer.allowance import Allowance
from splatkit.viewer.desk import Desk
from splatkit.viewer.tab import Tab
from splatkit.viewer.volumes import Placed, inside
from tests.scenes import ball_over_floor, ring, write_run
from tests.viewer.browsers import FakeBrowser
from tests.viewer.test_front import ask
from tests.viewer.test_viewer import seen_from


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder / "balls")
    with Viewer(Library([folder], folder / "uploads"), port=0) as viewer:
        yield viewer


@pytest.fixture
def browser(viewer: Viewer) -> Iterator[FakeBrowser]:
    scene = next(entry.id for entry in viewer.library.entries() if entry.name == "balls")
    browser = FakeBrowser(viewer.port, scene=scene)
    browser.messages(0.5)
    yield browser
    browser.close()


def tab_of(viewer: Viewer, browser: FakeBrowser) -> Tab:
    """Known a moment after its first picture was sent."""
    end = time.monotonic() + 120
    while (tab := viewer._stage.tab(browser.tab)) is None:
        assert time.monotonic() < end, "no tab"
        browser.messages(0.05)
    return tab


def until(browser: FakeBrowser, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "this did not come about"
        browser.messages(0.05)


def differs(picture: np.ndarray, other: np.ndarray) -> bool:
    """Whether a picture of the same size shows something else."""
    return picture.shape == other.shape and bool(np.abs(picture - other).mean() > 1)


def test_a_ball_is_selected_deleted_undone_and_saved(viewer: Viewer, browser: FakeBrowser) -> None:
    desk = tab_of(viewer, browser).desk
    browser.set("Select by", "Ball")
    browser.set("Width", 2.0)
    browser.messages(0.5)
    browser.press("Select")
    until(browser, lambda: desk.is_begun and bool(desk.bench.state.selected.any()))
    center = desk.current()[0].means.median(0).values.tolist()
    ball = inside(ball_over_floor(), Placed((1, 0, 0, 0), tuple(center), (2.0,) * 3), "Ball")
    count = int(desk.bench.state.selected.sum())
    assert abs(count - int(ball.sum())) <= 3
    before = desk.current()[0]
    browser.look(ring())
    coloured = browser.picture(60, (96, 64)).astype(float)
    browser.press("Delete")
    until(browser, lambda: len(desk.current()[0]) == 120 - count)
    until(browser, lambda: differs(browser.seen(), coloured))
    browser.set("Steps", "Undo")
    until(browser, lambda: len(desk.current()[0]) == 120)
    torch.testing.assert_close(desk.current()[0].sh, before.sh)
    browser.set("Steps", "Redo")
    until(browser, lambda: len(desk.current()[0]) == 120 - count)
    browser.set("Name", "../half")
    browser.press("Save as a new scene")
    assert viewer.library.uploads is not None
    until(browser, lambda: any((viewer.library.uploads / "scenes").glob("*half")))
    (saved,) = (viewer.library.uploads / "scenes").glob("*half")
    until(browser, lambda: (saved / "scene" / "scene.json").is_file())
    assert len(open_scene(saved).gaussians) == 120 - count
    assert len(open_scene(saved).photos) == 8
    assert saved.name in {entry.name for entry in viewer.library.entries()}
    run = next(entry for entry in viewer.library.entries() if entry.name == "balls")
    assert len(read_gaussians(run.file)) == 120, "the old scene is as it was"


def test_a_rectangle_on_the_picture(viewer: Viewer, browser: FakeBrowser) -> None:
    desk = tab_of(viewer, browser).desk
    browser.look(ring())
    browser.picture(60, (96, 64))
    browser.set("Select by", "Rectangle")
    browser.set("Only what shows", False)
    browser.messages(0.5)
    low, high = (0.1, 0.1), (0.5, 0.9)
    browser.send(
        type="ScenePointerMessage",
        event_type="rect-select",
        ray_origin=None,
        ray_direction=None,
        screen_pos=[low, high],
        modifier=None,
    )
    until(browser, lambda: desk.is_begun and bool(desk.bench.state.selected.any()))
    camera = seen_from(ring(), 96, 64)
    expected = in_rectangle(ball_over_floor(), camera, (9.6, 6.4), (48, 57.6))
    assert torch.equal(desk.bench.state.selected, expected)


def test_a_stroke_selects_what_it_covers(viewer: Viewer, browser: FakeBrowser) -> None:
    tab = tab_of(viewer, browser)
    browser.look(ring())
    browser.picture(60, (96, 64))
    browser.set("Only what shows", False)
    browser.messages(0.5)
    path = f"/api/tabs/{browser.tab}/stroke"
    points = [[0.2 + 0.01 * step, 0.5] for step in range(30)]
    told = ask(viewer, path, "POST", _stroke(points))
    stroke = torch.tensor(points) * torch.tensor([96, 64])
    expected = under_brush(ball_over_floor(), seen_from(ring(), 96, 64), stroke, 0.1 * 64)
    assert told.json == {"selected": int(expected.sum())}
    assert torch.equal(tab.desk.bench.state.selected, expected)
    assert ask(viewer, path, "POST", _stroke(points, how="remove")).json == {"selected": 0}
    wrong = (
        _stroke([]),
        _stroke([[2, 0]]),
        _stroke([[0, "a"]]),
        _stroke([[0.5, 0.5]] * 1001),
        _stroke(points, radius=-1),
        _stroke(points, how="both"),
        b"x",
    )
    for body in wrong:
        assert ask(viewer, path, "POST", body).status == 400
    assert ask(viewer, "/api/tabs/none/stroke", "POST", _stroke(points)).status == 404


def _stroke(points: list, radius: float = 0.1, how: str = "add") -> bytes:
    return json.dumps({"points": points, "radius": radius, "how": how}).encode()


def test_a_second_browser_sees_the_scene_as_it_was(viewer: Viewer, browser: FakeBrowser) -> None:
    desk = tab_of(viewer, browser).desk
    desk.bench.select(torch.arange(120) < 60)
    desk.bench.delete()
    scene = next(entry.id for entry in viewer.library.entries() if entry.name == "balls")
    second = FakeBrowser(viewer.port, scene=scene)
    second.messages(0.3)
    assert len(tab_of(viewer, second).desk.current()[0]) == 120
    second.close()


def test_what_cannot_be_done_is_told(browser: FakeBrowser) -> None:
    browser.told.pop("NotificationShowMessage", None)
    browser.press("Delete")
    until(browser, lambda: "NotificationShowMessage" in browser.told)
    assert "nothing is selected" in str(browser.told["NotificationShowMessage"])


def test_a_scene_in_training_is_not_worked_on(tmp_path: Path) -> None:
    source = FixedSource(open_scene(write_run(tmp_path / "run")))
    source.allowance = Allowance()  # type: ignore[assignment]
    with pytest.raises(SplatkitError, match="in training"):
        _ = Desk(source).bench
