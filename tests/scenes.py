"""Small scenes that tests of the fronts share."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from splatkit.core import Cameras, Gaussians, Photo, Scene, intrinsics
from splatkit.core.sh import sh_from_rgb
from splatkit.core.transforms import look_at
from splatkit.io import write_gaussians, write_json
from splatkit.io.scene import save_scene
from splatkit.render import render

UP = torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64)


def ball_over_floor(count: int = 120) -> Gaussians:
    """A red ball on the left, a blue one on the right, a green floor below (y > 0)."""
    generator = torch.Generator().manual_seed(1)
    third = count // 3

    def blob(center: tuple[float, float, float], size: float) -> torch.Tensor:
        return torch.randn(third, 3, generator=generator) * size + torch.tensor(center)

    floor = torch.rand(third, 3, generator=generator) * 3 - 1.5
    floor[:, 1] = 0.8
    means = torch.cat((blob((-0.7, 0.0, 0.0), 0.15), blob((0.7, 0.0, 0.0), 0.15), floor))
    colors = torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.1, 0.9], [0.1, 0.7, 0.1]])
    colors = colors.repeat_interleave(third, 0)
    n = len(means)
    return Gaussians(
        means=means,
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(n, 1),
        log_scales=torch.full((n, 3), math.log(0.15)),
        logit_opacities=torch.full((n,), 2.0),
        sh=sh_from_rgb(colors)[:, None],
    )


def ring(count: int = 8, width: int = 48, height: int = 32, span: float = 2 * math.pi) -> Cameras:
    """Cameras on a ring of radius 4, one unit above the origin, that look at the origin."""
    angle = torch.arange(count, dtype=torch.float64) * (span / count)
    eyes = torch.stack((4 * angle.sin(), -torch.ones_like(angle), -4 * angle.cos()), -1)
    viewmats = look_at(eyes, torch.zeros_like(eyes), UP.expand_as(eyes))
    K = intrinsics(width * 1.1, width * 1.1, width / 2, height / 2)
    return Cameras(viewmats, K.repeat(count, 1, 1), width, height)


def write_run(folder: Path, photos: int = 8) -> Path:
    """A run folder as training leaves it, with grey photos of ``ring``'s cameras."""
    cameras = ring(photos)
    images = folder / "scene" / "images"
    images.mkdir(parents=True)
    listed = []
    for index in range(photos):
        path = images / f"{index:03d}.png"
        grey = np.full((cameras.height, cameras.width, 3), 128, np.uint8)
        Image.fromarray(grey).save(path)
        listed.append(
            Photo(
                name=path.name,
                path=path,
                width=cameras.width,
                height=cameras.height,
                viewmat=cameras.viewmats[index],
                K=cameras.Ks[index],
                held_out=index == 0,
            )
        )
    save_scene(Scene(listed, torch.zeros(1, 3), torch.zeros(1, 3)), folder / "scene")
    write_gaussians(ball_over_floor(), folder / "exports" / "scene.ply")
    write_json(folder / "eval" / "stats.json", {"photos": {"found": photos, "registered": photos}})
    return folder


def write_photos(folder: Path, count: int) -> Path:
    """Photos of the test scene with their cameras in a transforms.json (OpenGL axes)."""
    folder.mkdir()
    cameras = ring(count, 96, 64)
    pictures = render(ball_over_floor(), cameras.to(torch.float32), backend="torch_ref").rgb.clamp(
        0, 1
    )
    frames = []
    for index, pixels in enumerate((pictures * 255).byte().numpy()):
        name = f"{index:03d}.png"
        Image.fromarray(pixels).save(folder / name)
        world_from_camera = torch.linalg.inv(cameras.viewmats[index])
        opengl = world_from_camera @ torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0])).double()
        frames.append({"file_path": name, "transform_matrix": opengl.tolist()})
    focal = float(cameras.Ks[0, 0, 0])
    described = {
        "camera_angle_x": 2 * math.atan(48 / focal),
        "fl_x": focal,
        "fl_y": focal,
        "cx": 48.0,
        "cy": 32.0,
        "w": 96,
        "h": 64,
        "frames": frames,
    }
    (folder / "transforms.json").write_text(json.dumps(described))
    return folder
