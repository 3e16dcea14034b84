"""Programs that scenes are exported for: what each one reads, and in which axes.

*Axes* are named as in ``splatkit.io.axes``. Most programs take a PLY as training left it (RDF) and
turn it themselves; the table says where that is known from, so that a change there is found.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from splatkit.core import UsageError
from splatkit.io.registry import Format, format_to_write


@dataclass(frozen=True)
class Target:
    """What one program wants of a file."""

    program: str
    """The program, and the add-on where it needs one."""
    suffixes: tuple[str, ...]
    """Of the files that it reads; the first one is written when none is asked for."""
    axes: str | None
    """In which axes it takes the numbers of a file; None where the format itself says."""
    there: str
    """What to do in the program."""
    evidence: str
    """Where this is known from."""
    max_degree: int = 3
    """Of the harmonics that it shows."""
    exact_degree: bool = False
    """Whether it refuses files of a lower degree; zeros fill them up then."""
    options: dict[str, Any] = field(default_factory=dict)
    """For the writer, where the format has them."""


TARGETS: dict[str, Target] = {
    "blender": Target(
        "Blender with the add-on 3DGS Render by KIRI Engine",
        (".ply",),
        "RDF",
        'import with "Auto Rotate For Blender Axes" (the default)',
        "Kiri-Innovation/3dgs-render-blender-addon, README and issue 15: 3DGS .ply only, turned "
        "for Blender by default; it requires f_rest columns",
        exact_degree=True,
    ),
    "unreal": Target(
        "Unreal Engine with XScene-UEPlugin",
        (".ply",),
        "RDF",
        "drag the file into the content browser; the plugin converts axes and centimetres",
        "xverse-engine/XScene-UEPlugin, README: the original 3DGS .ply, degree 3 at most; "
        "issue 16 and playcanvas/supersplat issue 14: other headers are refused",
        exact_degree=True,
    ),
    "unity": Target(
        "Unity with aras-p/UnityGaussianSplatting or wuyize25/gsplat-unity",
        (".ply",),
        "RUF",
        "leave rotation 0 and scale 1: the file is made for Unity's left-handed axes, and other "
        "programs show it mirrored",
        "aras-p/UnityGaussianSplatting, issues 4 and 133 and mkkellogg/GaussianSplats3D, issue 47: "
        "numbers are taken as they are, upright and unmirrored after flipping y; SplattingAvatar "
        "issue 33: 248 bytes a Gaussian, which is degree 3; gsplat-unity reads columns by place",
        exact_degree=True,
    ),
    "godot": Target(
        "Godot with gdgs",
        (".ply", ".compressed.ply", ".sog", ".splat"),
        "RDF",
        "add a GaussianSplatNode: it turns itself by -180 degrees about z",
        "ReconWorldLab/godot-gaussian-splatting 3.1, README: formats, f_rest_0 to f_rest_44, and "
        "the turn of new nodes",
        exact_degree=True,
    ),
    "three": Target(
        "three.js with Spark",
        (".spz", ".ply", ".splat", ".sog", ".compressed.ply"),
        "RUB",
        "new SplatMesh({url}), nothing to turn",
        "sparkjsdev/spark 2.2 in Chromium: numbers are taken as they are, into three.js's axes "
        "(tests/export/test_outside_viewers.py)",
        options={"version": 3},
    ),
    "playcanvas": Target(
        "the PlayCanvas engine and editor",
        (".sog", ".compressed.ply", ".ply"),
        "RUB",
        "add a gsplat component, nothing to turn",
        "playcanvas 2.23 in Chromium: numbers are taken as they are, y up "
        "(tests/export/test_outside_viewers.py); developer.playcanvas.com recommends SOG",
    ),
    "isaac": Target(
        "Isaac Sim 6, Omniverse and other programs with OpenUSD 26.3",
        (".usdz", ".usdc", ".usda", ".usd"),
        None,
        "open or reference the file; it is z up, in metres",
        "isaac-sim/IsaacSim, discussion 798: 6.0.1 draws ParticleField3DGaussianSplat; so does "
        "nvidia-omniverse.github.io/ovrtx, Gaussian Splats; the stage says its own up and unit",
    ),
    "web": Target(
        "any browser, without a server",
        (".html",),
        None,
        "open the file",
        "splatkit/io/html.py, tests/viewer and tests/io: a page of our own",
        max_degree=4,
    ),
    "supersplat": Target(
        "SuperSplat",
        (".ply", ".compressed.ply", ".sog", ".splat"),
        "RDF",
        "drop the file on the page",
        "splat-transform's Transform.PLY and mkkellogg/GaussianSplats3D, issue 47: files are "
        "turned by 180 degrees about z when they are opened",
    ),
}  # fmt: skip


def target_named(name: str) -> Target:
    """The row of the table.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in TARGETS:
        raise UsageError(f"--target: expected one of {', '.join(TARGETS)}; got {name!r}")
    return TARGETS[name]


def place_for(path: Path, target: Target | None) -> tuple[Path, Format]:
    """The file to write and its format; a name without an ending gets the target's.

    Raises:
        UsageError: the ending names no format, one that the target does not read, or a folder.
    """
    if path.is_dir():
        raise UsageError(f"{path}: expected the name of a file to write, got a folder")
    if target is not None:
        if not path.suffix:
            path = path.with_name(path.name + target.suffixes[0])
        form, _ = format_to_write(path)
        if form.suffix not in target.suffixes:
            raise UsageError(
                f"{path}: expected an ending that {target.program} reads "
                f"({', '.join(target.suffixes)}), got {form.suffix}"
            )
    return path, format_to_write(path)[0]


def targets_help() -> str:
    """The table as lines for ``--help``: name, program, endings; what to do there is told later."""
    return "\n\n".join(
        f"{name}: {target.program} ({', '.join(target.suffixes)})."
        for name, target in TARGETS.items()
    )
