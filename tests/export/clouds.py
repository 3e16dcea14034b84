"""A small scene, and exports of it, that the tests of this folder share."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path

import torch

from splatkit.core import Gaussians, drain
from splatkit.export.convert import Exported, export_scene
from splatkit.export.prepare import ExportOptions
from splatkit.io import FORMATS
from splatkit.io.registry import Format


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


ALIKE = ("usda", "usdz", "usd", "gltf")
"""Formats that are others in another wrapping; their own tests take them."""


def few_formats() -> list[Format]:
    """One format of each kind that is written here; OpenUSD where its library is."""
    return [
        known
        for known in FORMATS
        if known.write is not None
        and known.name not in ALIKE
        and (known.name != "usdc" or find_spec("pxr") is not None)
    ]


def export(source: Path, file: Path, **options: object) -> Exported:
    """One export, what it warns of left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return drain(export_scene(source, file, ExportOptions(**options)))  # pyright: ignore
