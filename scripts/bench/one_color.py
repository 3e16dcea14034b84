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

from splatkit.core import Cameras, Gaussians, drain
from splatkit.io import read_gaussians, read_json
from splatkit.io.scene import load_scene
from splatkit.render import render
from splatkit.train.config import TrainConfig
from splatkit.train.photos import View, load_views
from splatkit.train.run_folder import RunFolder

BLUR = 8.0
"""Standard deviation in pixels."""
AGREE = 0.03
"""Depths nearer than this share of them are of the same place."""
FEWEST = 3
"""Training photos that have to see a place."""


def blurred(view: View) -> Tensor:
    """[H,W,3] sRGB 0..1."""
    pixels = view.image[0].float().numpy() / 255
    return torch.from_numpy(cv2.GaussianBlur(pixels, (0, 0), BLUR))


def depth_of(gaussians: Gaussians, camera: Cameras) -> Tensor:
    """[H,W] median depth, 0 where nothing is solid."""
    with torch.no_grad():
        drawn = render(gaussians, camera, sh_degree=0, outputs=("depth_median",))
    assert drawn.depth_median is not None
    return torch.where(drawn.alpha[0] > 0.5, drawn.depth_median[0], 0)


def squares(gaussians: Gaussians, held_out: View, photos: list[View]) -> Tensor:
    """[P] squared errors of the pixels that enough photos see, means over the channels."""
    depth = depth_of(gaussians, held_out.camera)
    rows, columns = (depth > 0).nonzero(as_tuple=True)
    camera, z = held_out.camera, depth[rows, columns]
    pixels = torch.stack((columns + 0.5, rows + 0.5, torch.ones_like(z)), -1)
    local = (pixels @ camera.Ks[0].inverse().T) * z[:, None]
    points = (local - camera.viewmats[0, :3, 3]) @ camera.viewmats[0, :3, :3]
    total, count = torch.zeros(len(points), 3), torch.zeros(len(points), 1)
    for photo in photos:
        other = photo.camera
        there = points @ other.viewmats[0, :3, :3].T + other.viewmats[0, :3, 3]
        at = there @ other.Ks[0].T
        x, y = (at[:, :2] / at[:, 2:].clamp_min(1e-6)).floor().long().unbind(-1)
        inside = (there[:, 2] > 0) & (x >= 0) & (x < other.width) & (y >= 0) & (y < other.height)
        x, y = x.clamp(0, other.width - 1), y.clamp(0, other.height - 1)
        near = (depth_of(gaussians, other)[y, x] - there[:, 2]).abs() < AGREE * there[:, 2]
        seen = (inside & near)[:, None].float()
        total += seen * blurred(photo)[y, x]
        count += seen
    enough = count[:, 0] >= FEWEST
    wanted = blurred(held_out)[rows, columns]
    return (total / count.clamp_min(1) - wanted)[enough].square().mean(-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="run folders with held-out photos")
    for run in parser.parse_args().runs:
        folder = RunFolder(run)
        scene, told = load_scene(folder.scene), read_json(folder.config)
        config = TrainConfig(preset=told["preset"], resize=told["resize"])
        photos, held_out = (
            drain(load_views(some, config.picture_size, scene.background))
            for some in (scene.training_photos, scene.held_out_photos)
        )
        gaussians = read_gaussians(folder.ply)
        errors = [squares(gaussians, view, photos) for view in held_out]
        covered = sum(map(len, errors)) / sum(view.image.numel() / 3 for view in held_out)
        decibels = [-10 * float(error.mean().log10()) for error in errors]
        each = ", ".join(f"{value:.1f}" for value in decibels)
        mean = sum(decibels) / len(decibels)
        print(f"{run.name}: {mean:.2f} dB with one colour ({each}), {covered:.0%} of the pixels")


if __name__ == "__main__":
    main()
