"""``splatkit mesh RUN``: a trained scene as triangles for game engines and other programs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from splatkit.cli._progress import follow

if TYPE_CHECKING:
    from splatkit.mesh.pipeline import MeshMade


@dataclass(frozen=True)
class Command:
    """Turn a trained scene into triangles, and compare the file with the photos."""

    run_folder: Positional[Annotated[Path, arg(name="run", metavar="RUN")]]
    """The run folder."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="OUT.glb")] = None
    """The file to write. Default: RUN/mesh/MODE.glb."""
    mode: Literal["surface", "splats"] = "surface"
    """A connected surface (for editing, physics), or loose triangles that show the scene best."""
    preset: Literal["draft", "standard", "high"] = "standard"
    """Effort: sets triangles, texture size and steps."""
    triangles: int | None = None
    """Keep about as many. Default: 20,000, 50,000 or 200,000 of a surface by preset, 30,000,
    100,000 or 200,000 splats."""
    colors: Literal["texture", "vertex"] | None = None
    """Colours in a picture, which every program shows right, or at the vertices (splats always)."""
    texture_side: int | None = None
    """Texels a side of the texture, at most (beyond 4096 it becomes several pictures). Default:
    1024, 2048 or 4096 by preset; never more than the photos have pixels."""
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
    """End on time with what there is then: 90s, 10m."""
    backend: str = "auto"
    """Rasterizer of the Gaussians: auto, cpu, cuda, gsplat, torch_ref."""
    seed: int = 0
    """Of the order of photos."""
    threads: int = 0
    """Threads to use; 0 takes all."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Make the mesh, and print its figures."""
        from splatkit.mesh.options import MeshOptions
        from splatkit.mesh.pipeline import make_mesh
        from splatkit.render import set_threads

        options = MeshOptions(
            mode=self.mode,
            preset=self.preset,
            triangles=self.triangles,
            colors=self.colors,
            texture_side=self.texture_side,
            lods=self.lods,
            collision=self.collision,
            convex=self.convex,
            normals=self.normals,
            tangents=self.tangents,
            time_limit=self.time_limit,
            backend=self.backend,
            seed=self.seed,
        )
        set_threads(self.threads)
        made = follow(make_mesh(self.run_folder, self.output, options))
        if self.json:
            print(json.dumps(made.stats | {"path": str(made.path)}, indent=1))
        else:
            print(_figures(made))


def _figures(made: MeshMade) -> str:
    stats = made.stats
    mean = stats["mean"]
    further = [
        f"{made.path.with_name(level['file'])}: {level['triangles']:,} triangles, "
        f"{level['mean']['psnr']:.2f} dB"
        for level in stats["levels"]
    ]
    if stats["collision"] is not None:
        shape = stats["collision"]
        also = f", and {shape['pieces']} convex pieces" if shape["pieces"] else ""
        file = made.path.with_name(shape["file"])
        further.append(f"{file}: {shape['triangles']:,} triangles, closed{also}")
    return "\n".join(
        (
            f"{made.path}: {stats['triangles']:,} triangles, {stats['vertices']:,} vertices, "
            f"{stats['bytes']:,} bytes",
            f"{stats['compared_with']}: {mean['psnr']:.2f} dB, SSIM {mean['ssim']:.3f}, 2x2 "
            "samples a pixel",
            f"read again, it shows the same to {stats['reimport_psnr']:.1f} dB; median edge "
            f"{stats['median_edge_pixels']:.1f} pixels; {stats['non_manifold_edges']} edges with "
            f"more than two triangles; {stats['seconds']:.0f} s",
            *further,
        )
    )
