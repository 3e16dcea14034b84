"""Other people's viewers show our files the right way round, and as we show them.

three.js, Spark for three.js and the PlayCanvas engine, in headless Chromium.
``SPLATKIT_NODE_MODULES`` is a ``node_modules`` folder:
npm install three@0.187 @sparkjsdev/spark@2.2.0 playcanvas@2.23.
"""

from __future__ import annotations

import io
import os
import shutil
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from splatkit.core import Gaussians
from splatkit.io import write_gaussians
from splatkit.render.backends.torch_ref import TorchReference
from splatkit.render.constants import BlendConstants
from tests.chromium import chromium_page
from tests.export.clouds import export
from tests.export.sample import sample_cloud
from tests.export.sign import DISTANCE, FOV, HEIGHT, WIDTH, picture_of, psnr, sign

pytestmark = pytest.mark.long

PAGES = Path(__file__).parent / "viewers"
CASES = [
    ("spark", "three", ".ply"),
    ("spark", "three", ".compressed.ply"),
    ("spark", "three", ".spz"),
    ("spark", "three", ".sog"),
    ("spark", "three", ".splat"),
    ("three", None, ".glb"),
    ("playcanvas", "playcanvas", ".ply"),
    ("playcanvas", "playcanvas", ".compressed.ply"),
    ("playcanvas", "playcanvas", ".sog"),
    ("playcanvas", None, ".glb"),
]
LEAST_PSNR = 35.0
"""Decibels between a viewer's picture and ours."""
LEAST_OF_THREE = 30.0
"""three.js ends Gaussians at twice their standard deviation, which shows where they lie loosely."""
THREE = TorchReference(BlendConstants(reach=2.0))
"""Draws as three.js does (``KERNEL_2D_SIZE``, ``alphaScale`` and ``Discard`` in its
``GaussianSplat.js``), which takes every scene for an antialiased one, too."""


class _Files(SimpleHTTPRequestHandler):
    """Files of two folders, without a line of log for each."""

    def __init__(self, *args: object, modules: Path, folder: Path) -> None:
        self.modules, self.folder = modules, folder
        super().__init__(*args)  # pyright: ignore

    def translate_path(self, path: str) -> str:
        name = path.split("?")[0].lstrip("/")
        ours = self.folder / name
        return str(ours if ours.is_file() else self.modules / name)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(tmp_path):
    modules = os.environ.get("SPLATKIT_NODE_MODULES")
    if not modules or not Path(modules, "three").is_dir():
        pytest.skip("SPLATKIT_NODE_MODULES does not name a node_modules folder with three in it")
    handler = partial(_Files, modules=Path(modules), folder=tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def shown(site: str, folder: Path, viewer: str, file: str) -> np.ndarray:
    """[H,W,3] 0..1 of a viewer's picture of a file."""
    shutil.copy(PAGES / f"{viewer}.html", folder)
    told = {"file": file, "width": WIDTH, "height": HEIGHT, "fov": FOV, "distance": DISTANCE}
    with chromium_page(WIDTH, HEIGHT) as page:
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.set_default_timeout(300_000)
        page.goto(f"{site}/{viewer}.html")
        page.wait_for_function("window.show !== undefined", timeout=120_000)
        page.evaluate("told => window.show(told)", told)
        before = b""
        # Sorting and shaders take their time: the picture is done when it stands still.
        for _ in range(60):
            page.wait_for_timeout(1000)
            now = page.screenshot()
            picture = np.asarray(Image.open(io.BytesIO(now)).convert("RGB")) / 255
            if now == before and picture.max() > 0.2:
                break
            before = now
    assert not faults
    return picture


@pytest.mark.parametrize(("viewer", "target", "suffix"), CASES)
def test_the_sign_reads_from_left_to_right(site, tmp_path, viewer, target, suffix):
    original = sign(0 if suffix == ".splat" else 1)
    check(site, tmp_path, original, f"{viewer} sign{suffix}", target)


@pytest.mark.parametrize(("viewer", "target", "suffix"), CASES)
def test_the_sample_looks_as_it_does_here(site, tmp_path, viewer, target, suffix):
    check(site, tmp_path, sample_cloud(), f"{viewer} sample{suffix}", target)


def check(site: str, folder: Path, original: Gaussians, name: str, target: str | None) -> None:
    """A viewer shows an export as we show the scene; ``name`` begins with the viewer's."""
    viewer, suffix = name.split()[0], name[name.index(".") :]
    write_gaussians(original, folder / "scene.ply")
    export(folder / "scene.ply", folder / f"a{suffix}", target=target)
    theirs = shown(site, folder, viewer, f"a{suffix}")
    own = compare(theirs, picture_of(original), name)
    assert own > (LEAST_OF_THREE if viewer == "three" else LEAST_PSNR)
    if viewer == "three":
        same = picture_of(replace(original, antialiased=True), THREE)
        assert compare(theirs, same, f"{name} by its constants") > LEAST_PSNR


def compare(theirs: np.ndarray, ours: np.ndarray, name: str) -> float:
    """Decibels between a picture and ours, which must be far more than from a mirrored one."""
    own = psnr(theirs, ours)
    print(f"{name}: {own:.1f} dB")
    if os.environ.get("SPLATKIT_KEEP_PICTURES"):
        both = np.concatenate((theirs, ours), 1)
        folder = Path(os.environ["SPLATKIT_KEEP_PICTURES"])
        Image.fromarray((both * 255).round().astype(np.uint8)).save(folder / f"{name}.png")
    for wrong in (ours[:, ::-1], ours[::-1], ours[::-1, ::-1]):
        assert own > psnr(theirs, wrong) + 8
    return own
