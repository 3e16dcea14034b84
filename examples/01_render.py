"""Make a cloud of Gaussians, render it from one camera, and save the picture and the scene."""

import argparse
from pathlib import Path

import torch
from PIL import Image

import splatkit
from splatkit.core import intrinsics
from splatkit.core.sh import sh_from_rgb
from splatkit.core.transforms import look_at
from splatkit.render.pictures import picture

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folder", type=Path, nargs="?", default=Path(), help="for the pictures")
folder = parser.parse_args().folder

# A rainbow helix. The world is RDF: x right, y down, z forward.
count = 2000
turn = torch.linspace(0, 6 * torch.pi, count)
height = torch.linspace(0.8, -0.8, count)
hue = torch.stack([(turn / 3 + shift).cos() for shift in (0.0, 2.1, 4.2)], dim=-1)
gaussians = splatkit.Gaussians(
    means=torch.stack((turn.cos(), height, turn.sin()), dim=-1),
    quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
    log_scales=torch.full((count, 3), -3.5),
    logit_opacities=torch.full((count,), 2.0),
    sh=sh_from_rgb(0.5 + 0.45 * hue)[:, None],
)

# One camera, slightly above the scene (y is negative there), that looks at the origin.
width, height = 640, 480
cameras = splatkit.Cameras(
    viewmats=look_at(
        eye=torch.tensor([[0.0, -1.5, -3.0]]),
        target=torch.zeros(1, 3),
        up=torch.tensor([[0.0, -1.0, 0.0]]),
    ),
    Ks=intrinsics(600.0, 600.0, width / 2, height / 2).float()[None],
    width=width,
    height=height,
)

rendered = splatkit.render(gaussians, cameras, outputs=("rgb", "depth"))
for mode in ("rgb", "depth"):
    Image.fromarray(picture(rendered, mode)[0].numpy()).save(folder / f"helix-{mode}.png")
splatkit.save(gaussians, folder / "helix.ply")
print(f"{len(gaussians)} Gaussians cover {rendered.alpha.mean():.0%} of the picture")
