"""OpenUSD with ``ParticleField3DGaussianSplat`` (OpenUSD 26.3 and later, Omniverse, Isaac Sim 6).

``.usdc`` (binary; ``.usd`` is written so too), ``.usda`` (text, for reading by eye: the library
takes some twenty times its arrays to open it) and ``.usdz`` (one ``.usdc`` in an uncompressed
zip). The prim's attributes, the linear values that a renderer multiplies with::

    positions                                point3f[]  centres
    orientations                             quatf[]    unit quaternions
    scales                                   float3[]   standard deviations
    opacities                                float[]    0..1
    radiance:sphericalHarmonicsDegree        int        0 to 3 are written, 4 is read too
    radiance:sphericalHarmonicsCoefficients  float3[]   (degree + 1)^2 a particle, signs as here

Variants of half precision (names ending in ``h``) are read. Every field of a stage that is not
hidden is read, through references inside the file's own folder or package, and placed by its
transforms. The library is the extra ``usd`` (usd-core); reading runs in a process of its own.

Beside the field can stand a closed *collision* mesh: a ``UsdGeom.Mesh`` of the purpose ``guide``
(nothing draws it) with the schemas of ``UsdPhysics`` that make it solid.

Frame: z up (x right, y forward) and metres, as Isaac Sim has it; ``upAxis`` and
``metersPerUnit`` of other files are obeyed. Where a file does not say how long its unit is, its
numbers are taken as they are.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from splatkit.core import Gaussians, SplatkitError, Triangles
from splatkit.core.sh import count_from_degree
from splatkit.core.sh_rotation import rotate_sh
from splatkit.core.similarity import transformed
from splatkit.io import _linear as linear
from splatkit.io import _packing as packing
from splatkit.io._packing import Floats
from splatkit.io.axes import world_from_axes
from splatkit.io.files import atomic_path

NAME = "OpenUSD"
TEXT_MAGIC, BINARY_MAGIC, ZIP_MAGIC = b"#usda", b"PXR-USDC", b"PK\x03\x04"
ZIP_MARK = b".usd"
"""In the name of a package's first file."""
MAX_DEGREE = 3
"""Of written files: renderers of the schema know no more."""

_READER = Path(__file__).with_name("_usd_reader.py")
_AXES = {"Y": "RUB", "Z": "RFU"}
_STORED_FROM_WORLD = world_from_axes(_AXES["Z"]).mT
_SCENE, _FIELD, _COLLISION = "/Scene", "/Scene/Gaussians", "/Scene/Collision"
_MAX_PACKAGE_BYTES = 1 << 31
_SECONDS, _SECONDS_PER_BYTE = 120, 1e-6
"""Reading may take so long; the library needs a hundredth of it."""
_EXTENT_SIGMAS = 3
_SH_BLOCK = 1 << 13
"""Gaussians whose harmonics are turned at once; larger blocks leave gaps that stay in memory."""
_LAYER_NAME = "scene.usdc"
_ZIP_HEADER_BYTES, _ALIGNMENT = 30, 64
"""Of a zip's entry without its name; and where the format wants the data of one to begin."""
_PADDING = 0x1986
"""Kind of the header field that OpenUSD pads with."""


def read(path: Path) -> Gaussians:
    """Read Gaussians; rows with NaN, infinity or absurd scales are left out with a warning.

    Raises:
        SplatkitError: usd-core is not installed, or the file is missing, damaged, or holds no
            Gaussians.
    """
    return packing.keep_usable(_load(path)[0], path)


def write(gaussians: Gaussians, path: Path, *, collision: Triangles | None = None) -> None:
    """Write ``.usdc``, ``.usda``, ``.usd`` or ``.usdz`` atomically; what goes is named.

    Args:
        gaussians: the scene.
        path: its ending names the kind of file.
        collision: a closed mesh for physics, if any.

    Raises:
        SplatkitError: usd-core is not installed, or a ``.usdz`` would be 2 GiB or more.
    """
    _check_library(path)
    gaussians = packing.fit_for(gaussians, path, name=NAME, max_degree=MAX_DEGREE)
    with atomic_path(path) as temporary:
        if path.suffix.lower() == ".usdz":
            _write_package(gaussians, collision, temporary, path)
        else:
            _write_layer(gaussians, collision, temporary)


