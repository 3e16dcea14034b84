"""What a page shows of a scene by itself: the captured views by name, and a walk through them."""

from __future__ import annotations

from pathlib import PurePosixPath

import torch

from splatkit.core import camera_of
from splatkit.core.bulk import bulk
from splatkit.export.opening import OpenScene
from splatkit.export.prepare import ExportOptions, cameras_turned, rotation_of
from splatkit.io.html import NamedView, Tour
from splatkit.render.paths import captured, circle, focus_of

SECONDS_A_PHOTO = 0.7
SHORTEST, LONGEST = 12.0, 60.0
"""Seconds of a walk."""
FRAMES_A_SECOND = 8
"""Views that a walk is stored as; the page goes between them on straight lines."""
CIRCLE_SECONDS = 24.0
_CIRCLE_SHAPE = (1280, 720)


def tour_of(scene: OpenScene, options: ExportOptions | None = None) -> Tour:
    """The views of a scene and a walk: through its photos, or around it where there are none.

    Args:
        scene: as it was opened.
        options: how the Gaussians were turned and scaled since; not at all when None.
    """
    options = options or ExportOptions()
    photos = scene.photos
    if photos:
        middle = photos[len(photos) // 2]
        cameras = scene.cameras(middle.width, middle.height)
        assert cameras is not None
        seconds = min(max(SECONDS_A_PHOTO * len(photos), SHORTEST), LONGEST)
        path = captured(cameras, round(seconds * FRAMES_A_SECOND), middle.width, middle.height)
        views = [NamedView(_title(photo.name), camera_of(photo)) for photo in photos]
        # Who walks around something takes the middle of the photos from the middle of the way.
        first = len(photos) // 2
        focus = focus_of(cameras) if len(photos) > 1 else bulk(scene.gaussians)[0]
    else:
        seconds, first = CIRCLE_SECONDS, 0
        around = circle(scene.gaussians, round(seconds * FRAMES_A_SECOND), *_CIRCLE_SHAPE)
        # The circle starts behind the scene (+z); an RDF scene faces -z.
        order = torch.arange(len(around)).roll(len(around) // 2)
        path, focus = around[order], bulk(scene.gaussians)[0]
        names = ("Front", "Left", "Back", "Right")
        quarter = len(path) // len(names)
        views = [
            NamedView(name, path[i * quarter : i * quarter + 1]) for i, name in enumerate(names)
        ]
    turn = rotation_of(options)
    return Tour(
        title=scene.name,
        views=[NamedView(view.name, cameras_turned(view.camera, options)) for view in views],
        first=first,
        path=cameras_turned(path, options),
        seconds=seconds,
        closed=not photos,
        focus=options.scale * (focus if turn is None else turn @ focus),
        background=scene.background,
    )


def _title(name: str) -> str:
    """A photo's name without its ending, which tells visitors nothing."""
    return PurePosixPath(name).with_suffix("").as_posix()
