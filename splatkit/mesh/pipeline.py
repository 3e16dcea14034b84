"""From a run folder to a mesh file that was read again and compared with the photos."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Generator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
from torch import Tensor

from splatkit import __version__
from splatkit.core import Event, Gaussians, Note, Scene, SplatkitError, Triangles, UsageError
from splatkit.io import mesh_glb, read_gaussians, write_json
from splatkit.mesh.atlas import unwrapped
from splatkit.mesh.between import pictures_between
from splatkit.mesh.clean import HINT, decimated, edges_of, manifold, welded
from splatkit.mesh.exposure import neutral_photos
from splatkit.mesh.kept import Kept
from splatkit.mesh.options import MeshOptions
from splatkit.mesh.paint import painted
from splatkit.mesh.physics import make_collision
from splatkit.mesh.seeds import splat_seeds
from splatkit.mesh.sky import joined, parted, sky_behind
from splatkit.mesh.splats import fitted
from splatkit.mesh.surface import surface
from splatkit.mesh.warp import Warp, warp_of
from splatkit.render import get_backend, render_triangles
from splatkit.train.behind import trained_scene
from splatkit.train.config import TrainConfig
from splatkit.train.evaluate import compare
from splatkit.train.machine import describe_machine
from splatkit.train.metrics import psnr, to_8bit
from splatkit.train.photos import View, load_views
from splatkit.train.run_folder import RunFolder

TIME_SHARE = 0.9
"""Of the time limit; the rest is for writing and comparing."""
SUPERSAMPLE = 2
"""Comparisons are drawn at so many samples a side of a pixel."""
FIGURES = ("psnr", "ssim", "psnr_cc", "ssim_cc")
"""Of each photo, as in ``train.evaluate.Comparison``."""
LEAST_CAMERAS = 3
LEAST_REIMPORT_PSNR = 48.0
"""dB between what was made and what its file gives back (colours have 8 bits there)."""
SKY = "sky"
"""Name of the mesh in the file that is no surface."""
_SKY_NAMES = rf"{SKY}([_.].*)?"
"""Of such meshes in files that other programs wrote anew, too."""


@dataclass(frozen=True)
class MeshMade:
    """What came out."""

    path: Path
    stats: dict[str, Any]
    """The contents of the file beside it that ends in ``.json``."""


def make_mesh(
    run: Path, output: Path | None, options: MeshOptions
) -> Generator[Event, None, MeshMade]:
    """Make a mesh of a trained scene.

    Args:
        run: folder of a finished run; its photos give the colours.
        output: the ``.glb`` to write; ``mesh/MODE.glb`` in the run folder when None.
        options: effort and form.

    Raises:
        UsageError: an option or path cannot be used.
        SplatkitError: the run is not finished, has too few photos, or shows no surface; a library
            is missing; the mesh is written, but no shape for physics can be made of it.
    """
    start = time.monotonic()
    output = Path(run) / "mesh" / f"{options.mode}.glb" if output is None else Path(output)
    if output.suffix.lower() != ".glb":
        raise UsageError(f"{output}: expected a name ending in .glb")
    job, held_out = yield from _begun(Path(run), options, start)
    _check_packages(options)
    kept = Kept(output)
    with kept.alone():
        made = yield from _made(job, held_out, Path(run), output, kept)
    return made


def _made(
    job: _Job, held_out: list[View], run: Path, output: Path, kept: Kept
) -> Generator[Event, None, MeshMade]:
    """A mesh whose place is its own."""
    options, background = job.options, job.background
    yield from kept.begin(options.facts() | _facts_of_run(run), options.resume)
    far, levels = None, None
    if options.mode == "splats":
        solid = made = yield from _splats(job, kept)
    else:
        whole, sky, levels = yield from _surface(job, kept)
        solid, far = parted(whole, sky)
        made, far = (whole, far) if options.sky else (solid, None)
    if not any(len(_shown(solid, view)) for view in job.views):
        raise SplatkitError("mesh: expected a scene with surfaces, but no view shows any")
    _remove_earlier(output)
    mesh_glb.write(
        solid,
        output,
        normals=options.normals,
        tangents=options.tangents,
        beside={} if far is None else {SKY: far},
        extras={"splatkit": __version__},
    )
    again = mesh_glb.read(output)
    seen = held_out or job.views
    stats = facts_of(solid) | _compared(made, again, seen, background)
    stats |= {
        "sky_triangles": 0 if far is None else len(far),
        "bytes": output.stat().st_size,
        "machine": describe_machine(),
        "compared_with": "held-out photos" if held_out else "all photos",
        "mode": options.mode,
        "median_edge_pixels": median(projected_edge(solid, view) for view in seen),
        "seed": options.seed,
        "version": __version__,
    }
    stats = _told(job, output, stats, levels=[], collision=None)
    if stats["reimport_psnr"] < LEAST_REIMPORT_PSNR:
        yield Note(
            f"{output}: what its file gives back is {stats['reimport_psnr']:.1f} dB from what was "
            f"made; expected {LEAST_REIMPORT_PSNR:.0f}",
            warning=True,
        )
    if levels is not None:
        found = _write_levels((yield from levels), output, options, seen, background)
        stats = _told(job, output, stats, levels=found)
    kept.remove()
    if options.collision is not None:
        shape = yield from _shape(job, solid, output)
        stats = _told(job, output, stats, collision=shape)
    return MeshMade(output, stats)


def _told(job: _Job, output: Path, stats: dict[str, Any], **further: Any) -> dict[str, Any]:
    """What is known of a mesh by now, written beside it."""
    stats = stats | further | {"seconds": time.monotonic() - job.start}
    write_json(output.with_suffix(".json"), stats)
    return stats


def _remove_earlier(output: Path) -> None:
    """Remove what belongs to an earlier mesh of that name and would be taken for the new one's."""
    facts = output.with_suffix(".json")
    if not (output.exists() or facts.exists()):
        return
    ours = re.compile(re.escape(output.stem) + r"_(lod\d+|collision)\.glb")
    for file in output.parent.iterdir():
        if ours.fullmatch(file.name):
            file.unlink()
    facts.unlink(missing_ok=True)


