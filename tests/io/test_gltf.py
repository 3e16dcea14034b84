"""glTF with KHR_gaussian_splatting: the layout by hand, nodes, other storage, and hostile files."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from splatkit.core import Gaussians, SplatkitError
from splatkit.core.sh import basis, rgb_from_sh, sh_from_rgb
from splatkit.core.srgb import linear_of_srgb
from splatkit.core.transforms import (
    covariance_from_scale_rotation,
    quat_from_rotation,
    rotation_from_quat,
)
from splatkit.io import gltf, info, read_gaussians, spz, write_gaussians
from tests.io.format_cases import close, same_rotations, scene

NAMES = {"f4": 5126, "u1": 5121, "u2": 5123, "i1": 5120, "i2": 5122}
KINDS = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}
TURN = torch.diag(torch.tensor([-1.0, -1.0, 1.0], dtype=torch.float64))


def document(columns: dict[str, np.ndarray], normalized: tuple[str, ...] = (), **more):
    """A glTF of one primitive, written from the specification's words; and its data."""
    data, views, accessors, attributes = b"", [], [], {}
    for name, array in columns.items():
        raw = np.ascontiguousarray(array).tobytes()
        views.append({"buffer": 0, "byteOffset": len(data), "byteLength": len(raw)})
        accessors.append({
            "bufferView": len(views) - 1, "componentType": NAMES[array.dtype.str[1:]],
            "count": len(array), "type": KINDS[array.shape[1]], "normalized": name in normalized,
        })  # fmt: skip
        attributes[name] = len(views) - 1
        data += raw + b"\0" * (-len(raw) % 4)
    told = {
        "asset": {"version": "2.0"},
        "extensionsUsed": ["KHR_gaussian_splatting"],
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{
            "attributes": attributes, "mode": 0,
            "extensions": {"KHR_gaussian_splatting": {
                "kernel": "ellipse", "colorSpace": "srgb_rec709_display"}},
        }]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(data)}],
    }  # fmt: skip
    return told | more, data


def glb(told: dict, data: bytes) -> bytes:
    text = json.dumps(told).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
    chunks += struct.pack("<II", len(data), 0x004E4942) + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def columns(count: int = 2, degree: int = 0) -> dict[str, np.ndarray]:
    chance = np.random.default_rng(0)
    quats = chance.normal(size=(count, 4))
    out = {
        "POSITION": chance.normal(size=(count, 3)),
        "KHR_gaussian_splatting:ROTATION": quats / np.linalg.norm(quats, axis=1, keepdims=True),
        "KHR_gaussian_splatting:SCALE": chance.uniform(0.1, 1, (count, 3)),
        "KHR_gaussian_splatting:OPACITY": chance.uniform(0.1, 0.9, (count, 1)),
    }
    for d in range(degree + 1):
        for n in range(2 * d + 1):
            out[f"KHR_gaussian_splatting:SH_DEGREE_{d}_COEF_{n}"] = chance.normal(size=(count, 3))
    return {name: array.astype("<f4") for name, array in out.items()}


def attributes(path: Path) -> dict[str, np.ndarray]:
    """All accessors of a one-primitive GLB, parsed here and not by the reader under test."""
    whole = path.read_bytes()
    (length,) = struct.unpack_from("<I", whole, 12)
    told = json.loads(whole[20 : 20 + length])
    data = whole[28 + length :]
    out = {}
    for name, index in told["meshes"][0]["primitives"][0]["attributes"].items():
        accessor = told["accessors"][index]
        view = told["bufferViews"][accessor["bufferView"]]
        dtype = {code: np.dtype(f"<{key}") for key, code in NAMES.items()}
        width = {kind: number for number, kind in KINDS.items()}[accessor["type"]]
        array = np.frombuffer(
            data,
            dtype[accessor["componentType"]],
            accessor["count"] * width,
            view.get("byteOffset", 0) + accessor.get("byteOffset", 0),
        )
        out[name] = array.reshape(-1, width)
    return out


