"""The everyday calls: photos to a scene, a picture of it, and how good it is."""

import argparse
from pathlib import Path

from PIL import Image

import splatkit
from splatkit.core import camera_of
from splatkit.io.scene import load_scene
from splatkit.render.pictures import picture

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("photos", type=Path, help="photos, a COLMAP project, or a transforms.json")
parser.add_argument("folder", type=Path, help="made for the results")
parser.add_argument("iterations", type=int, nargs="?", help="fewer steps than the preset's")
options = parser.parse_args()

# Everything of the run stands in this folder afterwards, report.html among it.
folder: Path = options.folder
run = folder / "run"
gaussians = splatkit.train(
    options.photos, run, preset="draft", iterations=options.iterations, seed=1
)
print(f"trained {len(gaussians)} Gaussians; the story is in {run / 'report.html'}")

# The same scene again, from its file, seen by the camera of the first held-out photo.
gaussians = splatkit.load(run / "exports" / "scene.ply")
scene = load_scene(run / "scene")
camera = camera_of(scene.held_out_photos[0]).to(gaussians.means.dtype)
rendered = splatkit.render(gaussians, camera, outputs=("rgb", "depth"))
for mode in ("rgb", "depth"):
    Image.fromarray(picture(rendered, mode)[0].numpy()).save(folder / f"{mode}.png")

# How much does half of the Gaussians cost? The more opaque half stays.
half = gaussians[gaussians.opacities.argsort(descending=True)[: len(gaussians) // 2]]
for name, candidate in (("all", gaussians), ("half", half)):
    stats = splatkit.evaluate(candidate, run, folder / name)
    mean = stats["mean"]
    print(f"{name}: {stats['num_gaussians']} Gaussians, {mean['psnr']:.2f} dB")
