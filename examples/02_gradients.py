"""Fit Gaussians to a picture with torch.optim: render() has gradients like any torch function."""

import argparse
from pathlib import Path

import torch
from PIL import Image

import splatkit
from splatkit.core import intrinsics
from splatkit.render.pictures import picture

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folder", type=Path, nargs="?", default=Path(), help="for the picture")
parser.add_argument("steps", type=int, nargs="?", default=300)
options = parser.parse_args()
torch.manual_seed(0)

# The picture to fit: a white disc on a blue ground.
size = 96
rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
disc = ((rows - 48) ** 2 + (columns - 40) ** 2 < 25**2)[..., None]
target = torch.where(disc, torch.ones(3), torch.tensor([0.1, 0.2, 0.6]))

# A random cloud in front of a camera that stands at the origin.
count = 200
means = (torch.rand(count, 3) - 0.5) * 2 + torch.tensor([0.0, 0.0, 3.0])
gaussians = splatkit.Gaussians(
    means=means.requires_grad_(),
    quats=torch.randn(count, 4).requires_grad_(),
    log_scales=torch.full((count, 3), -2.0).requires_grad_(),
    logit_opacities=torch.zeros(count).requires_grad_(),
    sh=torch.zeros(count, 1, 3).requires_grad_(),
)
K = intrinsics(size * 1.2, size * 1.2, size / 2, size / 2).float()
camera = splatkit.Cameras(torch.eye(4)[None], K[None], size, size)

optimizer = torch.optim.Adam(gaussians.parameters().values(), lr=0.02)
first = last = 0.0
for step in range(options.steps):
    optimizer.zero_grad()
    rendered = splatkit.render(gaussians, camera)
    loss = (rendered.rgb[0] - target).abs().mean()
    loss.backward()
    optimizer.step()
    last = loss.item()
    first = first or last
    if step % 50 == 0:
        print(f"step {step:4d}  L1 {last:.4f}")

Image.fromarray(picture(splatkit.render(gaussians, camera), "rgb")[0].numpy()).save(
    options.folder / "fitted.png"
)
print(f"L1 went from {first:.4f} to {last:.4f}")
