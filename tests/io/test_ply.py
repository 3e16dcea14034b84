"""The standard PLY: layout as tools write it, hostile files, broken rows."""

import re
import time
import warnings

import numpy as np
import pytest
import torch

from splatkit.core import Gaussians, SplatkitError, UsageError
from splatkit.core.sh import rgb_from_sh
from splatkit.io import info, read_gaussians, write_gaussians


def make(count=7, degree=3, seed=0, **fields):
    generator = torch.Generator().manual_seed(seed)
    k = (degree + 1) ** 2

    def random(*shape):
        return torch.randn(*shape, generator=generator)

    return Gaussians(
        random(count, 3), random(count, 4), random(count, 3), random(count), random(count, k, 3),
        **fields,
    )  # fmt: skip


def same(a, b):
    assert a.antialiased == b.antialiased
    for name, tensor in a.parameters().items():
        assert torch.equal(tensor, b.parameters()[name]), name


def header_and_body(path):
    head, body = path.read_bytes().split(b"end_header\n", 1)
    return head.decode() + "end_header\n", body


@pytest.mark.parametrize("degree", range(5))
@pytest.mark.parametrize("count", [0, 1, 7])
def test_round_trip_is_exact(tmp_path, degree, count):
    scene = make(count, degree, antialiased=degree % 2 == 1)
    write_gaussians(scene, tmp_path / "a.ply")
    same(scene, read_gaussians(tmp_path / "a.ply"))


def test_layout_is_the_standard_one(tmp_path):
    scene = make(2, 1)
    write_gaussians(scene, tmp_path / "a.ply")
    head, body = header_and_body(tmp_path / "a.ply")
    names = re.findall(r"property float (\S+)", head)
    rest = [f"f_rest_{i}" for i in range(9)]
    assert names[:9] == ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
    assert names[9:18] == rest
    assert names[18:] == ["opacity"] + [f"scale_{i}" for i in range(3)] + [
        f"rot_{i}" for i in range(4)
    ]
    assert "format binary_little_endian 1.0\n" in head
    rows = np.frombuffer(body, "<f4").reshape(2, len(names))
    # Channel-major: the three degree-1 coefficients of red come first.
    assert np.array_equal(rows[:, 9:12], scene.sh[:, 1:4, 0].numpy())
    assert np.array_equal(rows[:, 15:18], scene.sh[:, 1:4, 2].numpy())
    assert np.array_equal(rows[:, -4:], scene.quats.numpy())


def test_files_of_other_tools(tmp_path):
    """Columns in any order, doubles, big-endian, ASCII, CRLF, columns we do not know."""
    names = "opacity rot_0 rot_1 rot_2 rot_3 x y z f_dc_0 f_dc_1 f_dc_2 scale_0 scale_1 scale_2"
    values = np.arange(28, dtype=np.float64).reshape(2, 14) / 8
    head = "ply\nformat {}\ncomment antialiased 1\nelement vertex 2\n" + "".join(
        f"property {{}} {name}\n" for name in names.split()
    )
    files = {
        "big.ply": (
            head.format("binary_big_endian 1.0", *["double"] * 14) + "end_header\n"
        ).encode() + values.astype(">f8").tobytes(),
        "text.ply": (
            head.format("ascii 1.0", *["float"] * 14) + "end_header\n"
            + "\n".join(" ".join(map(str, row)) for row in values) + "\n"
        ).encode(),
    }  # fmt: skip
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        scene = read_gaussians(tmp_path / name)
        assert scene.antialiased
        assert scene.sh_degree == 0
        assert torch.equal(scene.logit_opacities, torch.tensor(values[:, 0]).float())
        assert torch.equal(scene.means, torch.tensor(values[:, 5:8]).float())
        assert torch.equal(scene.log_scales, torch.tensor(values[:, 11:]).float())


def test_plain_colours_stand_for_harmonics(tmp_path):
    names = [*"xyz", "opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    for kind, values, dtype in (
        ("uchar", (255, 51, 0), "u1"),
        ("float", (1.0, 0.2, 0.0), "<f4"),
    ):
        fields = [(name, "<f4") for name in names]
        fields += [(name, dtype) for name in ("red", "green", "blue")]
        rows = np.ones(3, fields)
        for name, value in zip(("red", "green", "blue"), values, strict=True):
            rows[name] = value
        head = "ply\nformat binary_little_endian 1.0\nelement vertex 3\n"
        head += "".join(f"property float {name}\n" for name in names)
        head += "".join(f"property {kind} {name}\n" for name in ("red", "green", "blue"))
        (tmp_path / "a.ply").write_bytes(f"{head}end_header\n".encode() + rows.tobytes())
        read = read_gaussians(tmp_path / "a.ply")
        assert (read.sh_degree, read.extra) == (0, {})
        expected = torch.tensor([1.0, 0.2, 0.0]).expand(3, 3)
        torch.testing.assert_close(rgb_from_sh(read.sh[:, 0]), expected)


def test_extra_columns_survive(tmp_path):
    extra = {
        "roughness": torch.rand(5),
        "albedo": torch.rand(5, 3),
        "one": torch.rand(5, 1),
        "label": torch.tensor([1, 2, 3, -4, 2**31 - 1]),
    }
    write_gaussians(make(5, 2, extra=extra), tmp_path / "a.ply")
    back = read_gaussians(tmp_path / "a.ply").extra
    assert sorted(back) == sorted(extra)
    for name, tensor in extra.items():
        assert torch.equal(tensor, back[name]), name


