"""Libraries of others read our files; the numbers they find, drawn as points, show the sign.

Nothing here goes through a reader of splatkit: a file's own statement of its axes (glTF's
specification, the stage's ``upAxis``, the PLY layout's y down) decides how it is seen.
"""

from __future__ import annotations

import csv
import json
import math
import struct

import numpy as np
import plyfile
import pytest

from splatkit.io import write_gaussians
from tests.export.clouds import export
from tests.export.sign import DISTANCE, FOV, HEIGHT, WIDTH, picture_of, sign

C0 = 0.28209479177387814
VIEWS = {
    # Rows are the viewer's right, down and forward in the file's axes.
    "y down": np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
    "glTF": np.array([[-1, 0, 0], [0, -1, 0], [0, 0, 1]]),
    "z up": np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]),
}


def by_plyfile(path):
    rows = plyfile.PlyData.read(str(path))["vertex"]
    points = np.stack([rows[name] for name in "xyz"], 1)
    return points, 0.5 + C0 * np.stack([rows[f"f_dc_{i}"] for i in range(3)], 1), "y down"


def by_numpy(path):
    with np.load(path) as arrays:
        return arrays["means"], 0.5 + C0 * arrays["sh"][:, 0], "y down"


def by_csv(path):
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    points = np.array([[float(row[name]) for name in "xyz"] for row in rows])
    colors = np.array([[float(row[f"f_dc_{i}"]) for i in range(3)] for row in rows])
    return points, 0.5 + C0 * colors, "y down"


def by_hand(path):
    """The binary layout of glTF 2.0, section 4."""
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    told = json.loads(data[20 : 20 + length])
    body = data[28 + length :]
    attributes = told["meshes"][0]["primitives"][0]["attributes"]

    def array(name):
        accessor = told["accessors"][attributes[name]]
        assert (accessor["componentType"], accessor["type"]) == (5126, "VEC3")
        view = told["bufferViews"][accessor["bufferView"]]
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        return np.frombuffer(body, "<f4", 3 * accessor["count"], start).reshape(-1, 3)

    colors = 0.5 + C0 * array("KHR_gaussian_splatting:SH_DEGREE_0_COEF_0")
    return array("POSITION"), colors, "glTF"


def by_usd_core(path):
    pxr = pytest.importorskip("pxr.Usd", reason="usd-core is not installed")
    from pxr import UsdGeom

    stage = pxr.Stage.Open(str(path))
    assert UsdGeom.GetStageUpAxis(stage) == "Z"
    prim = next(p for p in stage.Traverse() if p.GetTypeName() == "ParticleField3DGaussianSplat")
    points = np.array(prim.GetAttribute("positions").Get())
    moved = UsdGeom.XformCache().GetLocalToWorldTransform(prim)
    points = np.concatenate((points, np.ones((len(points), 1))), 1) @ np.array(moved)
    name = "radiance:sphericalHarmonicsCoefficients"
    coefficients = np.array(prim.GetAttribute(name).Get()).reshape(len(points), -1, 3)
    return points[:, :3], 0.5 + C0 * coefficients[:, 0], "z up"


def drawn(points, colors, view):
    """[H,W,3] of points seen from in front of the sign by a pinhole camera."""
    right, down, forward = (np.asarray(points, float) @ VIEWS[view].T).T
    focal = 0.5 * HEIGHT / math.tan(math.radians(FOV) / 2)
    depth = forward + DISTANCE
    columns = np.round(focal * right / depth + WIDTH / 2 - 0.5).astype(int)
    rows = np.round(focal * down / depth + HEIGHT / 2 - 0.5).astype(int)
    page = np.zeros((HEIGHT, WIDTH, 3))
    for y in (-1, 0, 1):
        for x in (-1, 0, 1):
            page[rows + y, columns + x] = colors
    return page


@pytest.mark.parametrize(
    ("suffix", "read"),
    [(".ply", by_plyfile), (".npz", by_numpy), (".csv", by_csv), (".glb", by_hand),
     (".usdc", by_usd_core)],
)  # fmt: skip
def test_the_sign_reads_from_left_to_right(tmp_path, suffix, read):
    original = sign(0)
    write_gaussians(original, tmp_path / "sign.ply")
    if suffix == ".usdc":
        pytest.importorskip("pxr", reason="usd-core is not installed")
    export(tmp_path / "sign.ply", tmp_path / f"a{suffix}")
    theirs, ours = drawn(*read(tmp_path / f"a{suffix}")), picture_of(original)

    def error(picture):
        return float(np.mean((theirs - picture) ** 2))

    for wrong in (ours[:, ::-1], ours[::-1], ours[::-1, ::-1]):
        assert error(ours) < 0.5 * error(wrong)
