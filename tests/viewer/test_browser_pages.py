"""The pages about scenes in a real browser: the library, a scene's photos, a training."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from splatkit.export import open_scene
from splatkit.render import render
from splatkit.render.pictures import picture
from splatkit.viewer import Library, Viewer
from splatkit.viewer.views import first_place
from tests.chromium import chromium_page
from tests.scenes import write_photos, write_run
from tests.viewer.test_browser import HEIGHT, PATIENCE, SHOWN, WIDTH, psnr, screenshot, view_at

pytestmark = pytest.mark.long

HEADER = 52
"""Pixels of a scene's page above its view."""


def test_from_the_library_to_a_scene_and_its_photos(tmp_path: Path) -> None:
    write_run(tmp_path / "balls")
    scene = open_scene(tmp_path / "balls")
    with (
        Viewer(Library([tmp_path]), port=0) as viewer,
        chromium_page(WIDTH, HEIGHT) as page,
    ):
        page.goto(viewer.url)
        page.locator("a.card", has_text="balls").click(timeout=PATIENCE)
        page.wait_for_url("**/s/balls-*")
        page.goto(f"{page.url}?fixedDpr=1")
        frame = page.frame_locator("iframe")
        frame.get_by_role("button", name="Reset view", exact=True).wait_for(timeout=PATIENCE)
        height = HEIGHT - HEADER
        camera = view_at(first_place(scene.photos, scene.gaussians)).camera(WIDTH, height)
        truth = picture(render(scene.gaussians, camera), "rgb")[0].numpy()[SHOWN]
        below = (slice(SHOWN[0].start + HEADER, HEIGHT), SHOWN[1])
        end, best = time.monotonic() + 60, 0.0
        while best < 35 and time.monotonic() < end:
            best = max(best, psnr(screenshot(page, below), truth))
        assert best >= 35
        page.locator("#photos").click(timeout=PATIENCE)
        page.locator(".strip").nth(7).wait_for(timeout=PATIENCE)
        values = [float(text.split()[0]) for text in page.locator(".strip b").all_inner_texts()]
        assert values == sorted(values)
        assert len(values) == 8


def test_a_training_is_started_and_ended_on_the_page(tmp_path: Path) -> None:
    write_photos(tmp_path / "taken", 6)
    with (
        Viewer(Library([tmp_path]), port=0, runs=tmp_path / "runs") as viewer,
        chromium_page(WIDTH, HEIGHT) as page,
    ):
        page.goto(viewer.url)
        page.get_by_role("button", name="Train from photos").click(timeout=PATIENCE)
        page.get_by_role("button", name="Start", exact=True).click()
        page.wait_for_url("**/s/taken-*", timeout=PATIENCE)
        state = page.locator("#state")
        page.locator("#state", has_text="Training").wait_for(timeout=PATIENCE)
        page.locator("iframe").wait_for(timeout=PATIENCE)
        page.get_by_role("button", name="Pause").click()
        page.locator("#state", has_text="Paused").wait_for(timeout=PATIENCE)
        page.get_by_role("button", name="Save").click()
        page.get_by_text("Saved: step").wait_for(timeout=PATIENCE)
        page.get_by_role("button", name="Stop").click()
        page.locator("#state", has_text="Stopped").wait_for(timeout=PATIENCE)
        assert state.inner_text() == "Stopped"
        assert list((tmp_path / "runs" / "taken" / "checkpoints").glob("*.npz"))
