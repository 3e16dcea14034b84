"""A box and a ball that a person moves in the view to say which part of a scene is meant."""

from __future__ import annotations

from dataclasses import dataclass

import viser
from torch import Tensor

from splatkit.core import Gaussians
from splatkit.edit.selection import in_box, in_sphere

COLOR = (255, 150, 40)
FACE_OPACITY = 0.08
GIZMO_SHARE = 0.4
"""Length of the gizmo's arms, in widths of the volume: they stay inside it."""


@dataclass(frozen=True)
class Placed:
    """Where a volume stands."""

    wxyz: tuple[float, float, float, float]
    position: tuple[float, float, float]
    size: tuple[float, float, float]
    """Whole widths of the box; the ball's radius is half of the first."""


def inside(gaussians: Gaussians, placed: Placed, shape: str) -> Tensor:
    """[N] bool: centres inside a volume.

    Args:
        gaussians: N.
        placed: where it stands.
        shape: ``Box`` or ``Ball``.
    """
    if shape == "Ball":
        return in_sphere(gaussians, placed.position, placed.size[0] / 2)
    half = [side / 2 for side in placed.size]
    return in_box(gaussians, [-side for side in half], half, placed.wxyz, placed.position)


class Volume:
    """The volume in one browser's view: hidden, or one shape with a gizmo.

    Args:
        client: the browser.
        center: [3] where it stands at first, world frame.
        size: its width at first, world units.
    """

    def __init__(self, client: viser.ClientHandle, center: Tensor, size: float) -> None:
        self._client = client
        self._size = (size, size, size)
        self._gizmo = client.scene.add_transform_controls(
            "/volume",
            scale=size * GIZMO_SHARE,
            position=tuple(center.tolist()),
            depth_test=False,
            visible=False,
        )
        self._shape = ""

    @property
    def placed(self) -> Placed:
        """Where it stands now."""
        w, x, y, z = (float(value) for value in self._gizmo.wxyz)
        px, py, pz = (float(value) for value in self._gizmo.position)
        return Placed((w, x, y, z), (px, py, pz), self._size)

    def show(self, shape: str | None) -> None:
        """Show a ``Box`` or a ``Ball``; None hides it."""
        self._gizmo.visible = shape is not None
        self._shape = shape or ""
        if shape is not None:
            self._draw()

    def resize(self, size: tuple[float, float, float]) -> None:
        """Give it other widths, world units."""
        self._size = size
        if self._shape:
            self._draw()

    def _draw(self) -> None:
        scene = self._client.scene
        for index, (wireframe, opacity) in enumerate(((True, None), (False, FACE_OPACITY))):
            name = f"/volume/{index}"
            if self._shape == "Ball":
                scene.add_icosphere(
                    name,
                    radius=self._size[0] / 2,
                    color=COLOR,
                    wireframe=wireframe,
                    opacity=opacity,
                    subdivisions=2 if wireframe else 3,
                    cast_shadow=False,
                    receive_shadow=False,
                )
            else:
                scene.add_box(
                    name,
                    color=COLOR,
                    dimensions=self._size,
                    wireframe=wireframe,
                    opacity=opacity,
                    cast_shadow=False,
                    receive_shadow=False,
                )
