"""Figures that papers print for the public data sets, to stand beside one's own.

Each row names its source. Only what the source itself states is here: per-scene PSNR in dB on
the standard held-out photos, after the full training of the paper.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One method's row."""

    method: str
    source: str
    """Paper and table."""
    psnr: dict[str, float]
    """dB by scene."""


KERBL = "Kerbl et al. 2023, 3D Gaussian Splatting for Real-Time Radiance Field Rendering"

PUBLISHED: dict[str, tuple[Published, ...]] = {
    "mipnerf360": (
        Published(
            "3DGS, 30,000 steps",
            f"{KERBL}, per-scene tables of the appendix",
            {
                "bicycle": 25.246,
                "flowers": 21.520,
                "garden": 27.410,
                "stump": 26.550,
                "treehill": 22.490,
                "room": 30.632,
                "counter": 28.700,
                "kitchen": 30.317,
                "bonsai": 31.980,
            },
        ),
    ),
    "tandt": (
        Published(
            "3DGS, 30,000 steps",
            f"{KERBL}, per-scene tables of the appendix",
            {"truck": 25.187, "train": 21.097},
        ),
    ),
    "deepblending": (
        Published(
            "3DGS, 30,000 steps",
            f"{KERBL}, per-scene tables of the appendix",
            {"drjohnson": 28.766, "playroom": 30.044},
        ),
    ),
    "nerf-synthetic": (
        Published(
            "3DGS, 30,000 steps",
            f"{KERBL}, table 3",
            {
                "mic": 35.36,
                "chair": 35.83,
                "ship": 30.80,
                "materials": 30.00,
                "lego": 35.78,
                "drums": 26.15,
                "ficus": 34.87,
                "hotdog": 37.72,
            },
        ),
    ),
}