def info(path: Path) -> dict[str, Any]:
    """Describe a file: producer, up axis, unit, counts, degree, bounds, broken Gaussians."""
    gaussians, told = _load(path)
    half = any(field["half"] for field in told["fields"])
    return packing.describe(
        path,
        NAME,
        gaussians,
        producer=told["producer"],
        up_axis=told["up"],
        meters_per_unit=told["meters_per_unit"],
        quantization="16 bit float" if half else "none",
    )


def _check_library(path: Path) -> None:
    try:
        known = hasattr(_library("UsdVol"), "ParticleField3DGaussianSplat")
    except ImportError:
        known = False
    if not known:
        raise SplatkitError(
            f"{path}: expected usd-core 26.3 or later for OpenUSD files, found none; install it "
            "with: pip install 'splatkit[usd]'"
        )


def _library(name: str) -> ModuleType:
    """A module of usd-core, which tells type checkers nothing of what is in it."""
    return import_module(f"pxr.{name}")


def _write_layer(gaussians: Gaussians, collision: Triangles | None, path: Path) -> None:
    Sdf, Usd, UsdGeom, UsdVol, Vt = map(_library, ("Sdf", "Usd", "UsdGeom", "UsdVol", "Vt"))
    layer = Sdf.Layer.CreateNew(str(path))
    stage = Usd.Stage.Open(layer)
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.GetRootLayer().customLayerData = {"creator": "splatkit"}
    stage.SetDefaultPrim(UsdGeom.Xform.Define(stage, _SCENE).GetPrim())
    field = UsdVol.ParticleField3DGaussianSplat.Define(stage, _FIELD)
    space = Usd.ColorSpaceAPI.Apply(field.GetPrim())
    space.CreateColorSpaceNameAttr(linear.SRGB)
    field.CreateProjectionModeHintAttr(UsdVol.Tokens.perspective)
    field.CreateSortingModeHintAttr(UsdVol.Tokens.zDepth)
    if gaussians.antialiased:
        field.GetPrim().SetCustomDataByKey("antialiased", True)
    low, high = _extent(gaussians)
    field.CreateExtentAttr(Vt.Vec3fArray([tuple(low), tuple(high)]))

    field.CreateRadianceSphericalHarmonicsDegreeAttr(gaussians.sh_degree)
    attribute = field.CreateRadianceSphericalHarmonicsCoefficientsAttr(_stored_sh(gaussians))
    # Not asked for by the schema, but other writers say so too, and it helps viewers of primvars.
    attribute.SetMetadata("elementSize", gaussians.sh.shape[1])
    attribute.SetMetadata("interpolation", UsdGeom.Tokens.vertex)
    if path.suffix.lower() != ".usda":
        # What a binary layer has saved it no longer holds in memory.
        layer.Save()
    means, quats, scales, opacities = _stored(gaussians)
    field.CreatePositionsAttr(means)
    field.CreateOrientationsAttr(quats)
    field.CreateScalesAttr(scales)
    field.CreateOpacitiesAttr(opacities)
    if collision is not None:
        _add_collision(stage, collision)
    layer.Save()


def _add_collision(stage: Any, shape: Triangles) -> None:
    """A mesh that is solid and not drawn."""
    UsdGeom, UsdPhysics, Vt = map(_library, ("UsdGeom", "UsdPhysics", "Vt"))
    mesh = UsdGeom.Mesh.Define(stage, _COLLISION)
    places = (shape.vertices.double() @ _STORED_FROM_WORLD.mT).float().contiguous().numpy()
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(places))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray([3] * len(shape)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(shape.faces.reshape(-1).numpy()))
    ends = (places.min(0).tolist(), places.max(0).tolist())
    mesh.CreateExtentAttr(Vt.Vec3fArray([tuple(end) for end in ends]))
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreatePurposeAttr(UsdGeom.Tokens.guide)
    UsdPhysics.CollisionAPI.Apply(mesh.GetPrim())
    solid = UsdPhysics.MeshCollisionAPI.Apply(mesh.GetPrim())
    # The triangles themselves: a scene stands still.
    solid.CreateApproximationAttr(UsdPhysics.Tokens.none)


