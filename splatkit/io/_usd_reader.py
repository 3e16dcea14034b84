"""Reading OpenUSD in a process of its own, run by its file name with the path of a file.

The library's parsers end the process they run in when some bytes of a file are wrong, so this is
not the user's. To the standard output goes one line of JSON: ``{"error": TEXT}``, or the stage's
facts and a list of particle fields; then the numbers of each field, float32, in the order of
``COLUMNS``, nothing between them. It imports nothing of splatkit: it starts in a moment and needs
no torch in its memory.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

# By name, as the library's modules tell type checkers nothing of what is in them.
Sdf, Usd, UsdGeom, UsdVol = map(import_module, ("pxr.Sdf", "pxr.Usd", "pxr.UsdGeom", "pxr.UsdVol"))

COLUMNS: tuple[tuple[str, int, tuple[float, ...]], ...] = (
    ("positions", 3, (0.0, 0.0, 0.0)),
    ("orientations", 4, (0.0, 0.0, 0.0, 1.0)),
    ("scales", 3, (1.0, 1.0, 1.0)),
    ("opacities", 1, (1.0,)),
)
"""Attribute, numbers a particle (quaternions xyzw), and what the schema takes where it has none;
the harmonics follow."""
HARMONICS = "radiance:sphericalHarmonicsCoefficients"

_MAX_LAYERS = 64
_MAX_PRIMS = 100_000
_MAX_DEGREE = 4
_BLOCK = 1 << 18
_FREE_BYTES = 4 << 30
_BYTES_PER_BYTE = 60
"""Text takes so many times its size in memory."""


class RefusedError(Exception):
    """The file is not what it should be."""


def main(path: str) -> None:
    """Print what is in the file."""
    _limit_memory(Path(path).stat().st_size)
    out = sys.stdout.buffer
    try:
        size = _check_layers(path)
        stage = Usd.Stage.Open(path)
        if not stage:
            raise RefusedError("it is no OpenUSD stage")
        fields = [_Field(prim) for prim in _splats(stage)]
        told = _facts(stage) | {"bytes": size, "fields": [field.told for field in fields]}
    except Exception as error:  # Everything is told to the process that waits for it.
        kind = "" if isinstance(error, RefusedError) else f"{type(error).__name__}: "
        out.write(json.dumps({"error": f"{kind}{error}"[:500]}).encode() + b"\n")
        out.flush()
        return
    out.write(json.dumps(told).encode() + b"\n")
    for field in fields:
        for array in field.arrays:
            for start in range(0, len(array), _BLOCK):
                out.write(np.ascontiguousarray(array[start : start + _BLOCK], np.float32).data)
    out.flush()


def _limit_memory(size: int) -> None:
    """A damaged count may ask for any amount; where the system can, it gets an error instead."""
    if sys.platform != "linux":
        return
    import resource

    limit = _FREE_BYTES + _BYTES_PER_BYTE * size
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        limit = min(limit, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))


def _check_layers(path: str) -> int:
    """Bytes of all layers; those that reach out of the file's folder or package are refused."""
    size, waiting, seen = Path(path).stat().st_size, [path], {path}
    while waiting:
        layer = Sdf.Layer.FindOrOpen(waiting.pop())
        if not layer:
            raise RefusedError("it cannot be opened as OpenUSD")
        _check_clips(layer)
        for asset in layer.GetCompositionAssetDependencies():
            place = str(asset).replace("\\", "/")
            if place.startswith("/") or ".." in place.split("/") or set(place) & set(":[]<>"):
                raise RefusedError(
                    f"expected layers in its own folder, got a reference to {place[:80]!r}"
                )
            inner = layer.ComputeAbsolutePath(asset)
            if inner not in seen:
                seen.add(inner)
                waiting.append(inner)
                size += Path(inner).stat().st_size if Path(inner).is_file() else 0
        if len(seen) > _MAX_LAYERS:
            raise RefusedError(f"it has more than {_MAX_LAYERS} layers")
    return size