def _check_packages(options: MeshOptions) -> None:
    """Tell what is missing before hours of work, not after."""
    needed = {"fast_simplification": "fast-simplification"}
    if options.mode == "surface" and options.colors != "vertex":
        needed["xatlas"] = "xatlas"
    if options.convex is not None:
        needed["coacd"] = "coacd"
    for module, package in needed.items():
        try:
            import_module(module)
        except ImportError as error:
            raise SplatkitError(f"mesh: expected the package {package}; {HINT}") from error


def make_levels(
    run: Path, surface: Path, options: MeshOptions
) -> Generator[Event, None, list[dict[str, Any]]]:
    """Make the levels of detail of a surface that is there already, beside it.

    Args:
        run: the run folder that the surface was made of.
        surface: its ``.glb``.
        options: effort, and the shares.

    Returns:
        Facts of each, as in the file that ends in ``.json``.

    Raises:
        UsageError, SplatkitError: as ``make_mesh``, or the surface cannot be read.
    """
    job, held_out = yield from _begun(Path(run), options, time.monotonic())
    views = job.views + (yield from _between(job))
    near, far = read_surface(surface)
    bare = welded(near)
    sky = (yield from _sky(job, bare)) if far is None else welded(far)
    levels = yield from _levels(job, views, bare, sky)
    return _write_levels(levels, surface, options, held_out or job.views, job.background)


def read_surface(path: Path, *, axes: str = mesh_glb.AXES) -> tuple[Triangles, Triangles | None]:
    """The surface and the sky, if there is one, of a file that ``splatkit mesh`` wrote.

    Args:
        path: the file.
        axes: where the axes of the numbers in the file point.

    Raises:
        SplatkitError: the file is missing or damaged.
    """
    surface, sky = mesh_glb.read_apart(path, _SKY_NAMES, axes=axes)
    if surface is None:
        assert sky is not None
        return sky, None
    return surface, sky


@dataclass(frozen=True)
class _Job:
    """What both products are made of."""

    gaussians: Gaussians
    views: list[View]
    background: Tensor
    options: MeshOptions
    start: float
    """When the work began, by the monotonic clock."""
    points: Tensor
    """[N,3] sparse points, world frame."""
    open: bool
    """Whether photos show more than the background where they look past the scene."""

    @property
    def warp(self) -> Warp:
        """Of the space around what the cameras look at."""
        return warp_of([view.camera for view in self.views])


