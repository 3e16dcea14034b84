"""``splatkit edit SCENE -o NEW``: crops, cleans, thins and turns a scene into a new one."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from splatkit.cli._options import REGION, Region
from splatkit.cli._progress import follow

Measured = tuple[float, float, float, float, float, float, float]


@dataclass(frozen=True)
class Command:
    """Crop, clean, thin, turn and scale a scene; the result is a new one, the old one stays."""

    scene: Positional[Annotated[Path, arg(metavar="SCENE")]]
    """A run folder, or a scene file of any format."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="PATH")] = None
    """A new file (its ending names the format), or a new run folder with photos and cameras.
    Without it nothing is written: only the counts are told."""
    crop: Annotated[Region | None, arg(metavar=REGION)] = None
    """Keep what is inside a sphere (centre and radius) or a box (lowest and highest corner)."""
    cut: Annotated[Region | None, arg(metavar=REGION)] = None
    """Delete what is inside a sphere or a box."""
    floaters: bool = False
    """Delete floaters by all the signs below, each at its usual value."""
    min_opacity: float | None = None
    """Delete what is fainter than this, 0 to 1. Usual: 0.01."""
    max_size: float | None = None
    """Delete what is larger than so many radii of the scene's bulk. Usual: 1."""
    max_isolation: float | None = None
    """Delete what is so many times farther from its neighbours than those from theirs. Usual: 4."""
    min_views: int | None = None
    """Delete what fewer photos see. Usual: 1."""
    min_cluster: int | None = None
    """Delete connected clusters of fewer Gaussians. Usual: 10."""
    max_gaussians: int | None = None
    """Keep as many: those that show most from the photos' cameras, or from around the scene."""
    up: Literal["photos", "x", "neg-x", "y", "neg-y", "z", "neg-z"] | None = None
    """Turn upright: by the photos' horizons, or so that this axis points up."""
    floor: bool = False
    """Find the floor, level it, and put it at y = 0."""
    measured: Annotated[Measured | None, arg(metavar="X Y Z X Y Z DISTANCE")] = None
    """Two points of the scene and their true distance."""
    scale: float = 1.0
    """Make so many times larger."""
    backend: str = "auto"
    """Rasterizer: auto, cpu, cuda, gsplat, torch_ref."""
    json: bool = False
    """Print the counts as JSON."""

    def run(self) -> None:
        """Edit, tell the counts, and write the new scene where one is asked for."""
        from splatkit.core import Event, UsageError
        from splatkit.edit.floaters import NONE, Signs
        from splatkit.edit.recipe import Recipe, Step, edit
        from splatkit.edit.saving import check_target, save_edited
        from splatkit.export import open_scene

        given = {
            "opacity": self.min_opacity,
            "size": self.max_size,
            "density": self.max_isolation,
            "views": self.min_views,
            "cluster": self.min_cluster,
        }
        base = asdict(Signs() if self.floaters else NONE)
        signs = Signs(**base | {name: v for name, v in given.items() if v is not None})
        recipe = Recipe(
            crop=self.crop,
            cut=self.cut,
            floaters=signs,
            max_gaussians=self.max_gaussians,
            up=self.up,
            floor=self.floor,
            measured=self.measured,
            scale=self.scale,
        )
        if recipe == Recipe():
            raise UsageError("edit: expected something to do (--crop, --floaters, --up, ...)")
        if self.output is not None:
            check_target(self.output)
        scene = open_scene(self.scene)
        steps: list[Step] = []

        def hear(event: Event) -> Event | None:
            if not isinstance(event, Step):
                return event
            steps.append(event)
            return None

        bench = follow(edit(scene.gaussians, recipe, scene.photos, self.backend), hear)
        result = bench.result()
        if not self.json:
            print(_told(self.scene, len(scene.gaussians), steps, len(result)), flush=True)
        if self.output is not None:
            state = bench.state
            save_edited(result, self.output, bench.steps(), state.placed, scene.run)
        if self.json:
            document = {
                "before": len(scene.gaussians),
                "after": len(result),
                "steps": [asdict(step) for step in steps],
                "written": None if self.output is None else str(self.output),
            }
            print(json.dumps(document, indent=1))
        elif self.output is None:
            print("nothing is written; -o NEW writes it", file=sys.stderr)
        else:
            print(f"{self.output}: {len(result):,} Gaussians")


def _told(scene: Path, before: int, steps: list, after: int) -> str:
    rows = [(str(scene), f"{before:,} Gaussians")]
    for step in steps:
        if step.is_finding:
            rows.append((f"  {step.words}", f"{step.count:,}"))
        else:
            rows.append((step.words, f"-{step.count:,}" if step.count else "done"))
    rows.append(("left", f"{after:,} Gaussians"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
