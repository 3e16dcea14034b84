"""What each part of the training recipe is worth: ``scripts/bench/recipe.py --runs DIR``.

Every line of the table changes one thing of the default recipe. Each is trained on every photo set
with fixed steps, so that results do not depend on how fast the machine is, and with the seeds
0, 1, 2; the table shows how held-out PSNR differs from the default's. Cameras are those that come
with the sets. Every finished training is one line of ``DIR/results.jsonl`` and is not repeated, so
that a stopped bench goes on where it was; first seeds of everything come first. With ``--write``
the table is put into ``docs/recipe.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from splatkit.core import Scene, SplatkitError, drain
from splatkit.ingest import IngestConfig, ingest
from splatkit.io.scene import load_scene
from splatkit.train.config import TrainConfig
from splatkit.train.evaluate import evaluate
from splatkit.train.photos import load_views
from splatkit.train.trainer import train

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "recipe.md"
BEGIN, END = "<!-- table: scripts/bench/recipe.py -->", "<!-- end of table -->"
LONG_SIDE = 224
BASE = TrainConfig(iterations=1000, max_gaussians=16_000, resize=LONG_SIDE)
MOST_HELD_OUT = 20
"""Of more held-out photos an even selection is compared."""


@dataclass(frozen=True)
class PhotoSet:
    """Photos with known cameras."""

    name: str
    photos: str
    """Relative to SPLATKIT_DATA."""
    model: str | None = None
    """COLMAP model, relative to SPLATKIT_DATA."""


PLACED = ("sceaux", "banana", "kitchen", "llff_fern", "fox")
SETS = (
    *(PhotoSet(name, f"{name}/images", f"{name}/sparse_ref/0") for name in PLACED),
    PhotoSet("lego400", "lego400"),
)

ABLATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "mcmc": {"strategy": "mcmc"},
    "classic": {"strategy": "classic"},
    "half the Gaussians": {"max_gaussians": BASE.budget // 2},
    "never more than the budget": {"recipe.budgeted.surplus": 0.0},
    "only the transparent are moved": {"recipe.budgeted.moved": 0.0},
    "neither of both": {"recipe.budgeted.surplus": 0.0, "recipe.budgeted.moved": 0.0},
    "no dense initialisation": {"recipe.initialization.dense_share": 0.0},
    "first opacity 0.1": {"recipe.initialization.opacity": 0.1},
    "smaller pictures first": {"recipe.coarse.least_side": LONG_SIDE // 4},
    "no harmonics": {"sh_degree": 0},
    "harmonics of degree 1": {"sh_degree": 1},
    "all harmonics from the start": {"recipe.sh_grown_by": 0.0},
    "no surfaces with few photos": {"recipe.surface.few_photos": 0},
    "full rates with few photos": {"recipe.rates.full_from": 0},
    "rates that do not fall": {"recipe.rates.late": 1.0},
    "rates of 30,000 steps": {
        "recipe.rates.late": 1.0,
        "recipe.rates.quats": 1e-3,
        "recipe.rates.log_scales": 5e-3,
        "recipe.rates.sh_rest": 1.25e-4,
        "recipe.rates.full_from": 0,
    },
    "no SSIM": {"recipe.ssim_weight": 0.0},
    "no opacity loss": {"recipe.budgeted.opacity_weight": 0.0},
    "no size loss": {"recipe.budgeted.scale_weight": 0.0},
    "antialiased": {"recipe.antialiased": True},
    "random background": {"background": "random"},
    "learned exposure": {"exposure": "varies"},
    "no far sphere": {"recipe.shell.count": 0},
    "twice the steps": {"iterations": 2 * BASE.steps},
}


def changed(config: Any, path: str, value: Any) -> Any:
    """The options with one of them, named with dots, replaced."""
    name, _, rest = path.partition(".")
    return replace(config, **{name: changed(getattr(config, name), rest, value) if rest else value})


def configured(ablation: str, seed: int) -> TrainConfig:
    """The options of one training."""
    config = replace(BASE, seed=seed)
    for path, value in ABLATIONS[ablation].items():
        config = changed(config, path, value)
    return config


def opened(photo_set: PhotoSet, data: Path, runs: Path) -> Scene:
    """The set as a scene with its own cameras."""
    model = None if photo_set.model is None else data / photo_set.model
    config = IngestConfig(model=model)
    folder = drain(ingest(data / photo_set.photos, runs / "scenes" / photo_set.name, config))
    return load_scene(folder)


def measured(scene: Scene, config: TrainConfig, folder: Path) -> dict[str, Any]:
    """Train once and compare."""
    start = time.process_time()
    gaussians = drain(train(scene, folder, config))
    photos = scene.held_out_photos
    photos = photos[:: -(-len(photos) // MOST_HELD_OUT)]
    views = drain(load_views(photos, config.picture_size, scene.background, config.threads))
    results = drain(evaluate(gaussians, views, scene.background, backend=config.backend))
    return {
        "psnr": fmean(r.psnr for r in results),
        "ssim": fmean(r.ssim for r in results),
        "photos": {r.name: r.psnr for r in results},
        "gaussians": len(gaussians),
        "cpu_seconds": time.process_time() - start,
    }


def read_results(runs: Path) -> list[dict[str, Any]]:
    """What is finished; a last line that a stop cut off is left out."""
    path = runs / "results.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    results = []
    for line in lines:
        try:
            results.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return results


def append(path: Path, result: dict[str, Any]) -> None:
    """Add a line; a last one that a stop cut off is ended first."""
    cut = path.is_file() and not path.read_bytes().endswith(b"\n")
    with path.open("a") as file:
        file.write("\n" * cut + json.dumps(result) + "\n")


def work(repeats: int, sets: list[PhotoSet], names: list[str]) -> Iterator[tuple[Any, ...]]:
    """Trainings in the order in which they are worth most."""
    for seed in range(repeats):
        for name in names:
            for photo_set in sets:
                yield name, photo_set, seed


def table(results: list[dict[str, Any]]) -> str:
    """Differences to the default in dB as Markdown, with the spread over seeds."""
    values: dict[tuple[str, str], dict[int, float]] = {}
    for r in results:
        values.setdefault((r["ablation"], r["set"]), {})[r["seed"]] = r["psnr"]
    sets = [s.name for s in SETS if ("default", s.name) in values]
    lines = [f"| | {' | '.join(sets)} | mean |", "|---|" + "---|" * (len(sets) + 1)]
    for name in ABLATIONS:
        cells, means = [], []
        for set_name in sets:
            own, base = values.get((name, set_name), {}), values[("default", set_name)]
            shared = sorted(own.keys() & base.keys())
            if not shared:
                cells.append("")
                continue
            shown = [own[s] if name == "default" else own[s] - base[s] for s in shared]
            spread = f" ± {stdev(shown):.2f}" if len(shown) > 1 else ""
            sign = "" if name == "default" else "+"
            cells.append(f"{fmean(shown):{sign}.2f}{spread}")
            means.append(fmean(shown))
        if means:
            whole = len(means) == len(sets)
            mean = f"{fmean(means):{'' if name == 'default' else '+'}.2f}" if whole else ""
            lines.append(f"| {name} | {' | '.join(cells)} | {mean} |")
    return "\n".join(lines)


def main() -> None:
    """Train what is missing, and print or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True, help="folder of the results")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sets", nargs="*", default=[s.name for s in SETS])
    parser.add_argument("--ablations", nargs="*", default=list(ABLATIONS))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    data = os.environ.get("SPLATKIT_DATA")
    if not data:
        parser.error("expected SPLATKIT_DATA to name the photo sets; see data/README.md")
    unknown = sorted(set(options.ablations) - set(ABLATIONS))
    if unknown:
        parser.error(f"expected ablations among {', '.join(ABLATIONS)}; got {unknown[0]}")
    options.runs.mkdir(parents=True, exist_ok=True)
    done = {(r["ablation"], r["set"], r["seed"]) for r in read_results(options.runs)}
    sets = [s for s in SETS if s.name in options.sets]
    for name, photo_set, seed in work(options.repeats, sets, options.ablations):
        if (name, photo_set.name, seed) in done:
            continue
        config = replace(configured(name, seed), threads=options.threads)
        try:
            scene = opened(photo_set, Path(data), options.runs)
            result = measured(scene, config, options.runs / "run")
        except SplatkitError as error:
            print(f"{name} on {photo_set.name}: {error}", flush=True)
            continue
        result = {"ablation": name, "set": photo_set.name, "seed": seed} | result
        append(options.runs / "results.jsonl", result)
        print(f"{name} on {photo_set.name}, seed {seed}: {result['psnr']:.2f} dB", flush=True)
    text = table(read_results(options.runs))
    print(text)
    if options.write:
        page = PAGE.read_text()
        before, rest = page.split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
