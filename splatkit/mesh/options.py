"""What ``splatkit mesh`` can be told, and what its presets stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from splatkit.core import UsageError
from splatkit.train.config import seconds_from_text

Mode = Literal["surface", "splats"]
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
    paint_steps: int
    """Of optimising a surface's colours and places, one photo each."""
    splats: int
    """Triangle splats, where ``--triangles`` says nothing."""
    splat_steps: int
    """Of fitting them, one photo each."""


MESH_PRESETS = {
    "draft": MeshPreset(120_000, 20_000, 1024, 100, 30_000, 500),
    "standard": MeshPreset(400_000, 50_000, 2048, 300, 100_000, 1500),
    "high": MeshPreset(1_500_000, 200_000, 4096, 1000, 200_000, 4000),
}
LEAST_TRIANGLES, MOST_TRIANGLES = 100, 5_000_000
MOST_PIECES = 256
MOST_TEXELS = 16384


@dataclass(frozen=True)
class MeshOptions:
    """Options of making a mesh."""

    mode: Mode = "surface"
    """A connected surface (for editing, physics), or loose triangles that show the scene best."""
    preset: Literal["draft", "standard", "high"] = "standard"
    """Effort: sets triangles, texture size and steps."""
    triangles: int | None = None
    """Keep about as many; a surface with many open edges may keep more. Default: 20,000, 50,000 or
    200,000 of a surface by preset, 30,000, 100,000 or 200,000 splats."""
    colors: Colors | None = None
    """Colours in a picture, which every program shows right, or at the vertices (splats always)."""
    texture_side: int | None = None
    """Texels a side of the texture, at most (beyond 4096 it becomes several pictures). Default:
    1024, 2048 or 4096 by preset; never more than the photos have pixels."""
    sky: bool = True
    """Write what photos show where they look past a surface on a shell far around it (a mesh of its
    own, "sky"); never where photos have alpha or masks that cut objects out."""
    lods: tuple[float, ...] = ()
    """Levels of detail with these shares of the triangles, as OUT_lod1.glb and so on."""
    collision: int | None = None
    """Write a closed shape of about as many triangles, for physics: OUT_collision.glb."""
    convex: int | None = None
    """Divide it into at most so many convex pieces, too (in the same file)."""
    normals: bool = False
    """Write normals, too."""
    tangents: bool = False
    """Write normals and tangents, too, for materials with a normal map."""
    time_limit: str | None = None
    """End on time: 90s, 10m. Shortens the fitting of a surface, its levels or splats to the photos;
    finding the shape, textures, --collision and comparing take what they take."""
    resume: bool = False
    """Go on with what the same command had done when it was stopped (in OUT.partial)."""
    backend: str = "auto"
    """Rasterizer of the Gaussians: auto, cpu, cuda, gsplat, torch_ref."""
    seed: int = 0
    """Of the order of photos."""

    def __post_init__(self) -> None:
        if self.preset not in MESH_PRESETS:
            expected = ", ".join(MESH_PRESETS)
            raise UsageError(f"--preset: expected {expected}, got {self.preset!r}")
        if self.mode not in ("surface", "splats"):
            raise UsageError(f"--mode: expected surface or splats, got {self.mode!r}")
        if self.colors not in (None, "texture", "vertex"):
            raise UsageError(f"--colors: expected texture or vertex, got {self.colors!r}")
        if self.mode == "splats" and self.colors == "texture":
            raise UsageError("--colors: expected vertex for splats, got 'texture'")
        if not LEAST_TRIANGLES <= self.count <= MOST_TRIANGLES:
            raise UsageError(
                f"--triangles: expected {LEAST_TRIANGLES} to {MOST_TRIANGLES}, got {self.count}"
            )
        if self.texture_side is not None and not 64 <= self.texture_side <= MOST_TEXELS:
            raise UsageError(
                f"--texture-side: expected 64 to {MOST_TEXELS}, got {self.texture_side}"
            )
        if self.texture_side is not None and (self.mode == "splats" or self.colors == "vertex"):
            raise UsageError(
                "--texture-side: expected a surface with a texture, got vertex colours"
            )
        if not self.sky and self.mode == "splats":
            raise UsageError("--no-sky: expected a surface, got --mode splats")
        if self.lods and self.mode == "splats":
            raise UsageError("--lods: expected a surface, got --mode splats")
        if any(not 0 < share < 1 for share in self.lods):
            raise UsageError(f"--lods: expected shares between 0 and 1, got {list(self.lods)}")
        if self.collision is not None and self.collision < 4:
            raise UsageError(f"--collision: expected at least 4 triangles, got {self.collision}")
        if self.convex is not None and not 1 <= self.convex <= MOST_PIECES:
            raise UsageError(f"--convex: expected 1 to {MOST_PIECES} pieces, got {self.convex}")
        if self.convex is not None and self.collision is None:
            raise UsageError("--convex: expected --collision TRIANGLES with it, got none")
        if self.tangents and (self.mode == "splats" or self.colors == "vertex"):
            raise UsageError("--tangents: expected a surface with a texture, got vertex colours")
        if self.time_limit is not None:
            seconds_from_text(self.time_limit)

    @property
    def effort(self) -> MeshPreset:
        """What the preset stands for."""
        return MESH_PRESETS[self.preset]

    @property
    def texels(self) -> int:
        """A side of the texture, at most."""
        return self.texture_side or self.effort.texture_side

    @property
    def count(self) -> int:
        """Triangles of the result."""
        usual = self.effort.splats if self.mode == "splats" else self.effort.triangles
        return usual if self.triangles is None else self.triangles

    def facts(self) -> dict[str, Any]:
        """The options that the shape and the colours of the result depend on."""
        names = ("mode", "preset", "triangles", "texture_side", "sky", "seed")
        usual = "vertex" if self.mode == "splats" else "texture"
        return {name: getattr(self, name) for name in names} | {"colors": self.colors or usual}

    @property
    def seconds(self) -> float:
        """The time limit in seconds; infinite where there is none."""
        return float("inf") if self.time_limit is None else seconds_from_text(self.time_limit)