def spec_color(sh: np.ndarray, x: float, y: float, z: float) -> np.ndarray:
    """The colour by the specification's own formula; sh is [N,16,3] in the order of attributes."""
    terms = [
        0.2820947917738781, -0.4886025119029199 * y, 0.4886025119029199 * z,
        -0.4886025119029199 * x, 1.092548430592079 * x * y, -1.092548430592079 * y * z,
        0.3153915652525200 * (2 * z * z - x * x - y * y), -1.092548430592079 * x * z,
        0.5462742152960395 * (x * x - y * y), -0.5900435899266435 * y * (3 * x * x - y * y),
        2.890611442640554 * x * y * z, -0.4570457994644657 * y * (4 * z * z - x * x - y * y),
        0.3731763325901154 * z * (2 * z * z - 3 * x * x - 3 * y * y),
        -0.4570457994644657 * x * (4 * z * z - x * x - y * y),
        1.445305721320277 * z * (x * x - y * y),
        -0.5900435899266435 * x * (x * x - 3 * y * y),
    ]  # fmt: skip
    return np.einsum("k,nkc->nc", np.array(terms), sh) + 0.5


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
def test_round_trip(tmp_path, suffix, degree):
    path = tmp_path / f"a{suffix}"
    written = scene(300, degree, antialiased=degree == 2)
    write_gaussians(written, path)
    read = read_gaussians(path)
    assert torch.equal(read.means, written.means)
    assert torch.equal(read.sh, written.sh)
    assert read.antialiased == written.antialiased
    same_rotations(read.quats, written.quats, 1e-6)
    close(read.log_scales, written.log_scales, 1e-6)
    close(read.logit_opacities, written.logit_opacities, 1e-4)


def test_every_attribute_is_what_the_specification_says(tmp_path):
    path = tmp_path / "a.glb"
    written = scene(50, 3)
    write_gaussians(written, path)
    stored = attributes(path)
    assert np.array_equal(stored["POSITION"], written.means.numpy() * (-1, -1, 1))
    scales = stored["KHR_gaussian_splatting:SCALE"]
    x, y, z, w = torch.from_numpy(stored["KHR_gaussian_splatting:ROTATION"].copy()).unbind(1)
    quats = torch.stack((w, x, y, z), 1)
    close(quats.norm(dim=1), torch.ones(50), 1e-6)
    covariances = covariance_from_scale_rotation(written.scales, written.quats).double()
    close(
        covariance_from_scale_rotation(torch.from_numpy(scales.copy()), quats),
        TURN @ covariances @ TURN,
        1e-6,
    )
    close(
        torch.from_numpy(stored["KHR_gaussian_splatting:OPACITY"][:, 0].copy()),
        written.opacities,
        1e-6,
    )
    sh = np.stack([a for name, a in stored.items() if ":SH_DEGREE_" in name], 1)
    assert list(stored)[-16:] == [
        f"KHR_gaussian_splatting:SH_DEGREE_{d}_COEF_{n}" for d in range(4) for n in range(2 * d + 1)
    ]
    direction = torch.tensor([0.36, -0.48, 0.8], dtype=torch.float64)
    seen = torch.einsum("k,nkc->nc", basis(3, direction), written.sh.double()) + 0.5
    close(torch.from_numpy(spec_color(sh, *(TURN @ direction).tolist())), seen, 1e-5)


def test_plain_points_have_linear_colors(tmp_path):
    rgb = torch.tensor([[0.5, 0.0, 1.0], [0.6, 1.4, -0.3]])
    write_gaussians(replace_dc(scene(2, 0), sh_from_rgb(rgb)), tmp_path / "a.glb")
    stored = attributes(tmp_path / "a.glb")
    # sRGB 0.5 is 21.4% of the light, 0.6 is 31.9%.
    assert stored["COLOR_0"][:, :3].tolist() == [[14027, 0, 65535], [20876, 65535, 0]]
    opacity = stored["KHR_gaussian_splatting:OPACITY"][:, 0]
    assert stored["COLOR_0"][:, 3].tolist() == np.round(opacity * 65535).tolist()


def replace_dc(gaussians: Gaussians, dc: torch.Tensor) -> Gaussians:
    gaussians.sh[:, 0] = dc
    return gaussians


