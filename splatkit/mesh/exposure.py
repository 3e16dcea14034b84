"""Photos of varied exposure as they would be with the scene's own.

A scene trained with ``--exposure varies`` has the photos' mean look, and a colour map takes it to
each photo (``train.photo_colors``). The maps are found again here, from what the finished scene
shows, and undone: a texture is to have one colour where photos show the same wall in several. The
scene's view-dependent colours have learned much of the exposures by then and are left out.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import torch
from torch import Tensor

from splatkit.core import Event, Gaussians, Progress
from splatkit.mesh.surface import SOLID
from splatkit.render import render
from splatkit.train.first_colors import gains_from_points
from splatkit.train.photo_colors import PhotoColorFit, PhotoColors
from splatkit.train.photos import View

_ROUNDS = 2
"""The first finds the maps, the second what is left once their mean is neutral."""
_FIT = PhotoColorFit(share=1.0)


def neutral_photos(
    gaussians: Gaussians,
    views: list[View],
    points: Tensor,
    background: Tensor,
    *,
    backend: str = "auto",
) -> Generator[Event, None, list[View]]:
    """Photos in the colours of the scene.

    Args:
        gaussians: a scene trained with maps for its photos' colours.
        views: these photos.
        points: [N,3] sparse points, world frame, which tell how bright each photo is at first.
        background: [3] sRGB behind the scene.
        backend: see ``render``.

    Returns:
        The views with other pictures where the scene is solid. What is white in a photo because it
        was cut off there is as bright as the photo could show it.
    """
    solid = []
    maps = PhotoColors.start(gains_from_points(views, points))
    for part in range(_ROUNDS):
        for index, view in enumerate(views):
            with torch.no_grad():
                drawn = render(
                    gaussians, view.camera, background=background, sh_degree=0, backend=backend
                )
            shown = drawn.rgb.cpu(), drawn.alpha.cpu()
            maps.fit(index, *shown, view.image, view.mask, _FIT)
            if part == 0:
                solid.append(shown[1][..., None] > SOLID)
            done = part * len(views) + index + 1
            yield Progress("Comparing exposures", done, _ROUNDS * len(views))
    return [
        replace(view, image=torch.where(covered, maps.undone(index, view.image), view.image))
        for index, (view, covered) in enumerate(zip(views, solid, strict=True))
    ]
