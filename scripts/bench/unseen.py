"""Where the error of held-out photos stands: ``scripts/bench/unseen.py RUN``.

What no training photo shows cannot be learned. For each held-out photo the run's scene is rendered,
and its pixels are divided by how many training photos show the place that they show: by the
rendered depth, with what hides it in between taken into account. A line tells the photo's PSNR, the
share of pixels that no photo shows, the share of the squared error that these carry, and the PSNR
of the others.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from splatkit.core import Cameras, drain
from splatkit.io.registry import read_gaussians
from splatkit.io.scene import load_scene
from splatkit.render import render
from splatkit.train.metrics import psnr, to_8bit
from splatkit.train.photos import View, load_views
from splatkit.train.resume import saved_options
from splatkit.train.run_folder import RunFolder

TOLERANCE = 0.05
"""Depths differ by less than this share where two photos show the same place."""


@dataclass(frozen=True)
class Unseen:
    """What one held-out photo shows that no training photo does."""

    psnr: float
    share: float
    """Of its pixels."""
    error: float
    """Share of the squared error that they carry."""
    psnr_seen: float
    """dB over the other pixels."""


def unseen(truth: Tensor, shown: Tensor, seen: Tensor) -> Unseen:
    """Figures of a picture [H,W,3] beside its render, with the pixels [H,W] that photos show."""
    errors = (truth - shown).square().mean(-1)
    hidden = float(errors[~seen].sum() / errors.sum().clamp_min(1e-12))
    return Unseen(
        psnr(shown, truth), float((~seen).float().mean()), hidden, psnr(shown, truth, seen)
    )


def seen_by(places: Tensor, cameras: list[Cameras], depths: list[Tensor]) -> Tensor:
    """[P] how many cameras show world points [P,3], given the depths [H,W] that they show."""
    count = torch.zeros(len(places), dtype=torch.long)
    for camera, depth in zip(cameras, depths, strict=True):
        local = places @ camera.viewmats[0, :3, :3].T + camera.viewmats[0, :3, 3]
        pixels = (local @ camera.Ks[0].T)[:, :2] / local[:, 2:].clamp_min(1e-6)
        x, y = pixels.unbind(-1)
        inside = (local[:, 2] > 0) & (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
        column = x.clamp(0, camera.width - 1).long()
        row = y.clamp(0, camera.height - 1).long()
        near = (depth[row, column] - local[:, 2]).abs() < TOLERANCE * local[:, 2]
        count += inside & near
    return count


def measured(run: Path) -> dict[str, Unseen]:
    """Figures of every held-out photo of a finished run, by its name."""
    folder = RunFolder(run)
    saved = saved_options(folder)
    if saved is None:
        raise SystemExit(f"{run}: expected the folder of a finished run, found no config.json")
    scene, gaussians = load_scene(folder.scene), read_gaussians(folder.ply)
    size = saved[1].picture_size

    def shown(view: View) -> tuple[Tensor, Tensor]:
        rendered = render(gaussians, view.camera, outputs=("depth_median",))
        assert rendered.depth_median is not None
        return to_8bit(rendered.rgb[0]), rendered.depth_median[0]

    training = drain(load_views(scene.training_photos, size, scene.background))
    cameras, depths = [v.camera for v in training], [shown(v)[1] for v in training]
    result = {}
    for view in drain(load_views(scene.held_out_photos, size, scene.background)):
        image, depth = shown(view)
        seen = seen_by(view.camera.unprojected(depth).reshape(-1, 3), cameras, depths) > 0
        result[view.name] = unseen(view.truth(image.device)[0], image, seen.reshape(depth.shape))
    return result


def main() -> None:
    """Print a line a photo."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    for name, found in measured(parser.parse_args().run).items():
        print(
            f"{name}: {found.psnr:.2f} dB; no photo shows {found.share:.1%} of its pixels, which "
            f"carry {found.error:.0%} of the error; the others reach {found.psnr_seen:.2f} dB"
        )


if __name__ == "__main__":
    main()