def test_bounds_are_those_of_the_positions(tmp_path):
    write_gaussians(scene(20), tmp_path / "a.gltf")
    told = json.loads((tmp_path / "a.gltf").read_text())
    position = told["accessors"][0]
    means = scene(20).means * torch.tensor([-1.0, -1.0, 1.0])
    assert position["min"] == means.amin(0).tolist()
    assert position["max"] == means.amax(0).tolist()


def test_fewer_bits(tmp_path):
    stored = columns(2)
    quats = stored["KHR_gaussian_splatting:ROTATION"]
    stored["KHR_gaussian_splatting:ROTATION"] = np.round(quats * 127).astype("i1")
    stored["KHR_gaussian_splatting:SCALE"] = np.array([[1, 2, 3, 0], [0, 5, 6, 0]], "<u2")[:, :3]
    stored["KHR_gaussian_splatting:OPACITY"] = np.array([[0], [255]], "u1")
    packed = {k: pad_rows(v) for k, v in stored.items()}
    told, data = document(packed, ("KHR_gaussian_splatting:ROTATION",
                                   "KHR_gaussian_splatting:OPACITY"))  # fmt: skip
    for view, array in zip(told["bufferViews"], packed.values(), strict=True):
        view["byteStride"] = array.strides[0]
    for accessor, array in zip(told["accessors"], stored.values(), strict=True):
        accessor["type"] = KINDS[array.shape[1]]
    (tmp_path / "a.glb").write_bytes(glb(told, data))
    read = read_gaussians(tmp_path / "a.glb")
    close(read.scales[0].sort().values, torch.tensor([1.0, 2.0, 3.0]), 1e-6)
    assert float(read.scales[1].min()) < 1e-12
    close(read.opacities, torch.tensor([0.0, 1.0]), 1e-6)
    turned = TURN @ rotations(quats)
    same_rotations(read.quats, quat_from_rotation(turned), 0.03)
    assert info(tmp_path / "a.glb")["quantization"] == "opacity 8 bit, rotation 8 bit, scale 16 bit"


def pad_rows(array: np.ndarray) -> np.ndarray:
    """Rows widened to a multiple of four bytes, as glTF wants them (the stride stays known)."""
    width = -(-array.shape[1] * array.itemsize // 4) * 4 // array.itemsize
    out = np.zeros((len(array), width), array.dtype)
    out[:, : array.shape[1]] = array
    return out


def rotations(xyzw: np.ndarray) -> torch.Tensor:
    return rotation_from_quat(torch.from_numpy(xyzw[:, (3, 0, 1, 2)].astype(np.float64)))


def test_nodes_turn_scale_and_move(tmp_path):
    told, data = document(columns(3, 1))
    told["nodes"] = [
        {"children": [1], "translation": [1, 2, 3]},
        {"mesh": 0, "rotation": [0, 0.6, 0, 0.8], "scale": [2, 2, 2]},
        {"mesh": 0, "matrix": [1, 0, 0, 0, 0, 0, 1, 0, 0, -1, 0, 0, 5, 6, 7, 1]},
        {"mesh": 0},
    ]
    told["scenes"] = [{"nodes": [3]}, {"nodes": [0, 2]}]
    told["scene"] = 1
    (tmp_path / "a.glb").write_bytes(glb(told, data))
    read = read_gaussians(tmp_path / "a.glb").to(torch.float64)
    assert len(read) == 6
    stored = {k: torch.from_numpy(v.astype(np.float64)) for k, v in columns(3, 1).items()}
    turn = torch.tensor([[0.28, 0, 0.96], [0, 1, 0], [-0.96, 0, 0.28]], dtype=torch.float64)
    first = 2 * stored["POSITION"] @ turn.mT + torch.tensor([1.0, 2, 3])
    matrix = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=torch.float64)
    second = stored["POSITION"] @ matrix.mT + torch.tensor([5.0, 6, 7])
    close(read.means, torch.cat((first, second)) @ TURN, 1e-6)
    axes = rotations(columns(3, 1)["KHR_gaussian_splatting:ROTATION"])
    axes = axes * stored["KHR_gaussian_splatting:SCALE"][:, None]
    covariance = TURN @ (2 * turn @ axes) @ (2 * turn @ axes).mT @ TURN
    close(covariance_from_scale_rotation(read.scales[:3], read.quats[:3]), covariance, 1e-6)


