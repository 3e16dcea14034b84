"""``splatkit bench enhance``: what upscaling costs and gains on a scene."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from splatkit.cli._progress import follow


@dataclass(frozen=True)
class Command:
    """Compare upscaled pictures with plain renders, on views and along a path."""

    scenes: Positional[Annotated[tuple[Path, ...], arg(metavar="SCENE...")]]
    """Run folders or scene files."""
    modes: str = "bilinear,bicubic,fsr1,hermite,temporal,neural"
    """With commas."""
    ratios: str = "1.5,2,3"
    """Names or numbers, with commas."""
    width: int = 1920
    """Pixels."""
    height: int = 1080
    """Pixels."""
    views: int = 20
    """Views of each scene."""
    frames: int = 8
    """Frames in motion."""
    network: Annotated[str, arg(metavar="NAME|FILE")] = "s"
    """Of the mode neural: s, m, or a file that splatkit enhance train wrote."""
    backend: str = "auto"
    """Rasterizer: auto, cpu, cuda, torch_ref."""
    picture: Path | None = None
    """Write a picture of crops side by side there (.png)."""
    json: bool = False
    """Print JSON."""

    def run(self) -> None:
        """Measure, and print the table."""
        from splatkit.core.errors import UsageError
        from splatkit.enhance import ratio_of
        from splatkit.enhance.bench import BenchOptions, bench_scene, table
        from splatkit.enhance.crops import write_crops
        from splatkit.enhance.options import MODES
        from splatkit.export import open_scene

        for name, least in (("width", 176), ("height", 176), ("views", 1), ("frames", 2)):
            if getattr(self, name) < least:
                raise UsageError(f"--{name}: expected at least {least}, got {getattr(self, name)}")
        modes = tuple(name.strip() for name in self.modes.split(","))
        for mode in modes:
            if mode not in MODES:
                raise UsageError(f"--modes: expected any of {', '.join(MODES)}, got {mode!r}")
        options = BenchOptions(
            modes=modes,
            ratios=tuple(ratio_of(name, "--ratios") for name in self.ratios.split(",")),
            width=self.width,
            height=self.height,
            views=self.views,
            frames=self.frames,
            network=self.network,
            backend=self.backend,
        )
        opened = [open_scene(path) for path in self.scenes]
        documents = [follow(bench_scene(scene, options)) for scene in opened]
        if self.picture is not None:
            write_crops(opened, options, self.picture)
        print(json.dumps(documents, indent=1) if self.json else table(documents))