def _begun(
    run: Path, options: MeshOptions, start: float
) -> Generator[Event, None, tuple[_Job, list[View]]]:
    """A run opened, and its held-out photos."""
    get_backend(options.backend)
    scene, gaussians, config = _opened(run)
    sizes = (config.picture_size, scene.background, config.threads, config.masks)
    views = yield from load_views(scene.training_photos, *sizes)
    if options.mode == "surface" and not config.makes_surfaces(len(views)):
        yield Note(
            f"{run} was trained without --surface: what photos show alike from all sides, such as "
            "plain walls, may have holes; for a better mesh train with --surface"
        )
    held_out = yield from load_views(scene.held_out_photos, *sizes)
    background = torch.tensor(scene.background or (0.0, 0.0, 0.0))
    if config.exposure == "varies":
        views = yield from neutral_photos(
            gaussians, views, scene.points, background, backend=options.backend
        )
    open_ = scene.background is None and all(view.alpha is None for view in views)
    return _Job(gaussians, views, background, options, start, scene.points, open_), held_out


def _facts_of_run(run: Path) -> dict[str, Any]:
    """What tells one training of a run folder from another."""
    told = RunFolder(run).ply.stat()
    return {"run": str(run.resolve()), "bytes": told.st_size, "written": told.st_mtime_ns}


def _surface(
    job: _Job, kept: Kept
) -> Generator[Event, None, tuple[Triangles, int, Generator[Event, None, list[Triangles]]]]:
    """The surface with the sky behind it, how many faces are sky, and what makes the surface's
    levels of detail: shape from depth, then colours from photos."""
    options, effort = job.options, job.options.effort
    if (shape := kept.load("shape")) is not None:
        bare = Triangles(shape["vertices"], shape["faces"])
        sky = Triangles(shape["sky_vertices"], shape["sky_faces"])
    else:
        bare = yield from surface(
            job.gaussians,
            job.views,
            cells=effort.cells,
            triangles=options.count,
            points=job.points,
            backend=options.backend,
        )
        sky = yield from _sky(job, bare)
        found = {"vertices": bare.vertices, "faces": bare.faces}
        kept.save("shape", found | {"sky_vertices": sky.vertices, "sky_faces": sky.faces})
    views = job.views + (yield from _between(job))
    made = yield from _colored(
        job,
        views,
        bare,
        sky,
        side=options.texels,
        steps=effort.paint_steps,
        time_share=1 / (1 + len(options.lods) / 2),
        written=options.sky,
        kept=kept,
    )
    solid = welded(parted(made, len(sky))[0])
    return made, len(sky), _levels(job, views, solid, sky)


def _sky(job: _Job, bare: Triangles) -> Generator[Event, None, Triangles]:
    """Vertices and faces of the sky behind a surface; none where photos show none.

    Surfaces are painted before it even where it is not written: against the background alone, what
    photos show past an outline would pull the outline outwards.
    """
    if job.open:
        return (yield from sky_behind(bare, job.views, job.warp))
    return bare.selected(torch.zeros(len(bare), dtype=torch.bool))


def _levels(
    job: _Job, views: list[View], bare: Triangles, sky: Triangles
) -> Generator[Event, None, list[Triangles]]:
    """The levels of detail of a surface without colours, with colours of their own; without the
    sky, before which they are painted."""
    effort, lods = job.options.effort, job.options.lods
    levels = []
    for level, share in enumerate(lods, 1):
        coarse = manifold(welded(decimated(bare, max(4, round(share * len(bare))), job.warp)))
        both = yield from _colored(
            job,
            views,
            coarse,
            sky,
            side=max(64, job.options.texels >> level),
            steps=effort.paint_steps // 2,
            time_share=1 / (len(lods) + 1 - level),
            written=False,
        )
        levels.append(parted(both, len(sky))[0])
    return levels