def test_a_stretched_node_stretches_the_ellipsoids(tmp_path):
    told, data = document(columns(5, 2))
    told["nodes"][0] |= {"scale": [1, 2, 5], "rotation": [0, 0, 0.6, 0.8]}
    (tmp_path / "a.glb").write_bytes(glb(told, data))
    read = read_gaussians(tmp_path / "a.glb").to(torch.float64)
    turn = torch.tensor([[0.28, -0.96, 0], [0.96, 0.28, 0], [0, 0, 1]], dtype=torch.float64)
    whole = TURN @ turn @ torch.diag(torch.tensor([1.0, 2, 5], dtype=torch.float64))
    axes = rotations(columns(5, 2)["KHR_gaussian_splatting:ROTATION"])
    axes = whole @ (
        axes * torch.from_numpy(columns(5, 2)["KHR_gaussian_splatting:SCALE"])[:, None].double()
    )
    close(covariance_from_scale_rotation(read.scales, read.quats), axes @ axes.mT, 1e-5)


def test_data_in_other_places(tmp_path):
    told, data = document(columns(4, 1))
    (tmp_path / "a.glb").write_bytes(glb(told, data))
    wanted = read_gaussians(tmp_path / "a.glb")
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "my file.bin").write_bytes(data + b"more")
    head = "data:application/octet-stream;base64,"
    for uri in ("data/deep/my%20file.bin", head + base64.b64encode(data).decode()):
        told["buffers"][0]["uri"] = uri
        (tmp_path / "a.gltf").write_text(json.dumps(told))
        assert torch.equal(read_gaussians(tmp_path / "a.gltf").sh, wanted.sh)
    assert info(tmp_path / "a.gltf")["bytes"] == (tmp_path / "a.gltf").stat().st_size


@pytest.mark.parametrize("name", [
    "../secret.bin", "%2e%2e/secret.bin", "..%2fsecret.bin", "/etc/hostname", "file:///etc/hostname",
    "https://example.org/a.bin", "..\\secret.bin", "C:\\a.bin", "//host/a.bin", "a.bin%00", "",
    "link/secret.bin", "a.gltf", "a" * 2000, "%ff%fe",
])  # fmt: skip
def test_nothing_outside_the_folder_is_opened(tmp_path, name):
    inner = tmp_path / "inner"
    inner.mkdir()
    told, data = document(columns(4))
    (tmp_path / "secret.bin").write_bytes(data)
    (inner / "link").symlink_to(tmp_path)
    told["buffers"][0]["uri"] = name
    (inner / "a.gltf").write_text(json.dumps(told))
    with pytest.raises(SplatkitError, match="only files in its own folder are opened"):
        read_gaussians(inner / "a.gltf")


def test_spz_inside(tmp_path):
    spz.write(scene(40, 2), tmp_path / "a.spz", version=3)
    inner = read_gaussians(tmp_path / "a.spz")
    packed = (tmp_path / "a.spz").read_bytes()
    for name in gltf.COMPRESSIONS:
        told, _ = document({})
        extension = told["meshes"][0]["primitives"][0]["extensions"]["KHR_gaussian_splatting"]
        extension["extensions"] = {name: {"bufferView": 0}}
        told["bufferViews"] = [{"buffer": 0, "byteLength": len(packed)}]
        told["buffers"] = [{"byteLength": len(packed)}]
        told["extensionsRequired"] = told["extensionsUsed"] = ["KHR_gaussian_splatting", name]
        told["nodes"][0]["translation"] = [1, 2, 3]
        (tmp_path / "a.glb").write_bytes(glb(told, packed))
        read = read_gaussians(tmp_path / "a.glb")
        close(read.means, inner.means + torch.tensor([-1.0, -2, 3]), 1e-6)
        close(read.sh, inner.sh, 1e-6)
        assert info(tmp_path / "a.glb")["quantization"] == "SPZ"


