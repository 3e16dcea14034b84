"""A small scene, and exports of it, that the tests of this folder share."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from splatkit.core import Gaussians, drain
from splatkit.export.convert import Exported, export_scene
from splatkit.export.prepare import ExportOptions


def cloud(count: int = 60, degree: int = 2, seed: int = 0) -> Gaussians:
    """Gaussians off the origin whose three axes, colours and views all differ."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return Gaussians(
        means=normal(count, 3) * torch.tensor([1.0, 2.0, 3.0]) + torch.tensor([1.0, -2.0, 4.0]),
        quats=normal(count, 4),
        log_scales=normal(count, 3) * 0.3 - 1,
        logit_opacities=normal(count) * 2,
        sh=normal(count, (degree + 1) ** 2, 3) * 0.1,
    )


def export(source: Path, file: Path, **options: object) -> Exported:
    """One export, what it warns of left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return drain(export_scene(source, file, ExportOptions(**options)))  # pyright: ignore