def _check_clips(layer: Any) -> None:
    """Clips name files that are opened when a value is asked for: no scene of splats has any."""
    number = 0

    def visit(path: Any) -> None:
        nonlocal number
        number += 1
        if number > _MAX_PRIMS:
            raise RefusedError(f"it has more than {_MAX_PRIMS} entries")
        if path.IsPrimPath() and layer.GetPrimAtPath(path).HasInfo("clips"):
            raise RefusedError("it has value clips, which are not read")

    layer.Traverse(Sdf.Path.absoluteRootPath, visit)


def _facts(stage: Any) -> dict[str, Any]:
    authored = UsdGeom.StageHasAuthoredMetersPerUnit(stage)
    layer = stage.GetRootLayer()
    return {
        "up": str(UsdGeom.GetStageUpAxis(stage)),
        "meters_per_unit": UsdGeom.GetStageMetersPerUnit(stage) if authored else None,
        "producer": str(layer.customLayerData.get("creator", "") or layer.comment)[:200],
    }


def _splats(stage: Any) -> Iterator[Any]:
    """The particle fields that are shown, those in instances included."""
    for prim in Usd.PrimRange.Stage(stage, Usd.TraverseInstanceProxies()):
        if prim.IsA(UsdVol.ParticleField) and (
            UsdGeom.Imageable(prim).ComputeVisibility() != UsdGeom.Tokens.invisible
        ):
            if not prim.HasAPI(UsdVol.ParticleFieldKernelGaussianEllipsoidAPI):
                raise RefusedError(f"expected Gaussian ellipsoids, {prim.GetPath()} has others")
            yield prim


class _Field:
    """One particle field: what is said of it in JSON, and its numbers."""

    def __init__(self, prim: Any) -> None:
        positions = _values(prim, "positions", 3)
        count = 0 if positions is None else len(positions)
        self.arrays: list[np.ndarray] = []
        for name, width, default in COLUMNS:
            array = _values(prim, name, width)
            if array is None or len(array) < count:
                # The schema: too short is as if it were not there, too long is cut.
                array = np.broadcast_to(np.array(default, np.float32), (count, width))
            self.arrays.append(array[:count])
        degree = _at(prim, "radiance:sphericalHarmonicsDegree")
        degree = 3 if degree is None else int(degree)
        if not 0 <= degree <= _MAX_DEGREE:
            raise RefusedError(f"expected harmonics of degree 0 to {_MAX_DEGREE}, got {degree}")
        coefficients = (degree + 1) ** 2
        sh = _values(prim, HARMONICS, 3)
        if sh is None or len(sh) < count * coefficients:
            degree, coefficients = (0, 1) if count else (degree, coefficients)
            sh = np.zeros((count, 3), np.float32)
        self.arrays.append(sh[: count * coefficients])
        matrix = UsdGeom.Xformable(prim).ComputeLocalToWorldTransform(Usd.TimeCode.EarliestTime())
        space = Usd.ColorSpaceAPI.ComputeColorSpaceName(prim, None)
        self.told = {
            "count": count,
            "degree": degree,
            # USD multiplies rows from the left; JSON has the transpose.
            "matrix": [[matrix[row][column] for row in range(4)] for column in range(4)],
            "color_space": str(space),
            "antialiased": bool(prim.GetCustomDataByKey("antialiased")),
            "half": any(array.dtype == np.float16 for array in self.arrays),
        }


def _at(prim: Any, name: str) -> Any:
    attribute = prim.GetAttribute(name)
    return attribute.Get(Usd.TimeCode.EarliestTime()) if attribute else None


def _values(prim: Any, name: str, width: int) -> np.ndarray | None:
    """[n, width] float32 or float16, the wider where there are both; None where there is none."""
    value = _at(prim, name)
    value = _at(prim, f"{name}h") if value is None or len(value) == 0 else value
    return None if value is None else np.asarray(value).reshape(-1, width)


if __name__ == "__main__":
    main(sys.argv[1])
