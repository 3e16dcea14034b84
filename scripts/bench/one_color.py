"""What one colour for all directions can show: ``scripts/bench/one_color.py RUN ...``.

A smooth opaque surface shows each of its places in one colour. Here every pixel of the held-out
photos gets the mean of what the training photos show at the same place, which is where the run's
Gaussians have their depth; photos that something else hides it from do not count. All photos are
blurred first, so that neither detail nor places that are a little wrong count as errors. What is
left is how differently photos show the same places, by shine, shade and exposure. A mesh comes
nearer to the photos only where it shows other triangles to other sides.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import torch
from torch import Tensor

from splatkit.core import drain
from splatkit.io import read_gaussians
from splatkit.mesh.reach import places_behind, projected
from splatkit.mesh.surface import depth_views
from splatkit.mesh.tsdf import DepthView
from splatkit.train.behind import trained_scene
from splatkit.train.photos import View, load_views
from splatkit.train.run_folder import RunFolder

BLUR = 8.0
"""Standard deviation in pixels."""
AGREE = 0.03
"""Depths nearer than this share of them are of the same place."""
FEWEST = 3
"""Training photos that have to see a place."""
Seen = tuple[DepthView, Tensor]
"""What a photo's camera sees: how far away, and its blurred colours."""


def blurred(view: View) -> Tensor:
    """[H,W,3] sRGB 0..1."""
    pixels = view.image[0].float().numpy() / 255
    return torch.from_numpy(cv2.GaussianBlur(pixels, (0, 0), BLUR))


def squares(held_out: Seen, photos: list[Seen]) -> Tensor:
    """[P] squared errors of the pixels that enough photos see, means over the channels."""
    depths, wanted = held_out
    rows, columns = (depths.depth.isfinite() & (depths.depth > 0)).nonzero(as_tuple=True)
    places = places_behind(depths, rows, columns)
    total, count = torch.zeros(len(places), 3), torch.zeros(len(places), 1)
    for other, colors in photos:
        depth, row, column, inside = projected(other.camera, places)
        near = (other.depth[row, column] - depth).abs() < AGREE * depth
        sees = (inside & near)[:, None].float()
        total += sees * colors[row, column]
        count += sees
    enough = count[:, 0] >= FEWEST
    return (total / count.clamp_min(1) - wanted[rows, columns])[enough].square().mean(-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="run folders with held-out photos")
    for run in parser.parse_args().runs:
        folder = RunFolder(run)
        scene, config = trained_scene(folder)
        photos, held_out = (
            drain(load_views(some, config.picture_size, scene.background))
            for some in (scene.training_photos, scene.held_out_photos)
        )
        gaussians = read_gaussians(folder.ply)
        known, asked = (
            list(
                zip(drain(depth_views(gaussians, views, "auto")), map(blurred, views), strict=True)
            )
            for views in (photos, held_out)
        )
        errors = [squares(seen, known) for seen in asked]
        covered = sum(map(len, errors)) / sum(view.image.numel() / 3 for view in held_out)
        decibels = [-10 * float(error.mean().log10()) for error in errors]
        each = ", ".join(f"{value:.1f}" for value in decibels)
        mean = sum(decibels) / len(decibels)
        print(f"{run.name}: {mean:.2f} dB with one colour ({each}), {covered:.0%} of the pixels")


if __name__ == "__main__":
    main()
