"""A mesh in OpenGL (moderngl), as an engine draws it: unlit, with a depth buffer, colours mixed in
linear light. Without a graphics card it is Mesa's llvmpipe, on the processor.
"""

from __future__ import annotations

import numpy as np
import torch

from splatkit.core import Cameras, Triangles
from splatkit.core.srgb import linear_of_srgb

NEAR, FAR = 0.01, 10_000.0
_SRGB8 = 0x8C41
_VERTEX = """
#version 330
uniform mat4 matrix;
in vec3 position; in vec3 color; in vec2 uv;
out vec3 shade; out vec2 place;
void main() { gl_Position = matrix * vec4(position, 1); shade = color; place = uv; }
"""
_FRAGMENT = """
#version 330
uniform sampler2D picture; uniform bool textured;
in vec3 shade; in vec2 place; out vec4 result;
void main() {
  vec3 light = textured ? texture(picture, place).rgb : shade;
  vec3 curve = 1.055 * pow(max(light, 0.0031308), vec3(1 / 2.4)) - 0.055;
  result = vec4(mix(12.92 * light, curve, greaterThan(light, vec3(0.0031308))), 1);
}
"""


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


class OpenGLMesh:
    """A mesh in the memory of a graphics card, and a picture to draw it on.

    Args:
        mesh: with vertex colours or a texture.
        width: of the picture.
        height: of the picture.
    """

    def __init__(self, mesh: Triangles, width: int, height: int) -> None:
        import moderngl

        self._triangles = moderngl.TRIANGLES
        self.context = moderngl.create_standalone_context(backend="egl")
        self.program = self.context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
        count = len(mesh.vertices)
        colors = torch.zeros(count, 3) if mesh.colors is None else linear_of_srgb(mesh.colors)
        uvs = torch.zeros(count, 2) if mesh.uvs is None else mesh.uvs
        rows = torch.cat((mesh.vertices, colors, uvs), 1).float().numpy().tobytes()
        faces = self.context.buffer(mesh.faces.int().numpy().tobytes())
        layout = [(self.context.buffer(rows), "3f 3f 2f", "position", "color", "uv")]
        self.array = self.context.vertex_array(self.program, layout, faces)
        self.program["textured"].value = mesh.texture is not None
        if mesh.texture is not None:
            pixels = (mesh.texture * 255).round().byte().numpy()
            size = (pixels.shape[1], pixels.shape[0])
            picture = self.context.texture(
                size, 3, pixels.tobytes(), alignment=1, internal_format=_SRGB8
            )
            picture.filter = (moderngl.LINEAR, moderngl.LINEAR)
            picture.repeat_x = picture.repeat_y = False
            picture.use(0)
        self.context.enable(moderngl.DEPTH_TEST)
        self.size = (width, height)
        self.target = self.context.simple_framebuffer(self.size)
        self.target.use()

    @property
    def renderer(self) -> str:
        """The name of what draws."""
        return self.context.info["GL_RENDERER"]

    def draw(self, camera: Cameras) -> None:
        """Draw one camera's view, and wait until it is there."""
        self.target.clear(0, 0, 0, 1)
        view, projection = matrices(camera, luf=False)
        self.program["matrix"].write((projection @ view).T.astype("f4").tobytes())
        self.array.render(self._triangles)
        self.context.finish()

    def pixels(self) -> np.ndarray:
        """[H,W,3] uint8 of what was drawn last."""
        rows_up = np.frombuffer(self.target.read(components=3, alignment=1), np.uint8)
        return rows_up.reshape(self.size[1], self.size[0], 3)[::-1]

    def close(self) -> None:
        """Give everything back."""
        self.context.release()
