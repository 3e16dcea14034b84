"""A scene on the disk whose cameras stand in a ring."""

from __future__ import annotations

from pathlib import Path

import torch

from splatkit.core import Scene
from splatkit.io.scene import load_scene
from tests.scenes import write_run


def ring_scene(folder: Path, count: int) -> Scene:
    """The scene of ``tests.scenes.ring`` with points about the origin."""
    scene = load_scene(write_run(folder / f"run{count}", count) / "scene")
    generator = torch.Generator().manual_seed(0)
    scene.points = torch.randn(200, 3, generator=generator) * 0.3
    scene.point_colors = torch.full((200, 3), 0.5)
    return scene
