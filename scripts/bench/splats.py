"""What each part of making triangle splats is worth: ``scripts/bench/splats.py RUN``.

Every line of the table changes one thing of the default schedule, or of what it starts from: small
pictures, few triangles and fixed steps, so that it takes minutes. With ``--write`` the table is put
into ``docs/mesh.md``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Literal

import torch
from torch import Tensor

from splatkit.core import Gaussians, Triangles, drain
from splatkit.io import read_gaussians, read_json
from splatkit.io.scene import load_scene
from splatkit.mesh.paint import painted
from splatkit.mesh.pipeline import draw
from splatkit.mesh.seeds import GAUSSIAN_SHARE, SURFACE_SHARE, shown, triangles_of, with_surface
from splatkit.mesh.splats import SplatSchedule, fitted
from splatkit.mesh.surface import surface
from splatkit.train.config import TrainConfig, config_of
from splatkit.train.initialize import gaussians_at
from splatkit.train.metrics import psnr, to_8bit
from splatkit.train.photos import View, load_views
from splatkit.train.run_folder import RunFolder

PAGE = Path(__file__).resolve().parents[2] / "docs" / "mesh.md"
BEGIN, END = "<!-- table: scripts/bench/splats.py -->", "<!-- end of table -->"
LONG_SIDE, COUNT, STEPS, CELLS = 320, 40_000, 300, 400_000
Start = Literal["both", "surface", "gaussians", "points"]
"""What triangles begin as."""
BASE = SplatSchedule()
LATE = replace(BASE, softness_end=0.02, solid_from=0.85, places_until=0.85, change_until=0.6)
SOFT = replace(BASE, solid_from=0.3)
VARIANTS: dict[str, tuple[Start, SplatSchedule]] = {
    "default": ("both", BASE),
    "from the surface alone": ("surface", BASE),
    "from Gaussians alone": ("gaussians", BASE),
    "from sparse points alone": ("points", BASE),
    "soft until 0.3": ("both", SOFT),
    "from Gaussians alone, soft until 0.3": ("gaussians", SOFT),
    "from Gaussians alone, soft until 0.85, then colours alone": ("gaussians", LATE),
    "no smooth edges: places stay": ("both", replace(BASE, places_until=BASE.solid_from)),
    "places twice as fast": ("both", replace(BASE, rate_places=2 * BASE.rate_places)),
    "places half as fast": ("both", replace(BASE, rate_places=0.5 * BASE.rate_places)),
    "colours twice as fast": ("both", replace(BASE, rate_colors=2 * BASE.rate_colors)),
    "nothing divided or taken out": (
        "both", replace(BASE, change_until=BASE.change_from, changes=1)
    ),
}  # fmt: skip


class _Starts:
    """What the variants begin as; each part is made once."""

    def __init__(self, run: Path) -> None:
        self._folder = RunFolder(run)
        self.scene = load_scene(self._folder.scene)
        self._gaussians = read_gaussians(self._folder.ply)
        self.background = torch.tensor(self.scene.background or (0.0, 0.0, 0.0))
        self.views = self._views(TrainConfig(resize=LONG_SIDE))

    def _views(self, config: TrainConfig) -> list[View]:
        photos = self.scene.training_photos
        return drain(load_views(photos, config.picture_size, self.scene.background))

    @cached_property
    def _surface(self) -> Triangles:
        # Depth has to be drawn at the size of training: smaller, Gaussians are drawn too large.
        told = read_json(self._folder.config)
        views = self._views(config_of(told))
        count = round(SURFACE_SHARE * COUNT)
        made = drain(surface(self._gaussians, views, cells=CELLS, triangles=count))
        return drain(painted(made, self.views, self.background, steps=0))

    @cached_property
    def _trained(self) -> tuple[Gaussians, Tensor]:
        return self._gaussians, drain(shown(self._gaussians, self.views, "auto"))

    @cached_property
    def _sparse(self) -> tuple[Gaussians, Tensor]:
        points = gaussians_at(self.scene.points, self.scene.point_colors, 0.5, 0)
        return points, drain(shown(points, self.views, "auto"))

    def start(self, kind: Start, softness: float) -> Triangles:
        """The triangles of a variant."""
        if kind == "points":
            return triangles_of(*self._sparse, COUNT, softness)
        share = GAUSSIAN_SHARE if kind == "both" else 1.0
        count = 1 if kind == "surface" else round(share * COUNT)
        seeds = triangles_of(*self._trained, count, softness)
        return seeds if kind == "gaussians" else with_surface(self._surface, seeds)


def measured(run: Path, seeds: int, only: str) -> Iterator[tuple[str, float, int]]:
    """Name, held-out PSNR and triangles of each variant."""
    starts = _Starts(run)
    scene, background = starts.scene, starts.background
    size = TrainConfig(resize=LONG_SIDE).picture_size
    held_out = drain(load_views(scene.held_out_photos, size, scene.background))
    for name, (kind, schedule) in VARIANTS.items():
        if only not in name:
            continue
        start = starts.start(kind, schedule.softness_at(0))
        values, count = [], 0
        for seed in range(seeds):
            made = drain(
                fitted(
                    start,
                    starts.views,
                    background,
                    steps=STEPS,
                    count=COUNT,
                    schedule=schedule,
                    supersample=2,
                    seed=seed,
                )
            )
            count = len(made)
            values += [
                psnr(to_8bit(draw(made, view, background)), view.image[0].float() / 255)
                for view in held_out
            ]
        yield name, fmean(values), count


def main() -> None:
    """Print the table, and put it into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished training")
    parser.add_argument("--seeds", type=int, default=1, help="of the order of photos")
    parser.add_argument("--only", default="", help="part of a variant's name")
    parser.add_argument("--write", action="store_true", help="put the table into docs/mesh.md")
    options = parser.parse_args()
    lines = ["| changed | held-out PSNR | triangles |", "|---|---|---|"]
    for name, value, count in measured(options.run, options.seeds, options.only):
        lines.append(f"| {name} | {value:.2f} dB | {count:,} |")
        print(lines[-1], flush=True)
    if options.write:
        page = PAGE.read_text()
        before, _, rest = page.partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}")


if __name__ == "__main__":
    main()
