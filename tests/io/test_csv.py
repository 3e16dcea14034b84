"""Tables of text: the columns, every digit, and what is no table."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splatkit.core import SplatkitError
from splatkit.io import csv, info, read_gaussians, write_gaussians
from tests.io.format_cases import scene, survives

NAMES = [
    *("x", "y", "z", "rot_0", "rot_1", "rot_2", "rot_3", "scale_0", "scale_1", "scale_2"),
    *("opacity", "f_dc_0", "f_dc_1", "f_dc_2"),
]
ROW = "1,2,3,1,0,0,0,-1,-2,-3,0.5,.1,.2,.3"


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**31), count=st.integers(0, 50), degree=st.integers(0, 4))
def test_nothing_is_lost(tmp_path, seed, count, degree):
    written = scene(count, degree, seed)
    # Numbers of all sizes that float32 knows, the smallest included.
    sizes = torch.linspace(-44, 30, count)[:, None, None]
    written = replace(written, sh=written.sh * 10.0**sizes)
    write_gaussians(written, tmp_path / "a.csv")
    read = read_gaussians(tmp_path / "a.csv")
    for name, tensor in written.parameters().items():
        assert torch.equal(getattr(read, name), tensor), name


def test_the_columns_are_named_like_those_of_a_ply(tmp_path):
    written = scene(2, 1)
    write_gaussians(written, tmp_path / "a.csv")
    first, *rows = (tmp_path / "a.csv").read_text().splitlines()
    assert first.split(",") == [*NAMES, *(f"f_rest_{i}" for i in range(9))]
    assert len(rows) == 2
    row = [float(word) for word in rows[0].split(",")]
    assert row[:3] == pytest.approx(written.means[0].tolist())
    assert row[-9:] == pytest.approx(written.sh[0, 1:].T.flatten().tolist())


def test_blocks_end_between_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(csv, "_BLOCK_BYTES", 1000)
    written = scene(100, 2)
    write_gaussians(written, tmp_path / "a.csv")
    assert torch.equal(read_gaussians(tmp_path / "a.csv").sh, written.sh)


def test_tables_of_other_programs(tmp_path):
    path = tmp_path / "a.csv"
    names = ['"opacity"', *reversed(NAMES), "nx", "label"]
    names.remove("opacity")
    row = ["2", *reversed(ROW.split(","))]
    del row[names.index("f_dc_0") + 1]
    path.write_bytes(
        "\r\n".join(["\ufeff" + ", ".join(names), ",".join([*row, "9", "7"]), ""]).encode()
    )
    read = read_gaussians(path)
    assert read.means.tolist() == [[1, 2, 3]]
    assert read.quats.tolist() == [[1, 0, 0, 0]]
    assert read.logit_opacities.tolist() == [2]
    assert {name: values.tolist() for name, values in read.extra.items()} == {"label": [7]}
    assert info(path)["extra"] == {"label": []}


def test_broken_rows_are_left_out(tmp_path):
    rows = [ROW, ROW.replace("-1,", "NaN,"), ROW.replace("1,2,", "Infinity,2,"), ROW]
    (tmp_path / "a.csv").write_text("\n".join([",".join(NAMES), *rows]))
    with pytest.warns(UserWarning, match="2 of 4 Gaussians"):
        assert len(read_gaussians(tmp_path / "a.csv")) == 2


def test_what_goes_is_named(tmp_path):
    written = scene(3, antialiased=True)
    written.extra["label"] = torch.arange(3)
    with pytest.warns(UserWarning, match=r"CSV does not hold the columns label and the mark"):
        write_gaussians(written, tmp_path / "a.csv")


@pytest.mark.parametrize(("text", "message"), [
    ("", "got none named x, y, z, rot_0"),
    ("a,b\n1,2\n", "got none named x, y, z, rot_0"),
    (",".join([*NAMES, "x"]), "expected each column once"),
    (",".join([*NAMES, "f_rest_0"]), "0, 9, 24, 45 or 72 named f_rest, got 1"),
    (",".join([*NAMES, *(f"f_rest_{i + 1}" for i in range(9))]), "got 9"),
    (f"{','.join(NAMES)}\n{ROW}\n{ROW},5\n", "line 3: expected 14 numbers, got 15"),
    (f"{','.join(NAMES)}\n{ROW}\n\n{ROW}\n", "line 3: expected 14 numbers, got 1"),
    (f"{','.join(NAMES)}\n{ROW}\n{ROW.replace('0.5', 'half')}\n", "lines 2 to 3: not all are num"),
    (f"{','.join(NAMES)}\n{ROW.replace('0.5', '')}\n", "not all are numbers"),
    (f"{','.join(NAMES)}\n{ROW.replace('0.5', '0.5 6')}\n", "not all are numbers"),
])  # fmt: skip
def test_faults_are_named(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(SplatkitError, match=message) as caught:
        read_gaussians(tmp_path / "a.csv")
    assert "\n" not in str(caught.value)


def test_damaged_files(tmp_path):
    path = tmp_path / "a.csv"
    write_gaussians(scene(30, 1), path)
    assert 20 < survives(csv.read, path, path.read_bytes(), 100) < 100
