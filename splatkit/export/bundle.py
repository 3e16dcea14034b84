"""``splatkit export RUN --bundle``: a folder with all that one program wants of a scene.

Splats, mesh, levels of detail, a shape for physics, and a page that says how to import them. What
the run folder has is taken; what is missing is made, and kept in the run folder for the next time.
All of it stands in one place: the same turn, scale and origin. The folder is complete or absent.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from splatkit import __version__
from splatkit.core import Cameras, Event, Gaussians, Note, SplatkitError, Triangles, UsageError
from splatkit.core.bulk import bulk
from splatkit.edit.placement import find_floor
from splatkit.export.bundle_notes import import_notes
from splatkit.export.convert import (
    CHECK_SIZE,
    COLLISION_FILE,
    SIDECAR,
    check_views,
    export_scene,
    prepared,
)
from splatkit.export.engines import SCENE, Engine, engine_named
from splatkit.export.opening import OpenScene, open_scene
from splatkit.export.prepare import ExportOptions, mesh_turned
from splatkit.export.targets import target_named
from splatkit.io import mesh_glb, write_json
from splatkit.io.files import atomic_path, link_or_copy, read_json, write_text
from splatkit.io.scene import load_scene
from splatkit.mesh.convex import convex_pieces
from splatkit.mesh.kept import Kept
from splatkit.mesh.options import MeshOptions
from splatkit.mesh.physics import Collision, make_collision, read_collision
from splatkit.mesh.pipeline import (
    LEAST_REIMPORT_PSNR,
    SKY,
    make_levels,
    make_mesh,
    read_surface,
)
from splatkit.mesh.warp import warp_of
from splatkit.render import render_triangles
from splatkit.train.metrics import psnr
from splatkit.train.run_folder import RunFolder

FACTS = "bundle.json"
"""In every bundle: what is in it. A folder without it is never replaced."""
NOTES = "IMPORT.md"
LODS = (0.3, 0.1)
COLLISION = 5000
"""What is made where neither the options nor the run's own mesh say anything else."""


@dataclass(frozen=True)
class BundleOptions:
    """What a bundle holds."""

    export: ExportOptions
    """Of the splats; its target names the program. Turn and scale hold for the mesh, too."""
    lods: tuple[float, ...] | None = None
    """Shares of the triangles of the levels of detail; when None those that are there, or
    ``LODS``."""
    collision: int | None = None
    """Triangles, at most, of the closed shape for physics; when None what is there, or
    ``COLLISION``."""
    convex: int | None = None
    """Convex pieces, at most, of that shape; 0 for none. When None, what is there or as many as the
    program wants, if it wants any."""
    pivot: Literal["floor", "middle", "keep"] = "floor"
    """Where the origin comes to lie: on the floor below the middle of the scene, in that middle, or
    where the run has it."""

    def __post_init__(self) -> None:
        engine_named(self.export.target)
        if self.export.crop is not None:
            raise UsageError(
                "--crop: a bundle holds a whole run; crop that first: splatkit edit RUN --crop ... "
                "-o NEW"
            )
        if self.pivot not in ("floor", "middle", "keep"):
            raise UsageError(f"--pivot: expected floor, middle or keep, got {self.pivot!r}")
        _ = self.mesh  # It looks at the numbers that it is made of.

    @property
    def engine(self) -> Engine:
        """The row of the table."""
        return engine_named(self.export.target)

    @property
    def pieces(self) -> int:
        """Convex pieces, 0 for none."""
        return self.engine.convex if self.convex is None else self.convex

    @property
    def mesh(self) -> MeshOptions:
        """How a mesh is made where there is none."""
        return MeshOptions(
            lods=LODS if self.lods is None else self.lods,
            collision=COLLISION if self.collision is None else self.collision,
            convex=self.pieces or None,
            backend=self.export.backend,
        )


@dataclass(frozen=True)
class Bundled:
    """What was written."""

    path: Path
    facts: dict[str, Any]
    """The contents of ``bundle.json``."""


@dataclass
class _Parts:
    """Meshes of a run, in its own frame."""

    mesh: Triangles
    sky: Triangles | None
    levels: list[Triangles]
    collision: Collision


