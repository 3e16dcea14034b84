"""What programs want of a mesh beside the splats: axes, names, and what to do there.

The rows go with those of ``splatkit.export.targets``. *Axes* are those of the numbers in the GLB:
programs turn what is glTF into their own axes, and the axes here are such that the mesh comes to
stand where the splats of the same target do.
"""

from __future__ import annotations

from dataclasses import dataclass

from splatkit.core import Triangles, UsageError
from splatkit.mesh.physics import Collision, named

SCENE = "scene"
"""The name of the mesh in every file; names of shapes for physics come from it."""


@dataclass(frozen=True)
class Engine:
    """What one program wants of a mesh."""

    axes: str
    """Of the numbers in the GLB, see ``splatkit.io.axes``."""
    tried: str
    """What was tried with which version, in one sentence; or that nothing was."""
    steps: tuple[str, ...]
    """What to do in the program, one sentence or two each."""
    convex: int = 0
    """Pieces that the shape for physics is divided into, where nothing else is asked for."""
    inside: bool = False
    """Whether shapes for physics that it knows by their names stand in the mesh's own file."""
    piece_prefix: str = "UCX_"
    piece_suffix: str = ""
    """Around the name of the mesh and the number of a piece."""
    closed_suffix: str | None = None
    """Behind the name of the mesh, for the closed shape; None where no name would make it one."""

    def shapes(self, collision: Collision) -> dict[str, Triangles]:
        """The shapes for physics, by the names that the program knows them by if it knows any."""
        if not collision.pieces:
            return {SCENE + (self.closed_suffix or "_collision"): collision.closed}
        return named(self.piece_prefix + SCENE, collision.pieces, self.piece_suffix)

    def shapes_inside(self, collision: Collision) -> bool:
        """Whether these shapes stand in the mesh's own file; there, others would be drawn."""
        return self.inside and (bool(collision.pieces) or self.closed_suffix is not None)


_UNIT = (
    "glTF is in metres; the importer makes that its own unit. Where the unit of this scene is not "
    "known (see above), scale mesh and splats by the same factor."
)

ENGINES: dict[str, Engine] = {
    "unreal": Engine(
        "LUF",
        "Untried in Unreal Engine: written by its documentation (Interchange, 5.1 to 5.4).",
        (
            "Import {mesh} with Interchange: it reads KHR_materials_unlit, turns y up into z up "
            "and makes centimetres of metres (x 100) by itself. Leave its scale at 1.",
            "Meshes named UCX_{scene}_00 and so on become simple collision: keep \"Import "
            "Collision According To Mesh Name\" and \"One Convex Hull Per UCX\" on. Few pieces "
            "fill the air over a table: to walk through a room take Collision Complexity, Use "
            "Complex Collision As Simple instead. The closed mesh that --convex 0 writes is a file "
            "of its own, {scene}_collision.glb: import it, too, and name it as Complex Collision "
            "Mesh.",
            "Levels of detail: open the static mesh, LOD Settings, LOD Import, and take {lods}.",
            "The plug-in's own turn of splats is not documented: put splats and mesh below one "
            "actor, and turn the mesh about z by a multiple of 90 degrees if they differ.",
        ),
        convex=32,
        inside=True,
    ),
    "unity": Engine(
        "LUF",
        "Untried in Unity: written by the documentation of glTFast 6.",
        (
            "Install com.unity.cloud.gltfast and put {mesh} into Assets. It turns glTF's x around, "
            "so that mesh and splats stand in the same place at rotation 0 and scale 1.",
            "Add a Mesh Collider with the mesh of {collision}; tick Convex only for its convex "
            "pieces (at most 255 triangles each), where there are any.",
            "Levels of detail: an LOD Group with {mesh} first and then {lods}.",
        ),
    ),
    "godot": Engine(
        "LUF",
        "Tried with Godot 3.2.3 (headless import): size, up axis, the picture and the static body "
        "are right; it draws the mesh with lights, for it does not know KHR_materials_unlit. "
        "Untried in Godot 4, which does.",
        (
            "Put {mesh} into the project. The mesh named {scene}_collision-colonly becomes a "
            "StaticBody and is not drawn (with convex pieces: {scene}_00-convcolonly and so on).",
            "A GaussianSplatNode turns itself by -180 degrees about z; the mesh stands in the same "
            "place without a turn.",
            "Godot 4 makes levels of detail by itself; {lods} are there for visibility ranges.",
        ),
        inside=True,
        piece_prefix="",
        piece_suffix="-convcolonly",
        closed_suffix="_collision-colonly",
    ),
    "blender": Engine(
        "RUB",
        "Tried with Blender 5.0.1 (as the Python module bpy): size, z up, one emissive material "
        "with its picture.",
        (
            "File, Import, glTF 2.0, {mesh}. View it with the view transform Standard (not AgX or "
            "Filmic): colours are those of the photos then.",
            "{collision} holds the shape for physics: give it a rigid body of the type Passive "
            "with the shape Mesh.",
            "The add-on turns splats by itself, in some versions about z, too: turn the mesh about "
            "z by a multiple of 90 degrees if they differ.",
        ),
    ),
    "three": Engine(
        "RUB",
        "Tried with three.js r187 in Chromium: drawn, and compared with our own pictures of it.",
        (
            "new GLTFLoader().load(\"{mesh}\", ...), with "
            "renderer.outputColorSpace = SRGBColorSpace (the default) and without tone mapping. "
            "Spark's SplatMesh with {splats} stands in the same place; nothing to turn.",
            "{collision} is for physics (rapier, cannon-es, three-mesh-bvh); do not draw it.",
            "Levels of detail: new LOD(), addLevel() for {mesh} and {lods}.",
        ),
    ),
    "playcanvas": Engine(
        "RUB",
        "Untried in PlayCanvas: written by what its splats and glTF are known to do.",
        (
            "Add {mesh} as a container asset and {splats} as a gsplat; both stand in the same "
            "place without a turn.",
            "A collision component of the type mesh takes {collision}.",
        ),
    ),
    "isaac": Engine(
        "RUB",
        "Untried in Isaac Sim: usd-core 26.11 opens the stage and its validators find nothing.",
        (
            "Open or reference {splats}: z up, metres. It holds the closed mesh for physics at "
            "/Scene/Collision with the purpose guide, which is solid and not drawn; Show By Type, "
            "Physics, Colliders shows it.",
            "{mesh} is the same scene as triangles, for renderers that draw no particle fields: "
            "imported as glTF it is turned to z up, and stands in the same place.",
        ),
    ),
}  # fmt: skip


def engine_named(name: str | None) -> Engine:
    """The row of the table.

    Raises:
        UsageError: no target was named, or one that has no bundle.
    """
    if name not in ENGINES:
        expected = ", ".join(ENGINES)
        raise UsageError(
            f"--bundle: expected --target with one of {expected}; got {name or 'none'}"
        )
    return ENGINES[name]
