"""``splatkit eval RUN``: measure a trained scene once more."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from splatkit.cli._progress import follow
from splatkit.cli.train import figures
from splatkit.train.run_folder import RunFolder


@dataclass(frozen=True)
class Command:
    """Measure a trained scene on its held-out photos once more."""

    run_folder: Positional[Annotated[Path, arg(name="run", metavar="RUN")]]
    """The run folder."""
    backend: str = "auto"
    """Rasterizer: auto, cpu, torch_ref."""
    json: bool = False
    """Print the statistics as JSON."""

    def run(self) -> None:
        """Compare, and print the figures."""
        from splatkit.core import UsageError
        from splatkit.train.pipeline import evaluate_run

        if not self.run_folder.is_dir():
            raise UsageError(f"{self.run_folder}: expected a run folder, found none there")
        stats = follow(evaluate_run(self.run_folder, self.backend))
        print(json.dumps(stats, indent=1) if self.json else report(stats, self.run_folder))


def report(stats: dict[str, Any], run: Path) -> str:
    """A line a photo, worst first, then the mean."""
    photos = sorted(stats["per_photo"], key=lambda photo: photo["psnr"])
    width = max((len(photo["name"]) for photo in photos), default=0)
    lines = [f"{p['name']:<{width}}  {p['psnr']:6.2f} dB  SSIM {p['ssim']:.3f}" for p in photos]
    return "\n".join((*lines, figures(stats), f"comparisons in {RunFolder(run).renders}"))