def _colored(
    job: _Job,
    views: list[View],
    bare: Triangles,
    sky: Triangles,
    *,
    side: int,
    steps: int,
    time_share: float,
    written: bool,
    kept: Kept | None = None,
) -> Generator[Event, None, Triangles]:
    """A surface with the sky after it, colours from views, and the surface moved.

    Args:
        job: what it is of.
        views: photos and cameras.
        bare: the surface, vertices and faces.
        sky: vertices and faces.
        side: texels of the texture.
        steps: one photo each.
        time_share: of the time that is left, which may be used.
        written: whether the sky will be in the file.
        kept: where the work is kept.
    """
    options = job.options
    now = time.monotonic()
    deadline = now + time_share * max(0.0, job.start + TIME_SHARE * options.seconds - now)
    whole = joined(bare, sky)
    if kept is not None and (charts := kept.load("charts")) is not None:
        whole = Triangles(**charts)
    elif options.colors != "vertex":
        yield Note(f"Laying {len(whole):,} triangles out on a texture")
        # Texels beyond the photos' pixels would have nothing to show.
        pixels = sum(view.camera.width * view.camera.height for view in job.views)
        side = min(side, 1 << math.ceil(math.log2(pixels) / 2))
        whole = unwrapped(whole, side, job.warp, coarse=0 if written else len(sky))
        if kept is not None:
            names = ("vertices", "faces", "uvs", "texture")
            kept.save("charts", {name: getattr(whole, name) for name in names})
    late = False

    def in_time() -> bool:
        nonlocal late
        late = time.monotonic() >= deadline
        return not late

    made = yield from painted(
        whole,
        views,
        job.background,
        steps=steps,
        moved=len(bare),
        seed=options.seed,
        in_time=in_time,
        kept=kept,
    )
    if late:
        yield Note(
            f"--time-limit {options.time_limit}: over before {len(bare):,} triangles were fitted "
            f"to the photos in {steps} steps; they are written as they are",
            warning=True,
        )
    return made


def _between(job: _Job) -> Generator[Event, None, list[View]]:
    """What the Gaussians show from between the photos, where these are few."""
    return (
        yield from pictures_between(
            job.gaussians, job.views, job.background, open_=job.open, backend=job.options.backend
        )
    )


def _splats(job: _Job, kept: Kept) -> Generator[Event, None, Triangles]:
    """Loose triangles, of the surface and in the place of Gaussians, fitted to the photos."""
    options = job.options
    if (told := kept.load("seeds")) is not None:
        seeds = Triangles(**told)
    else:
        seeds = yield from splat_seeds(
            job.gaussians,
            job.views,
            job.background,
            count=options.count,
            cells=options.effort.cells,
            backend=options.backend,
        )
        names = ("vertices", "faces", "colors", "opacities")
        kept.save("seeds", {name: getattr(seeds, name) for name in names})
    views = job.views + (yield from _between(job))
    began = time.monotonic()
    room = job.start + TIME_SHARE * options.seconds - began
    if room <= 0:
        yield Note(
            f"--time-limit {options.time_limit}: over before the triangles could be fitted to the "
            "photos; they are written as they began",
            warning=True,
        )
        room = 1e-3
    return (
        yield from fitted(
            seeds,
            views,
            job.background,
            steps=options.effort.splat_steps,
            count=options.count,
            supersample=SUPERSAMPLE,
            seed=options.seed,
            share_of_time=lambda: (time.monotonic() - began) / room,
            kept=kept,
        )
    )


def _write_levels(
    levels: list[Triangles],
    output: Path,
    options: MeshOptions,
    views: list[View],
    background: Tensor,
) -> list[dict[str, Any]]:
    """Files of the levels of detail, and how near they come to the photos."""
    told = []
    for level, mesh in enumerate(levels, 1):
        path = output.with_name(f"{output.stem}_lod{level}.glb")
        mesh_glb.write(
            mesh,
            path,
            normals=options.normals,
            tangents=options.tangents,
            name=f"mesh_LOD{level}",
        )
        found = _compared(mesh, mesh_glb.read(path), views, background)
        facts = {"file": path.name, "share": options.lods[level - 1], "triangles": len(mesh)}
        told.append(facts | {"mean": found["mean"]})
    return told


