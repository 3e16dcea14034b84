"""``splatkit export IN OUT``: a scene in another format."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from splatkit.cli._progress import follow


@dataclass(frozen=True)
class Command:
    """Write a scene in another format, and compare what was written with it."""

    source: Positional[Annotated[Path, arg(metavar="IN")]]
    """A run folder, or a scene file (.ply, .compressed.ply, .spz, .sog, .ksplat, .splat, .npz)."""
    target: Positional[Annotated[Path, arg(metavar="OUT")]]
    """The file to write; its ending names the format (all of the above but .ksplat)."""
    sh_degree: Literal[0, 1, 2, 3, 4] | None = None
    """Drop view-dependent colours above this degree."""
    crop: tuple[float, float, float, float, float, float] | None = None
    """Keep what is inside a box: low x y z, high x y z, as "splatkit info" shows them."""
    up: Literal["x", "neg-x", "y", "neg-y", "z", "neg-z"] | None = None
    """The axis that points up in IN, where it is not the one that its format says."""
    rotate: tuple[float, float, float] | None = None
    """Turn by degrees about x, then y, then z."""
    scale: float = 1.0
    """Make so many times larger."""
    spz_version: Literal[3, 4] | None = None
    """Of .spz files; 3 for readers older than July 2026. Default: 4."""
    no_check: bool = False
    """Do not read OUT again and compare."""
    backend: str = "auto"
    """Rasterizer of the comparison: auto, cpu, torch_ref."""
    json: bool = False
    """Print what was written as JSON."""

    def run(self) -> None:
        """Export, and print what was written."""
        from splatkit.export.convert import ExportOptions, export_scene

        options = ExportOptions(
            crop=self.crop,
            up=self.up,
            rotate=self.rotate,
            scale=self.scale,
            sh_degree=self.sh_degree,
            spz_version=self.spz_version,
            check=not self.no_check,
            backend=self.backend,
        )
        done = follow(export_scene(self.source, self.target, options))
        if self.json:
            print(json.dumps(asdict(done) | {"path": str(done.path)}, indent=1))
            return
        shown = "not compared" if self.no_check else "shows exactly the same"
        if done.psnr is not None:
            shown = f"shows the same to {done.psnr:.1f} dB"
        facts = (
            f"{done.num_gaussians:,} Gaussians",
            f"degree {done.sh_degree}",
            f"{done.bytes:,} bytes",
            f"{done.bytes / max(done.num_gaussians, 1):.1f} a Gaussian",
        )
        print(f"{done.path}: {', '.join(facts)}; {shown}")
