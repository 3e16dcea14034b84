"""What each part of making triangle splats is worth: ``scripts/bench/splats.py RUN``.

Every line of the table changes one thing of the default schedule, or of what it starts from: small
pictures, few triangles and fixed steps, so that it takes minutes. With ``--write`` the table is put
into ``docs/mesh.md``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch

from splatkit.core import Gaussians, drain
from splatkit.io import read_gaussians
from splatkit.io.scene import load_scene
from splatkit.mesh.pipeline import draw
from splatkit.mesh.seeds import shown, triangles_of
from splatkit.mesh.splats import SplatSchedule, fitted
from splatkit.train.config import TrainConfig
from splatkit.train.initialize import gaussians_at
from splatkit.train.metrics import psnr, to_8bit
from splatkit.train.photos import load_views
from splatkit.train.run_folder import RunFolder

PAGE = Path(__file__).resolve().parents[2] / "docs" / "mesh.md"
BEGIN, END = "<!-- table: scripts/bench/splats.py -->", "<!-- end of table -->"
LONG_SIDE, COUNT, STEPS = 213, 15_000, 200
BASE = SplatSchedule()
LATE = replace(BASE, softness_end=0.02, solid_from=0.85, floor_from=0.15, floor_until=0.8)
VARIANTS = {
    "default": BASE,
    "from sparse points instead of Gaussians": BASE,
    "soft until 0.85, then colours alone": replace(LATE, places_until=0.85, change_until=0.6),
    "soft until 0.5": replace(BASE, solid_from=0.5, floor_until=0.5),
    "solid from the start": replace(BASE, solid_from=0.0, floor_from=-1.0, floor_until=0.0),
    "no smooth edges: places stay once solid": replace(BASE, places_until=BASE.solid_from),
    "places twice as fast": replace(BASE, rate_places=2 * BASE.rate_places),
    "colours twice as fast": replace(BASE, rate_colors=2 * BASE.rate_colors),
    "nothing divided or taken out": replace(BASE, change_until=BASE.change_from, changes=1),
    "softness 0.5 at the start": replace(BASE, softness=0.5),
}


def measured(run: Path, seeds: int, only: str) -> Iterator[tuple[str, float, int]]:
    """Name, held-out PSNR and triangles of each variant."""
    folder = RunFolder(run)
    scene, gaussians = load_scene(folder.scene), read_gaussians(folder.ply)
    size = TrainConfig(resize=LONG_SIDE).picture_size
    views = drain(load_views(scene.training_photos, size, scene.background))
    held_out = drain(load_views(scene.held_out_photos, size, scene.background))
    background = torch.tensor(scene.background or (0.0, 0.0, 0.0))
    sparse = gaussians_at(scene.points, scene.point_colors, 0.5, 0)
    starts: dict[str, tuple[Gaussians, torch.Tensor]] = {}
    for name, schedule in VARIANTS.items():
        if only not in name:
            continue
        source = "sparse" if "sparse" in name else "trained"
        if source not in starts:
            some = sparse if source == "sparse" else gaussians
            starts[source] = some, drain(shown(some, views, "auto"))
        start = triangles_of(*starts[source], COUNT, schedule.softness)
        values, count = [], 0
        for seed in range(seeds):
            made = drain(
                fitted(
                    start,
                    views,
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
