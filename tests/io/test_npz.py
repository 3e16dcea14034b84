"""NPZ: exact round trips, arrays of others, hostile archives."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splatkit.core import SplatkitError
from splatkit.io import info, npz, read_gaussians, write_gaussians
from tests.io.format_cases import scene, survives


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**31), count=st.integers(0, 40), degree=st.integers(0, 4))
def test_round_trip_is_exact(tmp_path, seed, count, degree):
    written = scene(count, degree, seed, antialiased=seed % 2 == 1)
    written.extra = {
        "ids": torch.arange(count),
        "roughness": torch.rand(count, 2),
        "seen": torch.arange(count) % 2 == 0,
    }
    path = tmp_path / "a.npz"
    write_gaussians(written, path)
    read = read_gaussians(path)
    assert read.antialiased == written.antialiased
    assert list(read.extra) == list(written.extra)
    for name, tensor in (written.parameters() | written.extra).items():
        other = (read.parameters() | read.extra)[name]
        assert other.dtype == tensor.dtype
        assert torch.equal(other, tensor), name


def arrays_of(gaussians):
    return {name: tensor.numpy() for name, tensor in gaussians.parameters().items()}


def test_numpy_opens_it_and_its_own_files_are_read(tmp_path):
    path = tmp_path / "a.npz"
    npz.write(scene(5, 1), path)
    with np.load(path) as arrays:
        assert arrays["sh"].shape == (5, 4, 3)
        assert not arrays["antialiased"]
    values = arrays_of(scene(5, 1))
    values["means"] = np.asfortranarray(values["means"].astype(">f8"))
    values["extra.label"] = np.arange(5, dtype=np.uint16)
    np.savez_compressed(path, **values)
    read = read_gaussians(path)
    assert torch.equal(read.means, scene(5, 1).means)
    assert read.extra["label"].tolist() == [0, 1, 2, 3, 4]
    assert info(path)["extra"] == {"label": []}


def test_broken_rows_are_left_out(tmp_path):
    values = arrays_of(scene(3, 0))
    values["means"][1, 2] = np.inf
    np.savez(tmp_path / "a.npz", **values)
    with pytest.warns(UserWarning, match="1 of 3 Gaussians"):
        assert len(npz.read(tmp_path / "a.npz")) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sh": None}, "got none named sh"),
        ({"sh": np.zeros((4, 5, 3), np.float32)}, "coefficients, got 5"),
        ({"quats": np.zeros((3, 4), np.float32)}, "quats"),
        ({"means": np.array(["a"] * 4)}, "plain numbers"),
        ({"extra.ids": np.zeros(3)}, "extra"),
        ({"extra.ids": np.float32(1)}, "extra"),
    ],
)
def test_other_arrays(tmp_path, change, message):
    values = {n: v for n, v in (arrays_of(scene(4, 1)) | change).items() if v is not None}
    np.savez(tmp_path / "a.npz", **values)
    with pytest.raises(SplatkitError, match=message):
        read_gaussians(tmp_path / "a.npz")


def test_pickles_are_never_opened(tmp_path):
    values = arrays_of(scene(4, 1)) | {"extra.x": np.array([print] * 4, object)}
    np.savez(tmp_path / "a.npz", allow_pickle=True, **values)
    with pytest.raises(SplatkitError, match="plain numbers, got object"):
        npz.read(tmp_path / "a.npz")


def member(shape: str) -> bytes:
    stream = io.BytesIO()
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    stream.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    return stream.getvalue()


@pytest.mark.parametrize("shape", ["(1000000000000, 3)", "(-1, 3)", "()", "[" * 200, "(True, 3)"])
def test_absurd_shapes(tmp_path, shape):
    path = tmp_path / "a.npz"
    npz.write(scene(4, 0), path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (files | {"means.npy": member(shape)}).items():
            archive.writestr(name, data)
    with pytest.raises(SplatkitError):
        npz.read(path)


def test_a_zip_bomb_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in arrays_of(scene(1)):
            archive.writestr(f"{name}.npy", bytes(60 << 20))
    with pytest.raises(SplatkitError, match="claims"):
        npz.read(path)


def test_mutated_files(tmp_path):
    path = tmp_path / "a.npz"
    npz.write(scene(5, 1), path)
    assert survives(npz.read, path, path.read_bytes(), 300) > 100
