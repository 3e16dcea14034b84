"""The page in a bundle that says what is in it and what to do with it."""

from __future__ import annotations

from typing import Any

from splatkit.export.engines import SCENE, Engine
from splatkit.export.targets import TARGETS


def import_notes(facts: dict[str, Any], engine: Engine) -> str:
    """The text of ``IMPORT.md``.

    Args:
        facts: the contents of ``bundle.json``.
        engine: the row of the program.
    """
    target = TARGETS[facts["target"]]
    levels = ", ".join(level["file"] for level in facts["levels"]) or "none (there are none here)"
    names = {
        "splats": facts["splats"]["file"],
        "mesh": facts["mesh"]["file"],
        "lods": levels,
        "collision": facts["collision"]["file"],
        "scene": SCENE,
    }
    size = " x ".join(f"{side:.3g}" for side in facts["size"])
    lines = [
        f"# A scene for {target.program}",
        "",
        f"**{engine.tried}**",
        "",
        "## Files",
        "",
        f"- `{names['splats']}`: {facts['splats']['gaussians']:,} Gaussians.",
        f"- `{names['mesh']}`: {facts['mesh']['triangles']:,} textured triangles, drawn without "
        "lights (KHR_materials_unlit), with normals.",
        *_sky(facts["sky"]),
        *(
            f"- `{level['file']}`: a level of detail of {level['triangles']:,} triangles."
            for level in facts["levels"]
        ),
        _physics(facts["collision"]),
        "",
        "## Unit, axes and origin",
        "",
        f"- {_unit(facts['metric'], facts['scale'])} The mesh is {size} of them wide, high and "
        "deep.",
        f"- The scene is upright. {_origin(facts['pivot'])}",
        "- Splats, mesh, levels and physics have the same origin and scale, and stand in the same "
        "place once the program has imported them.",
        "",
        "## What to do",
        "",
        f"1. Splats: {target.there}.",
    ]
    steps = (step.format(**names) for step in engine.steps)
    lines += [f"{number}. {step}" for number, step in enumerate(steps, 2)]
    return "\n".join(lines) + "\n"


def _sky(facts: dict[str, Any] | None) -> list[str]:
    if facts is None:
        return []
    return [
        f"  Its mesh `{facts['mesh']}` is what photos show past the scene, up to "
        f"{facts['radius']:.3g} units away: cameras have to see as far. Hide or delete it where "
        "you have a sky of your own."
    ]


def _physics(shape: dict[str, Any]) -> str:
    if shape["pieces"]:
        return (
            f"- `{shape['file']}`, meshes `{shape['names'][0]}` and so on: {shape['pieces']} "
            "convex closed pieces for physics."
        )
    return (
        f"- `{shape['file']}`, mesh `{shape['names'][0]}`: {shape['triangles']:,} closed triangles "
        "for physics."
    )


def _unit(metric: bool, scale: float) -> str:
    if not metric:
        return (
            "How long a unit is, is not known (photos alone do not tell): give two points and "
            "their distance to `splatkit edit --measured`, or a factor to `--scale`."
        )
    return "A unit is a metre." if scale == 1 else f"A unit is {1 / scale:.4g} metres."


def _origin(pivot: str) -> str:
    return {
        "floor": "The origin is on the floor, below the middle of the scene.",
        "middle": "The origin is in the middle of the scene.",
        "keep": "The origin is where the run has it.",
    }[pivot]
