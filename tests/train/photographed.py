"""A small scene of our own: coloured Gaussians photographed from a ring of cameras."""

import math

import numpy as np
import torch

from splatkit.core import Cameras, Gaussians, Photo, Scene, intrinsics
from splatkit.core.sh import sh_from_rgb
from splatkit.core.transforms import look_at
from splatkit.io.images import write_image
from splatkit.render import render

WIDTH, HEIGHT, PHOTOS = 64, 48, 13


def make_gaussians(count=60, seed=0, sh_degree=0):
    """Opaque round blobs in a cube of side 2 about the origin."""
    generator = torch.Generator().manual_seed(seed)
    sh = torch.zeros(count, (sh_degree + 1) ** 2, 3)
    sh[:, 0] = sh_from_rgb(torch.rand(count, 3, generator=generator))
    return Gaussians(
        means=torch.rand(count, 3, generator=generator) * 2 - 1,
        quats=torch.randn(count, 4, generator=generator),
        log_scales=torch.rand(count, 3, generator=generator) * 0.7 - 2.2,
        logit_opacities=torch.rand(count, generator=generator) * 4,
        sh=sh,
    )


def make_viewmats(count=PHOTOS, radius=4.0):
    """[count,4,4] cameras on a ring about the origin, looking at it."""
    angles = torch.arange(count) / count * 2 * math.pi
    eyes = torch.stack((angles.cos(), -0.4 - 0.3 * (3 * angles).sin(), angles.sin()), -1) * radius
    up = torch.tensor([0.0, -1.0, 0.0]).expand(count, 3)
    return look_at(eyes.double(), torch.zeros(count, 3).double(), up.double())


def make_scene(folder, *, alpha=False, points=True):
    """Photos on the disk and their Scene; every eighth is held out."""
    truth = make_gaussians()
    viewmats = make_viewmats()
    K = intrinsics(70.0, 70.0, WIDTH / 2, HEIGHT / 2)
    photos = []
    for index, viewmat in enumerate(viewmats):
        camera = Cameras(viewmat[None].float(), K[None].float(), WIDTH, HEIGHT)
        rendered = render(truth, camera, backend="torch_ref")
        pixels = rendered.rgb[0]
        if alpha:
            cover = rendered.alpha[0, ..., None]
            pixels = torch.cat((pixels / cover.clamp_min(1e-6), cover), -1)
        path = folder / f"photo_{index:02d}.png"
        write_image(path, (pixels.clamp(0, 1) * 255).round().byte().numpy())
        photos.append(Photo(path.name, path, WIDTH, HEIGHT, viewmat, K, held_out=index % 8 == 0))
    noise = torch.randn(60, 3, generator=torch.Generator().manual_seed(1)) * 0.03
    known = slice(None) if points else slice(0)
    return Scene(
        photos,
        (truth.means + noise)[known],
        (truth.sh[:, 0] * 0.28209479 + 0.5)[known],
        # Nothing is behind the blobs, and the photos show it black.
        background=(1.0, 1.0, 1.0) if alpha else (0.0, 0.0, 0.0),
    )


def events_of(work):
    """All events of a generator, and its result."""
    events = []
    while True:
        try:
            events.append(next(work))
        except StopIteration as stop:
            return events, stop.value


def same(first, second):
    """Whether two sets of Gaussians are equal bit for bit."""
    return all(
        np.array_equal(a.numpy(), b.numpy())
        for a, b in zip(first.parameters().values(), second.parameters().values(), strict=True)
    )
