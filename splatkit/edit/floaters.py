"""Floaters: Gaussians that stand for nothing, found by what sets them apart from a scene.

Each *sign* gives a mask; what shows one that was asked for is a floater. Signs are relative to the
scene (its photos, its neighbourhoods, its size), so that one setting serves many scenes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatkit.core import Cameras, Gaussians, UsageError
from splatkit.core.bulk import GIANT, giants
from splatkit.core.neighbours import nearest_neighbours
from splatkit.edit.clusters import NEIGHBOURS, cluster_sizes
from splatkit.edit.decimate import views_and_contribution


@dataclass(frozen=True)
class Signs:
    """What makes a floater; None leaves a sign out."""

    opacity: float | None = 0.01
    """Fainter than this, 0 to 1."""
    size: float | None = GIANT
    """Larger than this many radii of the scene's bulk (largest standard deviation)."""
    density: float | None = 4.0
    """So many times farther from its eight neighbours than those are from theirs."""
    views: int | None = 1
    """Seen from fewer photos than this."""
    cluster: int | None = 10
    """In a connected cluster of fewer Gaussians than this."""

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("opacity", self.opacity, 0, 1),
            ("size", self.size, 0, float("inf")),
            ("density", self.density, 1, float("inf")),
            ("views", self.views, 0, 1_000_000),
            ("cluster", self.cluster, 0, 1_000_000_000),
        ):
            if value is not None and not low <= value <= high:
                raise UsageError(f"{name}: expected {low} to {high}, got {value}")


WORDS = {
    "opacity": "too faint",
    "size": "too large",
    "density": "far from others",
    "views": "seen by too few photos",
    "cluster": "in small clusters",
}
"""The signs in plain words."""
NONE = Signs(None, None, None, None, None)
"""No sign at all: start from here to ask for one."""


def find_floaters(
    gaussians: Gaussians,
    signs: Signs,
    cameras: Cameras | None = None,
    backend: str = "auto",
) -> dict[str, Tensor]:
    """Which Gaussians show each sign that is asked for.

    Args:
        gaussians: N.
        signs: what to look for.
        cameras: the photos'; without any, ``signs.views`` finds nothing.
        backend: see ``render``.

    Returns:
        Name of the sign -> mask [N] bool; a Gaussian may show several.
    """
    found: dict[str, Tensor] = {}
    if signs.opacity is not None:
        found["opacity"] = gaussians.opacities.detach() < signs.opacity
    if signs.size is not None:
        found["size"] = giants(gaussians, signs.size)
    if signs.views is not None and cameras is not None and len(cameras):
        views, _ = views_and_contribution(gaussians, cameras, backend)
        found["views"] = (views < signs.views).to(gaussians.device)
    if len(gaussians) > 1 and (signs.density is not None or signs.cluster is not None):
        neighbours = nearest_neighbours(gaussians.means, NEIGHBOURS)
        if signs.density is not None:
            found["density"] = (_isolation(*neighbours) > signs.density).to(gaussians.device)
        if signs.cluster is not None:
            sizes = cluster_sizes(gaussians, neighbours)
            found["cluster"] = (sizes < signs.cluster).to(gaussians.device)
    return found


def union(found: dict[str, Tensor], count: int) -> Tensor:
    """[count] bool: what shows any of the signs."""
    together = torch.zeros(count, dtype=torch.bool)
    for mask in found.values():
        together = together.to(mask.device) | mask
    return together


def _isolation(distances: Tensor, ids: Tensor) -> Tensor:
    """[N] own mean distance to the neighbours over theirs (cf. Breunig 2000)."""
    own = distances.mean(1).clamp_min(1e-12)
    return own / own[ids].median(1).values
