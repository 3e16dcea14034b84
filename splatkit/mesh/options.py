"""What ``splatkit mesh`` can be told, and what its presets stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from splatkit.core import UsageError
from splatkit.train.config import seconds_from_text

Colors = Literal["texture", "vertex"]


@dataclass(frozen=True)
class MeshPreset:
    """Effort that a name stands for."""

    cells: int
    """Voxels that surfaces pass through, at most: how fine depth is fused."""
    triangles: int
    """Triangles of the result, where ``--triangles`` says nothing."""
    texture_side: int
    """Texels a side of the texture."""
    steps: int
    """Of optimising colours, one photo each."""


MESH_PRESETS = {
    "draft": MeshPreset(cells=120_000, triangles=20_000, texture_side=1024, steps=100),
    "standard": MeshPreset(cells=400_000, triangles=50_000, texture_side=2048, steps=300),
    "high": MeshPreset(cells=1_500_000, triangles=200_000, texture_side=4096, steps=1000),
}
LEAST_TRIANGLES, MOST_TRIANGLES = 100, 5_000_000


@dataclass(frozen=True)
class MeshOptions:
    """Options of making a mesh."""

    preset: Literal["draft", "standard", "high"] = "standard"
    """Effort: sets triangles, texture size and steps."""
    triangles: int | None = None
    """Triangles to keep, at most."""
    colors: Colors = "texture"
    """Colours in a picture, which every program shows right, or at the vertices, which is
    smaller."""
    normals: bool = False
    """Write normals, too."""
    time_limit: str | None = None
    """End on time with what there is then: 90s, 10m."""
    backend: str = "auto"
    """Rasterizer of the Gaussians."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.preset not in MESH_PRESETS:
            expected = ", ".join(MESH_PRESETS)
            raise UsageError(f"--preset: expected {expected}, got {self.preset!r}")
        if self.colors not in ("texture", "vertex"):
            raise UsageError(f"--colors: expected texture or vertex, got {self.colors!r}")
        if not LEAST_TRIANGLES <= self.count <= MOST_TRIANGLES:
            raise UsageError(
                f"--triangles: expected {LEAST_TRIANGLES} to {MOST_TRIANGLES}, got {self.count}"
            )
        if self.time_limit is not None:
            seconds_from_text(self.time_limit)

    @property
    def effort(self) -> MeshPreset:
        """What the preset stands for."""
        return MESH_PRESETS[self.preset]

    @property
    def count(self) -> int:
        """Triangles of the result."""
        return self.effort.triangles if self.triangles is None else self.triangles

    @property
    def seconds(self) -> float:
        """The time limit in seconds; infinite where there is none."""
        return float("inf") if self.time_limit is None else seconds_from_text(self.time_limit)