def _stored_sh(gaussians: Gaussians) -> Any:
    """Vt.Vec3fArray [N K] of the harmonics in the frame of the file."""
    Vt = _library("Vt")
    count, bases = gaussians.sh.shape[:2]
    # Filled in place, a block at a time: the library would copy a whole array.
    array = Vt.Vec3fArray(count * bases)
    for block in linear.blocks(count, _SH_BLOCK):
        turned = rotate_sh(gaussians.sh[block], _STORED_FROM_WORLD).reshape(-1, 3)
        part = Vt.Vec3fArray.FromNumpy(turned.numpy())
        array[block.start * bases : block.stop * bases] = part
    return array


def _stored(gaussians: Gaussians) -> tuple[Any, Any, Any, Any]:
    """Means, quaternions, scales and opacities (Vt arrays) in the form and frame of the file."""
    Vt = _library("Vt")
    plain = replace(gaussians, sh=gaussians.sh[:, :1])
    turned = transformed(plain, _STORED_FROM_WORLD)
    quats = torch.nn.functional.normalize(turned.quats, dim=-1)[:, (1, 2, 3, 0)]
    return (
        Vt.Vec3fArray.FromNumpy(turned.means.contiguous().numpy()),
        Vt.QuatfArray.FromNumpy(quats.contiguous().numpy()),
        Vt.Vec3fArray.FromNumpy(turned.scales.contiguous().numpy()),
        Vt.FloatArray.FromNumpy(turned.opacities.contiguous().numpy()),
    )


def _extent(gaussians: Gaussians) -> tuple[list[float], list[float]]:
    """Least and largest coordinates of the ellipsoids, generously, in the frame of the file."""
    if len(gaussians) == 0:
        return [0.0] * 3, [0.0] * 3
    reach = _EXTENT_SIGMAS * gaussians.scales.amax(1, keepdim=True)
    ends = torch.stack(((gaussians.means - reach).amin(0), (gaussians.means + reach).amax(0)))
    ends = ends.double() @ _STORED_FROM_WORLD.mT
    return ends.amin(0).tolist(), ends.amax(0).tolist()


def _write_package(
    gaussians: Gaussians, collision: Triangles | None, temporary: Path, path: Path
) -> None:
    """Write a ``.usdz``: a layer as its first and only file, aligned as the format wants."""
    inner = temporary.with_suffix(".usdc")
    try:
        _write_layer(gaussians, collision, inner)
        size = inner.stat().st_size
        if size >= _MAX_PACKAGE_BYTES:
            raise SplatkitError(
                f"{path}: expected less than 2 GiB for a .usdz, got {size} "
                "bytes; write a .usdc, drop harmonics or prune the scene"
            )
        entry = zipfile.ZipInfo(_LAYER_NAME)
        # A field of the header that says nothing moves what follows to where it shall be.
        room = -(_ZIP_HEADER_BYTES + len(_LAYER_NAME) + 4) % _ALIGNMENT
        entry.extra = struct.pack("<HH", _PADDING, room) + bytes(room)
        # OpenUSD's own writer of packages holds the whole layer in memory.
        with (
            zipfile.ZipFile(temporary, "w") as package,
            package.open(entry, "w") as place,
            inner.open("rb") as layer,
        ):
            shutil.copyfileobj(layer, place)
    finally:
        with suppress(OSError):
            inner.unlink()