def _shape(job: _Job, solid: Triangles, output: Path) -> Generator[Event, None, dict[str, Any]]:
    """Make and write the shape for physics of a mesh that is written."""
    options, path = job.options, output.with_name(f"{output.stem}_collision.glb")
    assert options.collision is not None
    try:
        shape = yield from make_collision(
            solid, options.collision, options.convex or 0, options.seed, job.warp
        )
    except SplatkitError as error:
        raise SplatkitError(f"{error} ({output} is written, without a shape)") from error
    shape.write(path)
    return shape.facts(path)


def facts_of(triangles: Triangles) -> dict[str, Any]:
    """Counts of a mesh; positions that vertices share count once, as seams of textures do."""
    _, _, number = edges_of(welded(triangles).faces)
    return {
        "triangles": len(triangles),
        "vertices": len(triangles.vertices),
        "boundary_edges": int((number == 1).sum()),
        "non_manifold_edges": int((number > 2).sum()),
        "texture": None if triangles.texture is None else list(triangles.texture.shape[:2]),
    }


def _opened(run: Path) -> tuple[Scene, Gaussians, TrainConfig]:
    """The scene, its Gaussians, and how its photos were read."""
    folder = RunFolder(run)
    if not run.is_dir():
        raise UsageError(f"{run}: expected a run folder, found none there")
    scene, config = trained_scene(folder)
    if not folder.ply.is_file():
        raise SplatkitError(
            f"{run}: expected the folder of a finished run, but {folder.ply.relative_to(run)} is "
            "missing; train first: splatkit train PHOTOS -o RUN"
        )
    if len(scene.training_photos) < LEAST_CAMERAS:
        held_out = len(scene.held_out_photos)
        uncounted = f" (and {held_out} held out for evaluation, not counted)" if held_out else ""
        raise SplatkitError(
            f"{run}: expected at least {LEAST_CAMERAS} photos to see surfaces from, got "
            f"{len(scene.training_photos)}{uncounted}; train with more photos"
        )
    gaussians = read_gaussians(folder.ply)
    if len(gaussians) == 0:
        raise SplatkitError(f"{folder.ply}: expected Gaussians to make a mesh of, got none")
    return scene, gaussians, config


def _compared(
    made: Triangles, again: Triangles, views: list[View], background: Tensor
) -> dict[str, Any]:
    """How near the mesh comes to photos, and its file to it."""
    photos, differences = [], []
    for view in views:
        picture, same = (draw(mesh, view, background) for mesh in (made, again))
        truth = view.image[0].float() / 255
        mask = None if view.mask is None else view.mask[0] > 0
        differences.append(psnr(same, picture))
        found = compare(view.name, to_8bit(same), truth, mask)
        photos.append({"name": found.name} | {name: getattr(found, name) for name in FIGURES})
    return {
        "mean": {name: fmean(photo[name] for photo in photos) for name in FIGURES},
        "per_photo": photos,
        "reimport_psnr": min(differences),
    }


def draw(triangles: Triangles, view: View, background: Tensor) -> Tensor:
    """[H,W,3] a photo's view of a solid mesh, 2 x 2 samples a pixel."""
    with torch.no_grad():
        drawn = render_triangles(
            triangles, view.camera, background=background, supersample=SUPERSAMPLE
        )
    assert drawn.rgb is not None
    return drawn.rgb[0]


def projected_edge(triangles: Triangles, view: View) -> float:
    """Median length in pixels of the edges of triangles that a view shows, 0 where there are none
    whose corners are all before the camera."""
    shown = _shown(triangles, view)
    matrix, K = view.camera.viewmats[0], view.camera.Ks[0]
    points = triangles.corners[shown] @ matrix[:3, :3].T + matrix[:3, 3]
    points = points[(points[..., 2] > 1e-3).all(-1)] @ K.T
    if len(points) == 0:
        return 0.0
    places = points[..., :2] / points[..., 2:]
    return float((places - places.roll(1, 1)).norm(dim=-1).median())


def _shown(triangles: Triangles, view: View) -> Tensor:
    """[S] int64 the triangles that a view shows."""
    with torch.no_grad():
        ids = render_triangles(triangles, view.camera).ids[0]
    return ids[ids >= 0].long().unique()
