"""``splatkit bench render``: how fast each backend draws a scene."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


@dataclass(frozen=True)
class Command:
    """Time backends on one view of a scene, or of as many made-up Gaussians as asked for."""

    scene: Positional[Annotated[Path | None, arg(metavar="SCENE")]] = None
    """A run folder or a scene file. Default: made-up Gaussians."""
    backend: str = "auto"
    """Rasterizers, with commas: auto, cpu, cuda, gsplat, torch_ref."""
    gaussians: int = 100_000
    """Count of made-up Gaussians."""
    width: int = 1920
    """Pixels."""
    height: int = 1080
    """Pixels."""
    runs: int = 7
    """Timed repetitions; the median counts."""
    gradients: bool = False
    """Also time an image with all gradients."""
    json: bool = False
    """Print JSON."""

    def run(self) -> None:
        """Time, and print a line a backend."""
        from splatkit.core.errors import UsageError
        from splatkit.export import open_scene
        from splatkit.render import get_backend
        from splatkit.render.paths import circle
        from splatkit.render.timing import synthetic_scene, time_backend

        for name in ("gaussians", "width", "height", "runs"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name}: expected at least 1, got {getattr(self, name)}")
        backends = [get_backend(name.strip()) for name in self.backend.split(",")]
        if self.scene is None:
            gaussians, camera = synthetic_scene(self.gaussians, self.width, self.height)
        else:
            opened = open_scene(self.scene)
            gaussians = opened.gaussians
            cameras = opened.cameras(self.width, self.height)
            camera = (cameras or circle(gaussians, 1, self.width, self.height))[:1]
        rows = [time_backend(b, gaussians, camera, self.runs, self.gradients) for b in backends]
        if self.json:
            print(json.dumps([asdict(row) for row in rows], indent=1))
            return
        print(f"{len(gaussians):,} Gaussians, {self.width}x{self.height}, median of {self.runs}")
        for row in rows:
            line = (
                f"{row.backend:<10} {row.forward_ms:9.2f} ms {row.frames_per_second:8.1f} frames/s"
            )
            if row.forward_backward_ms is not None:
                line += f" {row.forward_backward_ms:9.2f} ms with gradients"
            if row.peak_memory_bytes is not None:
                line += f" {row.peak_memory_bytes / 2**30:6.2f} GiB"
            print(f"{line}  ({row.device})")
