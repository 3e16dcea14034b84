"""``splatkit mesh RUN``: a trained scene as triangles for game engines and other programs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from splatkit.cli._progress import follow
from splatkit.mesh.options import MeshOptions

if TYPE_CHECKING:
    from splatkit.mesh.pipeline import MeshMade


@dataclass(frozen=True)
class Command:
    """Turn a trained scene into triangles, and compare the file with the photos."""

    run_folder: Positional[Annotated[Path, arg(name="run", metavar="RUN")]]
    """The run folder."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="OUT.glb")] = None
    """The file to write. Default: RUN/mesh/MODE.glb."""
    options: Annotated[MeshOptions, arg(name="")] = field(default_factory=MeshOptions)
    threads: int = 0
    """Threads to use; 0 takes all."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Make the mesh, and print its figures."""
        from splatkit.mesh.pipeline import make_mesh
        from splatkit.render import set_threads

        set_threads(self.threads)
        made = follow(make_mesh(self.run_folder, self.output, self.options))
        if self.json:
            print(json.dumps(made.stats | {"path": str(made.path)}, indent=1))
        else:
            print(_figures(made))


def _figures(made: MeshMade) -> str:
    stats = made.stats
    mean = stats["mean"]
    sky = f" and {stats['sky_triangles']:,} of sky" if stats["sky_triangles"] else ""
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
            f"{made.path}: {stats['triangles']:,} triangles{sky}, {stats['vertices']:,} vertices, "
            f"{stats['bytes']:,} bytes",
            f"{stats['compared_with']}: {mean['psnr']:.2f} dB, SSIM {mean['ssim']:.3f}, "
            f"colour-corrected {mean['psnr_cc']:.2f} dB, 2x2 samples a pixel",
            f"read again, it shows the same to {stats['reimport_psnr']:.1f} dB; median edge "
            f"{stats['median_edge_pixels']:.1f} pixels; {stats['non_manifold_edges']} edges with "
            f"more than two triangles; {stats['seconds']:.0f} s",
            *further,
        )
    )
