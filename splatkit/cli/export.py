"""``splatkit export IN OUT``: a scene in another format."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from splatkit.cli._options import REGION, Region
from splatkit.cli._progress import follow
from splatkit.core import UsageError
from splatkit.export.targets import targets_help

if TYPE_CHECKING:
    from splatkit.export.convert import Exported
    from splatkit.export.prepare import ExportOptions
    from splatkit.export.proof import Proof


@dataclass(frozen=True)
class Command:
    """Write a scene in another format, and compare what was written with it."""

    source: Positional[Annotated[Path, arg(metavar="IN")]]
    """A run folder, or a scene file of any format."""
    target_file: Positional[Annotated[Path | None, arg(metavar="OUT")]] = None
    """The file to write; its ending names the format (none is needed with --target). Missing
    folders are made. With --bundle a folder. Default: RUN/bundles/TARGET."""
    target: Annotated[
        str | None, arg(help=f"Lay the file out for a program.\n\n{targets_help()}")
    ] = None
    bundle: bool = False
    """Write a folder for --target: splats, mesh, levels of detail, physics, how to import them."""
    lods: Annotated[tuple[float, ...] | None, arg(metavar="X...")] = None
    """In a bundle: levels' shares of the triangles. Default: RUN/mesh's, else 0.3 0.1."""
    collision: int | None = None
    """In a bundle: most triangles of the shape for physics. Default: RUN/mesh's, else 5000."""
    convex: int | None = None
    """In a bundle: its convex pieces, at most. Default for unreal: RUN/mesh's, else 32."""
    pivot: Literal["floor", "middle", "keep"] = "floor"
    """In a bundle: where the origin lies, "floor" being below the middle."""
    sh_degree: Literal[0, 1, 2, 3, 4] | None = None
    """Drop view-dependent colours above this degree."""
    max_gaussians: int | None = None
    """Keep as many: those that show most from the photos' cameras, or from around the scene."""
    crop: Annotated[Region | None, arg(metavar=REGION)] = None
    """Keep what is inside a box: low x y z, high x y z, as "splatkit info" shows them; or inside a
    sphere: x y z and its radius."""
    up: Literal["x", "neg-x", "y", "neg-y", "z", "neg-z"] | None = None
    """The axis that points up in IN, where it is not the one that its format says."""
    rotate: tuple[float, float, float] | None = None
    """Turn by degrees about x, then y, then z."""
    scale: float = 1.0
    """Make so many times larger."""
    precision: Literal["low", "normal", "high"] | None = None
    """Of .spz and .html (colours that depend on the view: 4, 5 or 8 bits) and .npz (low: 16-bit
    numbers). Default: normal, or high where that shows the scene too roughly."""
    spz_version: Literal[3, 4] | None = None
    """Of .spz files; 3 for readers older than July 2026. Default: 4."""
    no_check: bool = False
    """Do not read OUT again and compare; OUT.check.json is not written."""
    backend: str = "auto"
    """Rasterizer of the comparison: auto, cpu, cuda, gsplat, torch_ref."""
    json: bool = False
    """Print what was written as JSON."""

    def run(self) -> None:
        """Export, and print what was written."""
        from splatkit.export.convert import export_scene
        from splatkit.export.prepare import ExportOptions
        from splatkit.export.targets import TARGETS

        options = ExportOptions(
            crop=self.crop,
            max_gaussians=self.max_gaussians,
            up=self.up,
            rotate=self.rotate,
            scale=self.scale,
            sh_degree=self.sh_degree,
            target=self.target,
            precision=self.precision,
            spz_version=self.spz_version,
            check=not self.no_check,
            backend=self.backend,
        )
        if self.bundle:
            self._bundle(options)
            return
        if self.target_file is None:
            raise UsageError("expected OUT (the file to write), got none")
        replaced = self.target_file.is_file()
        done = follow(export_scene(self.source, self.target_file, options))
        if self.json:
            print(json.dumps(asdict(done) | {"path": str(done.path)}, indent=1))
            return
        print(_facts(done) + (" (replaced)" if replaced else ""))
        print(_findings(done.proof))
        if self.target is not None:
            print(f"in {TARGETS[self.target].program}: {TARGETS[self.target].there}")

    def _bundle(self, export: ExportOptions) -> None:
        from splatkit.export.bundle import (
            BundleOptions,
            facts_as_json,
            facts_as_text,
            make_bundle,
        )

        options = BundleOptions(export, self.lods, self.collision, self.convex, self.pivot)
        made = follow(make_bundle(self.source, self.target_file, options))
        print(facts_as_json(made) if self.json else facts_as_text(made))


def _facts(done: Exported) -> str:
    facts = (
        f"{done.num_gaussians:,} Gaussians",
        f"degree {done.sh_degree}",
        f"{done.bytes:,} bytes",
        f"{done.bytes / max(done.num_gaussians, 1):.1f} a Gaussian",
    )
    return f"{done.path}: {', '.join(facts)}"


def _findings(proof: Proof | None) -> str:
    if proof is None:
        return "not compared with the scene"
    same = "exactly the same" if proof.psnr is None else f"the same to {proof.psnr:.1f} dB"
    side = {
        "kept": "left and right as they were",
        "undecided": "left and right cannot be told apart in this scene",
    }
    return (
        f"shows {same} in the worst of {len(proof.views)} views (at least {proof.least_psnr:.0f}); "
        f"{side[proof.handedness]}; bounds moved by {proof.bounds_moved:.2%}"
    )
