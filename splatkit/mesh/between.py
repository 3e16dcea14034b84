"""What the Gaussians show from places between the photos.

Triangles that are fitted to few photos learn them by heart: whatever stands anywhere on a pixel's
ray looks right from its one camera. Gaussians are better in between, and what they show from there
holds triangles to it. Each photo's camera is turned about what it looks at, by half the way to its
neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Generator

import torch
from torch import Tensor

from splatkit.core import Event, Gaussians, Progress
from splatkit.mesh.surface import SOLID
from splatkit.render import render
from splatkit.train.open_space import moved_about, spacing_of
from splatkit.train.photos import View

FEW_PHOTOS = 30
"""With as many photos as this or more, neighbours see what stands in the wrong place."""
MOST, MOST_EACH = 120, 8
"""Pictures in all, and for one photo."""
NEIGHBOURS = 3
WAY = 0.5
"""Of the mean distance to the nearest cameras."""
FARTHEST = 0.45
"""A camera is turned by at most so much, radians."""
_GOLDEN = math.pi * (3 - math.sqrt(5))


def pictures_between(
    gaussians: Gaussians,
    views: list[View],
    background: Tensor,
    *,
    open_: bool,
    backend: str = "auto",
) -> Generator[Event, None, list[View]]:
    """Pictures of the Gaussians from around the photos' cameras.

    Args:
        gaussians: the scene.
        views: the photos.
        background: [3] sRGB behind the scene.
        open_: whether nothing is known of what is seen past the scene; such pixels do not count.
        backend: see ``render``.

    Returns:
        Views of the photos' sizes; none where photos are many, or see nothing solid.
    """
    found: list[View] = []
    if not 1 < len(views) < FEW_PHOTOS:
        return found
    each = min(MOST // len(views), MOST_EACH)
    spacing = spacing_of(views, NEIGHBOURS).tolist()
    for index, (view, space) in enumerate(zip(views, spacing, strict=True)):
        with torch.no_grad():
            seen = render(
                gaussians, view.camera, sh_degree=0, outputs=("depth_median",), backend=backend
            )
        assert seen.depth_median is not None
        solid = seen.alpha > SOLID
        if not bool(solid.any()):
            continue
        away = float(seen.depth_median[solid].median())
        angle = min(WAY * space / away, FARTHEST)
        for turn in range(each):
            direction = math.tau * turn / each + index * _GOLDEN
            camera = moved_about(view.camera, away, angle, direction)
            with torch.no_grad():
                drawn = render(gaussians, camera, background=background, backend=backend)
            mask = (drawn.alpha > SOLID).byte() if open_ else None
            picture = (drawn.rgb.clamp(0, 1) * 255).round().byte()
            found.append(View(f"{view.name}, turned {turn + 1}", camera, picture.cpu(), mask))
        yield Progress("Looking from between the photos", index + 1, len(views))
    return found
