"""``splatkit render SCENE``: videos or pictures along a camera path."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from splatkit.cli._enhance import EnhanceFlags
from splatkit.cli._progress import follow


@dataclass(frozen=True)
class Command:
    """Make videos or pictures of a scene: around it (orbit) and along the photos (captured)."""

    scene: Positional[Annotated[Path, arg(metavar="SCENE")]]
    """A run folder, or a scene file (.ply and others)."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="PATH")] = None
    """A folder, or FILE.mp4 for a single video. Default: RUN/renders."""
    path: Annotated[str | None, arg(metavar="orbit|captured|FILE.json")] = None
    """Camera path: orbit, captured, or one that nerfstudio's viewer saved. Default: orbit and
    captured, or orbit for FILE.mp4."""
    width: int | None = None
    """Pixels. Default: as the photos, at most 1280 on the long side."""
    height: int | None = None
    """Pixels. Default: follows the width."""
    frames: int = 240
    """Frames of each path; a path from a file has its own."""
    fps: float | None = None
    """Frames a second of videos. Default: 30, or those of the path from a file."""
    format: Literal["mp4", "png"] = "mp4"
    """Videos, or folders of numbered PNG files."""
    outputs: str = "rgb"
    """Any of rgb, depth, depth_median, normal, alpha; with commas."""
    backend: str = "auto"
    """Rasterizer: auto, cpu, cuda, gsplat, torch_ref."""
    enhance: Annotated[EnhanceFlags, arg(name="")] = field(default_factory=EnhanceFlags)
    json: bool = False
    """Print the files as JSON."""

    def run(self) -> None:
        """Render, and print where the files are."""
        from splatkit.export import RenderOptions, open_scene, render_scene
        from splatkit.export.frames import PATHS

        single = self.output is not None and self.output.suffix.lower() == ".mp4"
        options = RenderOptions(
            paths=(self.path,) if self.path else PATHS[:1] if single else PATHS,
            width=self.width,
            height=self.height,
            frames=self.frames,
            fps=self.fps,
            format=self.format,
            outputs=tuple(name.strip() for name in self.outputs.split(",")),
            backend=self.backend,
        )
        work = render_scene(
            open_scene(self.scene), self.output, options, self.enhance.painter(self.backend)
        )
        written = follow(work)
        if self.json:
            print(json.dumps({"files": [str(path) for path in written]}, indent=1))
        else:
            print("\n".join(str(path) for path in written))