def _load(path: Path) -> tuple[Gaussians, dict[str, Any]]:
    """All Gaussians of the stage in the world frame, and what the reading process said."""
    _check_library(path)
    with _reader(path) as stream:
        told = _heading(stream, path)
        total = sum(4 * f["count"] * (11 + 3 * count_from_degree(f["degree"]))
                    for f in told["fields"])  # fmt: skip
        # A few bytes may be shown by very many prims.
        packing.check_unpacked_size(path, total, told["bytes"])
        if not told["fields"]:
            raise SplatkitError(
                f"{path}: expected a stage with a ParticleField3DGaussianSplat, got one without "
                "Gaussians (a mesh?)"
            )
        unit = 1.0 if told["meters_per_unit"] is None else told["meters_per_unit"]
        turn = world_from_axes(_AXES.get(told["up"], "RUB"))
        world_from_stage = torch.block_diag(turn * unit, torch.ones(1, 1, dtype=torch.float64))
        parts = [_field(stream, field, world_from_stage, path) for field in told["fields"]]
    return linear.together(parts), told


def _field(
    stream: IO[bytes], told: dict[str, Any], world_from_stage: Tensor, path: Path
) -> Gaussians:
    """One field; what comes in the file's form becomes ours in place, a block at a time."""
    count, coefficients = told["count"], count_from_degree(told["degree"])
    matrix = world_from_stage @ torch.tensor(told["matrix"], dtype=torch.float64)
    linear.check_placement(path, matrix)
    widths = ((3,), (4,), (3,), (), (coefficients, 3))
    means, quats, scales, opacities, sh = (
        _array(stream, (count, *width), path) for width in widths
    )
    for block in linear.blocks(count):
        part = linear.placed(
            Gaussians(
                means=torch.from_numpy(means[block]),
                quats=torch.from_numpy(quats[block])[:, (3, 0, 1, 2)],
                log_scales=linear.log_scales_of(scales[block]),
                logit_opacities=linear.logits_of(opacities[block]),
                sh=torch.from_numpy(sh[block]),
            ),
            matrix,
        )
        means[block], quats[block] = part.means.numpy(), part.quats.numpy()
        scales[block], opacities[block] = part.log_scales.numpy(), part.logit_opacities.numpy()
        sh[block] = part.sh.numpy()
    return Gaussians(
        means=torch.from_numpy(means),
        quats=torch.from_numpy(quats),
        log_scales=torch.from_numpy(scales),
        logit_opacities=torch.from_numpy(opacities),
        sh=linear.sh_in_srgb(torch.from_numpy(sh), told["color_space"] or linear.SRGB, path),
        antialiased=told["antialiased"],
    )


@contextmanager
def _reader(path: Path) -> Iterator[IO[bytes]]:
    """The output of the process that reads a file; it ends with the block or after its time."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise SplatkitError(f"{path}: cannot be read ({error.strerror or error})") from error
    child = subprocess.Popen(
        # -P keeps the names of our modules out of the way of others.
        [sys.executable, "-P", str(_READER), str(path.resolve())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # Ctrl-C in the terminal is ours alone to answer.
        start_new_session=os.name == "posix",
    )
    clock = threading.Timer(_SECONDS + _SECONDS_PER_BYTE * size, child.kill)
    clock.daemon = True
    clock.start()
    assert child.stdout is not None
    try:
        yield child.stdout
    finally:
        clock.cancel()
        child.kill()
        child.stdout.close()
        child.wait()


def _heading(stream: IO[bytes], path: Path) -> dict[str, Any]:
    line = stream.readline()
    try:
        told = json.loads(line)
    except ValueError as error:
        raise packing.damaged(path, "it ends or hangs OpenUSD's reader") from error
    if "error" in told:
        raise packing.damaged(path, told["error"])
    return told


def _array(stream: IO[bytes], shape: tuple[int, ...], path: Path) -> Floats:
    array = np.empty(shape, np.float32)
    room = array.reshape(-1).view(np.uint8).data
    done = 0
    while done < len(room):
        step = stream.readinto(room[done:])  # pyright: ignore[reportAttributeAccessIssue]
        if not step:
            raise packing.damaged(path, "it ends OpenUSD's reader")
        done += step
    return array
