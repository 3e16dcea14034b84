"""``splatkit eval``: measure a trained scene once more, or a scene file on photos."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from splatkit.cli._progress import follow
from splatkit.cli.train import figures
from splatkit.core import UsageError
from splatkit.train.run_folder import RunFolder


@dataclass(frozen=True)
class Command:
    """Measure a trained scene on its held-out photos once more, or any scene on any photos.

    splatkit eval RUN, or: splatkit eval --scene other.ply --photos DIR
    """

    run_folder: Positional[Annotated[Path | None, arg(name="run", metavar="RUN")]] = None
    """The run folder."""
    scene: Annotated[Path | None, arg(metavar="FILE")] = None
    """A scene file of any program, to be compared with --photos (or with RUN's photos)."""
    photos: Annotated[Path | None, arg(metavar="DIR")] = None
    """Photos with or without cameras (as for train), a scene folder or a run folder."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="OUT")] = None
    """Where results of --scene go. Default: runs/NAME-on-PHOTOS."""
    frame: Literal["auto", "world", "source"] = "auto"
    """Coordinates of --scene: splatkit's world, or those of the cameras that came with the photos
    (source), in which other programs write; auto tries both."""
    split: Path | None = None
    """File with the names of the photos to compare with, one a line; results go to OUT."""
    test_every: int = 8
    """Of photos that are new: compare with every n-th; 0 with all."""
    resize: int | Literal["auto"] = "auto"
    """1, 2, 4 or 8 divide the photos; 16 and more is their long side in pixels."""
    model: Path | None = None
    """COLMAP model folder of --photos."""
    seed: int = 0
    """Seed of structure from motion, where photos have no cameras."""
    threads: int = 0
    """Threads to use; 0 takes all."""
    backend: str = "auto"
    """Rasterizer: auto, cpu, cuda, gsplat, torch_ref."""
    json: bool = False
    """Print the statistics as JSON."""

    def run(self) -> None:
        """Compare, and print the figures."""
        from splatkit.train.pipeline import evaluate_run

        scene = self.scene
        if scene is None and self.run_folder is not None and self.split is not None:
            scene = RunFolder(self.run_folder).ply
        if scene is not None:
            stats, out = self._score(scene)
        elif self.run_folder is None:
            raise UsageError("expected a run folder or --scene FILE --photos DIR, got neither")
        else:
            if not self.run_folder.is_dir():
                raise UsageError(f"{self.run_folder}: expected a run folder, found none there")
            out = self.run_folder
            stats = follow(evaluate_run(out, self.backend))
        print(json.dumps(stats, indent=1) if self.json else report(stats, out))

    def _score(self, scene: Path) -> tuple[dict[str, Any], Path]:
        from splatkit.cli.train import RUNS, default_run
        from splatkit.train.config import TrainConfig
        from splatkit.train.score import ScoreOptions, score

        photos = self.photos or self.run_folder
        if photos is None:
            raise UsageError("--scene: expected --photos DIR (or RUN) to compare with, got none")
        out = self.output or RUNS / f"{scene.stem}-on-{default_run(photos).name}"
        config = TrainConfig(
            split=self.split,
            test_every=self.test_every,
            resize=self.resize,
            model=self.model,
            seed=self.seed,
            threads=self.threads,
            backend=self.backend,
        )
        return follow(score(scene, photos, out, config, ScoreOptions(self.frame))), out


def report(stats: dict[str, Any], run: Path) -> str:
    """A line a photo, worst first, then the mean."""
    photos = sorted(stats["per_photo"], key=lambda photo: photo["psnr"])
    width = max((len(photo["name"]) for photo in photos), default=0)
    lines = [f"{photo['name']:<{width}}  {measured(photo)}" for photo in photos]
    if stats["mean"]["psnr"] is not None:
        lines.append(f"{'mean':<{width}}  {measured(stats['mean'])}")
    return "\n".join((*lines, figures(stats), f"comparisons in {RunFolder(run).renders}"))


def measured(figures: dict[str, Any]) -> str:
    """The figures of a photo, or their means, in one line."""
    text = (
        f"{figures['psnr']:6.2f} dB  SSIM {figures['ssim']:.3f}  colour-corrected "
        f"{figures['psnr_cc']:6.2f} dB  {figures['ssim_cc']:.3f}"
    )
    return text if figures["lpips"] is None else f"{text}  LPIPS {figures['lpips']:.3f}"