def test_linear_colors_are_converted(tmp_path):
    stored = columns(30, 1)
    rgb = torch.rand(30, 3, generator=torch.Generator().manual_seed(0))
    stored["KHR_gaussian_splatting:SH_DEGREE_0_COEF_0"] = (
        sh_from_rgb(linear_of_srgb(rgb)).numpy().astype("<f4")
    )
    told, data = document(stored)
    extension = told["meshes"][0]["primitives"][0]["extensions"]["KHR_gaussian_splatting"]
    extension["colorSpace"] = "lin_rec709_display"
    (tmp_path / "a.glb").write_bytes(glb(told, data))
    with pytest.warns(UserWarning, match="linear light"):
        read = read_gaussians(tmp_path / "a.glb")
    close(rgb_from_sh(read.sh[:, 0]), rgb, 1e-5)
    # A little more light from one side is the curve's slope times as much colour.
    side = stored["KHR_gaussian_splatting:SH_DEGREE_1_COEF_1"][:, 0]
    slope = (read.sh[:, 2, 0] / torch.from_numpy(side.copy())).double()
    grey = rgb[:, 0].double()
    step = 1e-6
    wanted = step / (linear_of_srgb(grey + step) - linear_of_srgb(grey))
    close(slope, wanted, 1e-3)
    extension["colorSpace"] = "acescg"
    (tmp_path / "a.glb").write_bytes(glb(told, data))
    with pytest.raises(SplatkitError, match="'acescg'"):
        read_gaussians(tmp_path / "a.glb")


def test_primitives_of_different_degrees(tmp_path):
    told, data = document(columns(3, 1))
    primitive = told["meshes"][0]["primitives"][0]
    bare = {name: i for name, i in primitive["attributes"].items() if "DEGREE_1" not in name}
    told["meshes"][0]["primitives"] += [primitive | {"attributes": bare}, {"attributes": {}}]
    (tmp_path / "a.glb").write_bytes(glb(told, data))
    read = read_gaussians(tmp_path / "a.glb")
    assert read.sh.shape == (6, 4, 3)
    assert bool((read.sh[3:, 1:] == 0).all())
    assert torch.equal(read.sh[3:, 0], read.sh[:3, 0])


def test_rewriting_keeps_other_files(tmp_path):
    path = tmp_path / "a.gltf"
    (tmp_path / "a.bin").write_bytes(b"precious")
    (tmp_path / "b-0123456789ab.bin").write_bytes(b"precious")
    write_gaussians(scene(5), path)
    first = {file.name for file in tmp_path.iterdir()}
    write_gaussians(scene(6), path)
    second = {file.name for file in tmp_path.iterdir()}
    assert len(first) == len(second) == 4
    assert len(first & second) == 3
    assert len(read_gaussians(path)) == 6
    write_gaussians(scene(6), path)
    assert {file.name for file in tmp_path.iterdir()} == second


def test_an_empty_scene(tmp_path):
    for name in ("a.glb", "a.gltf"):
        write_gaussians(scene(0), tmp_path / name)
        assert len(read_gaussians(tmp_path / name)) == 0
        assert info(tmp_path / name)["num_gaussians"] == 0


def faulty(**changes):
    """A good file with one thing in it changed by a path such as "nodes/0/mesh"."""
    told, data = document(columns(4, 1))
    for path, value in changes.items():
        *way, last = [int(step) if step.isdigit() else step for step in path.split("/")]
        place = told
        for step in way:
            place = place[step]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return glb(told, data)


ATTRIBUTES = "meshes/0/primitives/0/attributes"
EXTENSION = "meshes/0/primitives/0/extensions/KHR_gaussian_splatting"