def make_bundle(
    run: Path, output: Path | None, options: BundleOptions
) -> Generator[Event, None, Bundled]:
    """Write the folder of a bundle.

    Args:
        run: folder of a finished run.
        output: the folder to write; ``bundles/TARGET`` in the run folder when None.
        options: what to put into it.

    Raises:
        UsageError: an option or path cannot be used.
        SplatkitError: the run is not finished or shows no surface, or a file does not show what
            it should.
    """
    run = Path(run)
    if not RunFolder(run).scene.is_dir():
        raise UsageError(f"{run}: expected a run folder (a bundle needs its photos), found none")
    target = run / "bundles" / str(options.export.target) if output is None else Path(output)
    _check_place(target)
    replaced = (target / FACTS).is_file()
    opened = open_scene(run)
    parts = yield from _parts(run, opened, options)
    origin = yield from _origin(opened, options)
    export = replace(options.export, origin=origin)
    splats = f"{SCENE}_splats{target_named(str(export.target)).suffixes[0]}"
    with atomic_path(target) as folder:
        folder.mkdir()
        done = yield from export_scene(run, folder / splats, export)
        (folder / (splats + SIDECAR)).unlink(missing_ok=True)
        views = check_views(opened, prepared(opened, export), export)
        meshes = _write_meshes(parts, folder, replace(options, export=export), views)
        facts: dict[str, Any] = {
            "target": export.target,
            "program": target_named(str(export.target)).program,
            "tried": options.engine.tried,
            "splats": {"file": splats, "gaussians": done.num_gaussians, "bytes": done.bytes},
            "check": None if done.proof is None else done.proof.as_json(),
            **meshes,
            "metric": load_scene(RunFolder(run).scene).metric,
            "scale": export.scale,
            "pivot": options.pivot,
            "origin_in_run": list(origin or (0.0, 0.0, 0.0)),
            "version": __version__,
        }
        write_text(folder / NOTES, import_notes(facts, options.engine))
        write_json(folder / FACTS, facts)
    if replaced:
        yield Note(f"{target}: the earlier bundle is replaced")
    return Bundled(target, facts)


def _check_place(target: Path) -> None:
    """Refuse to replace what is no bundle."""
    if target.is_file():
        raise UsageError(f"{target}: expected the name of a folder to write, got a file")
    if target.is_dir() and any(target.iterdir()) and not (target / FACTS).is_file():
        raise UsageError(
            f"{target}: expected a new folder, or an earlier bundle to replace; this one holds "
            "other things"
        )


def _parts(run: Path, opened: OpenScene, options: BundleOptions) -> Generator[Event, None, _Parts]:
    """The meshes of a run; those that are missing are made and kept."""
    wanted, file = options.mesh, run / "mesh" / "surface.glb"
    if not file.is_file():
        yield Note("There is no mesh of this run yet; one is made")
        yield from make_mesh(run, file, wanted)
    elif file.stat().st_mtime < RunFolder(run).ply.stat().st_mtime:
        yield Note(f"{file}: older than the scene; delete it to have it made anew", warning=True)
    mesh, sky = read_surface(file)
    levels = yield from _levels(run, file, options, len(mesh))
    collision = yield from _collision(run, opened, file, mesh, options)
    return _Parts(mesh, sky, levels, collision)


def _levels(
    run: Path, file: Path, options: BundleOptions, triangles: int
) -> Generator[Event, None, list[Triangles]]:
    """The levels of detail; those that are missing are made."""
    there = {
        level["share"]: file.with_name(level["file"])
        for level in _told(file).get("levels", [])
        if file.with_name(level["file"]).is_file()
    }
    wanted = tuple(there) or LODS if options.lods is None else options.lods
    missing = tuple(share for share in wanted if share not in there)
    if not missing:
        return [mesh_glb.read(there[share]) for share in wanted]
    yield Note(f"Making {len(missing)} levels of detail of {triangles:,} triangles")
    with _room_beside(file, kept=not there) as place:
        made = yield from make_levels(run, place, replace(options.mesh, lods=missing))
        if not there:
            _tell(file, levels=made)
        files = there | {level["share"]: place.with_name(level["file"]) for level in made}
        return [mesh_glb.read(files[share]) for share in wanted]


@contextmanager
def _room_beside(file: Path, *, kept: bool) -> Iterator[Path]:
    """A surface that levels can be written beside: the run's own, where that has none, else a copy
    that goes away, for the levels that are there were made with options of their own.
    """
    if kept:
        with Kept(file).alone():
            yield file
        return
    with tempfile.TemporaryDirectory() as folder:
        link_or_copy(file, Path(folder, file.name))
        yield Path(folder, file.name)


def _collision(
    run: Path, opened: OpenScene, file: Path, mesh: Triangles, options: BundleOptions
) -> Generator[Event, None, Collision]:
    """The shape for physics; made anew where it is not of this mesh or larger than asked for."""
    place, seed = run / COLLISION_FILE, options.mesh.seed
    there = read_collision(place) if place.is_file() else None
    if there is not None and place.stat().st_mtime < file.stat().st_mtime:
        yield Note(f"{place}: older than the mesh; made anew")
        there = None
    elif there is not None and len(there.closed) > (options.collision or len(there.closed)):
        yield Note(f"{place}: {len(there.closed):,} triangles; made anew with fewer")
        there = None
    if there is not None and not options.pieces:
        return Collision(there.closed)
    if there is not None and 0 < len(there.pieces) <= (options.convex or len(there.pieces)):
        return there
    with Kept(file).alone():
        if there is None:
            cameras = opened.cameras(*CHECK_SIZE)
            warp = None if cameras is None else warp_of([cameras.to(torch.float32)])
            most = options.mesh.collision or COLLISION
            made = yield from make_collision(mesh, most, options.pieces, seed, warp)
        else:
            yield Note(f"Dividing {place} into at most {options.pieces} convex pieces")
            pieces = convex_pieces(there.closed, options.pieces, seed)
            made = Collision(there.closed, tuple(pieces))
        made.write(place)
        _tell(file, collision=made.facts(place))
    return made


