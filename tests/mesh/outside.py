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

from splatkit.core import Cameras, Triangles
from splatkit.core.srgb import linear_of_srgb
from tests.chromium import chromium_page

SAMPLES = 2
NEAR, FAR = 0.01, 1000.0
PAGE = Path(__file__).parent / "viewers" / "mesh.html"


def matrices(camera: Cameras, luf: bool) -> tuple[np.ndarray, np.ndarray]:
    """View and projection of OpenGL for one camera; ``luf``: of a file's frame, not the world's."""
    K, width, height = camera.Ks[0].double().numpy(), camera.width, camera.height
    turn = np.diag([-1.0, -1, 1, 1] if luf else [1.0, 1, 1, 1])
    view = np.diag([1.0, -1, -1, 1]) @ camera.viewmats[0].double().numpy() @ turn
    projection = np.array(
        [
            [2 * K[0, 0] / width, 0, 1 - 2 * K[0, 2] / width, 0],
            [0, 2 * K[1, 1] / height, 2 * K[1, 2] / height - 1, 0],
            [0, 0, -(FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)],
            [0, 0, -1, 0],
        ]
    )
    return view, projection


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


SRGB8 = 0x8C41
VERTEX = """
#version 330
uniform mat4 matrix;
in vec3 position; in vec3 color; in vec2 uv;
out vec3 shade; out vec2 place;
void main() { gl_Position = matrix * vec4(position, 1); shade = color; place = uv; }
"""
FRAGMENT = """
#version 330
uniform sampler2D picture; uniform bool textured;
in vec3 shade; in vec2 place; out vec4 result;
void main() {
  vec3 light = textured ? texture(picture, place).rgb : shade;
  vec3 curve = 1.055 * pow(max(light, 0.0031308), vec3(1 / 2.4)) - 0.055;
  result = vec4(mix(12.92 * light, curve, greaterThan(light, vec3(0.0031308))), 1);
}
"""


def opengl(mesh: Triangles, cameras: list[Cameras]) -> list[torch.Tensor]:
    """Pictures of a mesh by OpenGL, colours as engines take them: mixed in linear light."""
    moderngl = pytest.importorskip("moderngl", reason="needs moderngl: pip install moderngl")
    if shutil.which("ldconfig") is None:
        pytest.skip("needs a system with EGL")
    context = moderngl.create_standalone_context(backend="egl")
    program = context.program(vertex_shader=VERTEX, fragment_shader=FRAGMENT)
    count = len(mesh.vertices)
    colors = torch.zeros(count, 3) if mesh.colors is None else linear_of_srgb(mesh.colors)
    uvs = torch.zeros(count, 2) if mesh.uvs is None else mesh.uvs
    rows = torch.cat((mesh.vertices, colors, uvs), 1).float().numpy().tobytes()
    faces = context.buffer(mesh.faces.int().numpy().tobytes())
    array = context.vertex_array(
        program,
        [(context.buffer(rows), "3f 3f 2f", "position", "color", "uv")],
        faces,
    )
    program["textured"].value = mesh.texture is not None
    if mesh.texture is not None:
        pixels = (mesh.texture * 255).round().byte().numpy()
        size = (pixels.shape[1], pixels.shape[0])
        picture = context.texture(size, 3, pixels.tobytes(), alignment=1, internal_format=SRGB8)
        picture.filter = (moderngl.LINEAR, moderngl.LINEAR)
        picture.repeat_x = picture.repeat_y = False
        picture.use(0)
    context.enable(moderngl.DEPTH_TEST)
    drawn = []
    for camera in cameras:
        size = (camera.width * SAMPLES, camera.height * SAMPLES)
        target = context.simple_framebuffer(size)
        target.use()
        target.clear(0, 0, 0, 1)
        view, projection = matrices(camera, luf=False)
        program["matrix"].write((projection @ view).T.astype("f4").tobytes())
        array.render(moderngl.TRIANGLES)
        rows_up = np.frombuffer(target.read(components=3, alignment=1), np.uint8)
        drawn.append(averaged(rows_up.reshape(size[1], size[0], 3)[::-1]))
    context.release()
    return drawn