@pytest.mark.parametrize(("changes", "message"), [
    ({"asset/version": "1.0"}, "expected a glTF file of version 2, got '1.0'"),
    ({f"{ATTRIBUTES}/POSITION": None}, "no POSITION"),
    ({f"{ATTRIBUTES}/KHR_gaussian_splatting:SH_DEGREE_1_COEF_2": None}, "SH_DEGREE_1_COEF_2"),
    ({f"{ATTRIBUTES}/KHR_gaussian_splatting:SH_DEGREE_0_COEF_0": 99}, "does not exist"),
    ({f"{ATTRIBUTES}/KHR_gaussian_splatting:SCALE": 1}, "expected VEC3, got VEC4"),
    ({f"{EXTENSION}/kernel": "box"}, "expected points of the kernel 'ellipse'.*'box'"),
    ({"meshes/0/primitives/0/mode": 4}, "got mode 4"),
    ({"accessors/0/count": 3}, "not of one length"),
    ({"accessors/0/count": 1 << 50}, "do not fit"),
    ({"accessors/0/count": -1}, "count is -1"),
    ({"accessors/0/count": True}, "count is True"),
    ({"accessors/0/byteOffset": 1 << 40}, "do not fit"),
    ({"accessors/0/sparse": {"count": 1}}, "is sparse"),
    ({"accessors/0/bufferView": None}, "no data of its own"),
    ({"accessors/0/componentType": 1}, "expected VEC3"),
    ({"bufferViews/0/byteLength": 1 << 40}, "bytes in a buffer"),
    ({"bufferViews/0/byteStride": 4}, "do not fit"),
    ({"bufferViews/0/extensions": {"EXT_meshopt_compression": {}}}, "EXT_meshopt_compression"),
    ({"bufferViews/0/buffer": 1}, "buffers.1. does not exist"),
    ({"buffers/0/byteLength": 1 << 40}, "expected 1099511627776 bytes"),
    ({"buffers/0/uri": 7}, "neither data nor a URI"),
    ({"buffers/0/uri": "data:;base64,!"}, "data URI"),
    ({"nodes/0/children": [0]}, "in the scene twice"),
    ({"nodes/0/mesh": "a"}, "does not exist"),
    ({"nodes/0/matrix": [0] * 16}, "flattens them"),
    ({"nodes/0/scale": [1, 1e300, 1]}, "flattens them or is not finite"),
    ({"nodes/0/scale": [1, 1]}, "scale is not 3 numbers"),
    ({"nodes/0/translation": [10**400, 1, 1]}, "translation is not 3 numbers"),
    ({"nodes": {}}, "nodes is not list"),
    ({"extensionsRequired": ["KHR_draco_mesh_compression"]}, "KHR_draco_mesh_compression"),
    ({"extensionsUsed": [], "nodes/0/mesh": None}, "without Gaussians"),
])  # fmt: skip
def test_faults_are_named(tmp_path, changes, message):
    path = tmp_path / "a.glb"
    path.write_bytes(faulty(**changes))
    with pytest.raises(SplatkitError, match=message) as caught:
        read_gaussians(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("data", "message"), [
    (b"glTF", "header of 20 bytes"),
    (struct.pack("<4sIIII", b"glTF", 1, 20, 0, 0), "expected version 2 of GLB, got 1"),
    (struct.pack("<4sIIII", b"glTF", 2, 99, 0, 0), "expected 99 bytes"),
    (struct.pack("<4sIIII", b"glTF", 2, 20, 0, 7), "first chunk is not JSON"),
    (struct.pack("<4sIIII", b"glTF", 2, 22, 2, 0x4E4F534A) + b"{[", "JSON cannot be read"),
    (struct.pack("<4sIIII", b"glTF", 2, 22, 2, 0x4E4F534A) + b"[]", "expected a glTF file"),
])  # fmt: skip
def test_broken_chunks_are_named(tmp_path, data, message):
    (tmp_path / "a.glb").write_bytes(data)
    with pytest.raises(SplatkitError, match=message):
        gltf.read(tmp_path / "a.glb")


def test_few_bytes_shown_by_many_nodes_are_refused(tmp_path):
    told, data = document(columns(20_000))
    told["nodes"] = [{"mesh": 0} for _ in range(5000)]
    told["scenes"] = [{"nodes": list(range(5000))}]
    (tmp_path / "a.glb").write_bytes(glb(told, data))
    with pytest.raises(SplatkitError, match=r"100 times|when unpacked"):
        read_gaussians(tmp_path / "a.glb")