def _told(file: Path) -> dict[str, Any]:
    """What is said of a mesh beside it."""
    facts = file.with_suffix(".json")
    return read_json(facts) if facts.is_file() else {}


def _tell(file: Path, **facts: Any) -> None:
    """Say something else of a mesh beside it."""
    write_json(file.with_suffix(".json"), _told(file) | facts)


def _origin(
    opened: OpenScene, options: BundleOptions
) -> Generator[Event, None, tuple[float, float, float] | None]:
    """The point of the turned and scaled scene that becomes the origin."""
    if options.pivot == "keep":
        return None
    scene: Gaussians = prepared(opened, replace(options.export, max_gaussians=None))
    point = bulk(scene)[0]
    if options.pivot == "floor":
        try:
            point = find_floor(scene).point
        except SplatkitError as error:
            yield Note(f"{error}; the origin is put into the middle of the scene", warning=True)
    x, y, z = point.tolist()
    return x, y, z


def _write_meshes(
    parts: _Parts, folder: Path, options: BundleOptions, views: Cameras
) -> dict[str, Any]:
    """Write the mesh, its levels and the shape for physics; and read the mesh again."""
    engine, export = options.engine, options.export
    moved = Collision(
        mesh_turned(parts.collision.closed, export),
        tuple(mesh_turned(piece, export) for piece in parts.collision.pieces),
    )
    shapes, inside = engine.shapes(moved), engine.shapes_inside(moved)
    path = folder / f"{SCENE}_mesh.glb"
    whole, far = (part and mesh_turned(part, export) for part in (parts.mesh, parts.sky))
    assert whole is not None
    mesh_glb.write(
        whole,
        path,
        normals=True,
        name=SCENE,
        beside={} if far is None else {f"{SKY}_{SCENE}": far},
        shapes=shapes if inside else {},
        axes=engine.axes,
    )
    found = _same(whole, read_surface(path, axes=engine.axes)[0], views)
    if found < LEAST_REIMPORT_PSNR:
        raise SplatkitError(
            f"{path.name}: not kept, for what the file gives back is {found:.1f} dB from the mesh; "
            f"expected {LEAST_REIMPORT_PSNR:.0f}"
        )
    levels = []
    for number, level in enumerate(parts.levels, 1):
        name = f"{SCENE}_lod{number}"
        turned = mesh_turned(level, export)
        mesh_glb.write(turned, folder / f"{name}.glb", normals=True, name=name, axes=engine.axes)
        levels.append({"file": f"{name}.glb", "triangles": len(level)})
    place = path if inside else folder / f"{SCENE}_collision.glb"
    if not inside:
        names = list(shapes)
        others = {name: shapes[name] for name in names[1:]}
        mesh_glb.write(shapes[names[0]], place, name=names[0], shapes=others, axes=engine.axes)
    low, high = whole.vertices.amin(0), whole.vertices.amax(0)
    return {
        "mesh": {"file": path.name, "triangles": len(whole), "bytes": path.stat().st_size},
        "sky": None if far is None else _sky_facts(far),
        "mesh_axes": engine.axes,
        "reimport_psnr": None if found == float("inf") else found,
        "size": (high - low).double().tolist(),
        "levels": levels,
        "collision": moved.facts(place) | {"names": list(shapes)},
    }


def _sky_facts(sky: Triangles) -> dict[str, Any]:
    radius = sky.vertices.double().norm(dim=-1).max()
    return {"mesh": f"{SKY}_{SCENE}", "triangles": len(sky), "radius": float(radius)}


def _same(made: Triangles, again: Triangles, views: Cameras) -> float:
    """dB between a mesh and what its file gives back, in the worst of some views."""
    with torch.no_grad():
        pictures = [render_triangles(mesh, views.to(torch.float32)).rgb for mesh in (made, again)]
    assert pictures[0] is not None
    assert pictures[1] is not None
    return min(psnr(b, a) for a, b in zip(pictures[0], pictures[1], strict=True))


def facts_as_text(made: Bundled) -> str:
    """What was written, in a few lines."""
    facts = made.facts
    shape = facts["collision"]
    closed = f"{shape['triangles']:,} closed triangles"
    physics = f"{shape['pieces']} convex closed pieces" if shape["pieces"] else closed
    inside = shape["file"] == facts["mesh"]["file"]
    lines = [
        f"{made.path}: for {facts['program']}",
        f"{facts['splats']['file']}: {facts['splats']['gaussians']:,} Gaussians",
        f"{facts['mesh']['file']}: {facts['mesh']['triangles']:,} triangles"
        + (f" and {facts['sky']['triangles']:,} of sky" if facts["sky"] else "")
        + (f"; {physics} for physics" if inside else ""),
        *(f"{level['file']}: {level['triangles']:,} triangles" for level in facts["levels"]),
        *([] if inside else [f"{shape['file']}: {physics} for physics"]),
        f"{NOTES}: how to import them. {facts['tried']}",
    ]
    return "\n".join(lines)


def facts_as_json(made: Bundled) -> str:
    """The same for programs."""
    return json.dumps(made.facts | {"path": str(made.path)}, indent=1)