def test_extra_that_a_ply_cannot_hold_is_refused(tmp_path):
    clash, space = {"scale": torch.rand(3, 3)}, {"a b": torch.rand(3)}
    for extra in (clash, space, {"id": torch.full((3,), 2**40)}):
        with pytest.raises(SplatkitError, match="extra"):
            write_gaussians(make(3, 0, extra=extra), tmp_path / "a.ply")
    assert not list(tmp_path.iterdir())


def test_broken_rows_are_left_out_and_counted(tmp_path):
    scene = make(6, 1)
    scene.means[0, 1] = torch.nan
    scene.sh[1, 2, 0] = torch.inf
    scene.log_scales[2, 0] = 60.0
    scene.logit_opacities[3] = torch.inf  # what tools write for an opacity of 1
    write_gaussians(scene, tmp_path / "a.ply")
    with pytest.warns(UserWarning, match=r"a\.ply: 3 of 6 Gaussians hold NaN"):
        back = read_gaussians(tmp_path / "a.ply")
    assert torch.equal(back.means, scene.means[3:])
    assert float(back.opacities[0]) > 0.999999
    assert info(tmp_path / "a.ply")["not_finite"] == 3


def test_info(tmp_path):
    scene = make(4, 2, antialiased=True)
    scene.logit_opacities[:] = torch.tensor([-9.0, 0, 1, 2])
    write_gaussians(scene, tmp_path / "a.ply")
    said = info(tmp_path / "a.ply")
    assert said["num_gaussians"] == 4
    assert said["sh_degree"] == 2
    assert said["antialiased"] is True
    assert said["nearly_transparent"] == 1
    assert said["bounds"]["min"] == scene.means.amin(0).tolist()
    assert said["bytes"] == (tmp_path / "a.ply").stat().st_size


def test_hostile_files_give_one_line_with_the_name(tmp_path):
    good = tmp_path / "good.ply"
    write_gaussians(make(10, 1), good)
    head, body = header_and_body(good)
    whole = good.read_bytes()
    cases = {
        "empty": b"",
        "only magic": b"ply\n",
        "cut in the header": whole[:100],
        "cut in the data": whole[:-1],
        "absurd count": (head.replace("vertex 10", "vertex 99999999999999")).encode() + body,
        "negative count": (head.replace("vertex 10", "vertex -3")).encode() + body,
        "count of words": (head.replace("vertex 10", "vertex ten")).encode() + body,
        "no opacity": (head.replace("property float opacity\n", "")).encode() + body,
        "integer positions": (head.replace("float x\n", "int x\n")).encode() + body,
        "list": (head.replace("float x\n", "list uchar float x\n")).encode() + body,
        "unknown type": (head.replace("float x\n", "quad x\n")).encode() + body,
        "same column twice": (head.replace("float y\n", "float x\n")).encode() + body,
        "seven f_rest": (head.replace("f_rest_8", "q").replace("f_rest_7", "r")).encode() + body,
        "hole in f_rest": (head.replace("f_rest_3\n", "f_rest_30\n")).encode() + body,
        "empty element": (head.replace("end_header", "element n 5\nend_header")).encode() + body,
        "not a ply": b"hello" * 100,
    }
    for name, data in cases.items():
        path = tmp_path / "bad.ply"
        path.write_bytes(data)
        with pytest.raises(SplatkitError, match=r"bad\.ply: ") as caught:
            read_gaussians(path)
        assert "\n" not in str(caught.value), name


def test_missing_file_and_unknown_suffix(tmp_path):
    with pytest.raises(SplatkitError, match="cannot be read"):
        read_gaussians(tmp_path / "none.ply")
    with pytest.raises(UsageError, match=r"\.ply"):
        write_gaussians(make(), tmp_path / "a.obj")


def test_two_hundred_thousand_splats_take_a_moment(tmp_path):
    scene = make(200_000, 3)
    start = time.perf_counter()
    write_gaussians(scene, tmp_path / "a.ply")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back = read_gaussians(tmp_path / "a.ply")
    assert time.perf_counter() - start < 60  # a loop over rows would take minutes
    same(scene, back)


def test_two_scales_are_flat_gaussians(tmp_path):
    original = make(50, 1)
    write_gaussians(original, tmp_path / "a.ply")
    head, body = header_and_body(tmp_path / "a.ply")
    rows = np.frombuffer(body, "<f4").reshape(50, -1)
    names = re.findall(r"property float (\S+)", head)
    kept = np.delete(rows, names.index("scale_2"), 1)
    head = head.replace("property float scale_2\n", "")
    (tmp_path / "a.ply").write_bytes(head.encode() + kept.tobytes())
    with pytest.warns(UserWarning, match="two scales .*read as flat ones"):
        read = read_gaussians(tmp_path / "a.ply")
    assert torch.equal(read.scales[:, :2], original.scales[:, :2])
    thin = original.scales[:, :2].amin(1) / 100
    assert torch.allclose(read.scales[:, 2], thin, rtol=1e-5)
    for name in ("means", "quats", "logit_opacities", "sh"):
        assert torch.equal(getattr(read, name), getattr(original, name)), name
    assert read.extra == {}
    assert any("two scales" in text for text in info(tmp_path / "a.ply")["warnings"])
