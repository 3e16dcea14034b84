"""Other people's rasterizers with a photo's camera: three.js in Chromium, OpenGL through moderngl.

Both draw at twice the width and height and average, as splatkit's comparisons do.
``SPLATKIT_NODE_MODULES`` is a ``node_modules`` folder: npm install three@0.187.
"""

from __future__ import annotations

import base64
import io
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from scripts.bench.opengl import OpenGLMesh, matrices
from splatkit.core import Cameras, Triangles
from tests.chromium import chromium_page

SAMPLES = 2
PAGE = Path(__file__).parent / "viewers" / "mesh.html"


def averaged(pixels: np.ndarray) -> torch.Tensor:
    """[H,W,3] 0..1 of uint8 samples [2H,2W,3 or 4]."""
    height, width = pixels.shape[0] // SAMPLES, pixels.shape[1] // SAMPLES
    squares = pixels[..., :3].reshape(height, SAMPLES, width, SAMPLES, 3)
    return torch.from_numpy(squares.mean((1, 3)) / 255).float()


class _Files(SimpleHTTPRequestHandler):
    def __init__(self, *args: object, modules: Path, folder: Path) -> None:
        self.modules, self.folder = modules, folder
        super().__init__(*args)  # pyright: ignore

    def translate_path(self, path: str) -> str:
        name = path.split("?")[0].lstrip("/")
        if name == PAGE.name:
            return str(PAGE)
        ours = self.folder / name
        return str(ours if ours.is_file() else self.modules / name)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def three_page(file: Path) -> Iterator[Any]:
    """A Playwright page on which three.js has opened a file; see ``viewers/mesh.html``."""
    modules = os.environ.get("SPLATKIT_NODE_MODULES")
    if not modules or not Path(modules, "three").is_dir():
        pytest.skip("SPLATKIT_NODE_MODULES does not name a node_modules folder with three in it")
    handler = partial(_Files, modules=Path(modules), folder=file.parent)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with chromium_page(640, 480) as page:
            page.goto(f"http://127.0.0.1:{server.server_port}/{PAGE.name}")
            page.wait_for_function("window.open_file !== undefined", timeout=120_000)
            assert page.evaluate("file => window.open_file(file)", file.name) > 0
            yield page
    finally:
        server.shutdown()


@contextmanager
def three(file: Path) -> Iterator[Callable[[Cameras], torch.Tensor]]:
    """A function that draws a file with three.js."""
    with three_page(file) as page:

        def draw(camera: Cameras) -> torch.Tensor:
            view, projection = matrices(camera, luf=True)
            url = page.evaluate(
                "told => window.draw(told)",
                {
                    "width": camera.width * SAMPLES,
                    "height": camera.height * SAMPLES,
                    "view": view.T.reshape(-1).tolist(),
                    "projection": projection.T.reshape(-1).tolist(),
                },
            )
            picture = Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))
            return averaged(np.asarray(picture.convert("RGB")))

        yield draw


def opengl(mesh: Triangles, cameras: list[Cameras]) -> list[torch.Tensor]:
    """Pictures of a mesh by OpenGL, colours as engines take them: mixed in linear light."""
    pytest.importorskip("moderngl", reason="needs moderngl: pip install moderngl")
    if shutil.which("ldconfig") is None:
        pytest.skip("needs a system with EGL")
    first = cameras[0]
    drawing = OpenGLMesh(mesh, first.width * SAMPLES, first.height * SAMPLES)
    drawn = []
    for camera in cameras:
        drawing.draw(camera)
        drawn.append(averaged(drawing.pixels()))
    drawing.close()
    return drawn
