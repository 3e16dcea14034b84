"""Other programs' glTF, CSV and SOG folders against ours, number by number.

splat-transform as in ``test_outside_programs.py``; ``SPLATKIT_GLTF_VALIDATOR`` is the folder of
Khronos' validator (npm: gltf-validator 2.0.0-dev.3.10, Apache-2.0).
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from splatkit.core.srgb import linear_of_srgb
from splatkit.io import read_gaussians, write_gaussians
from tests.gltf_validator import issues_of
from tests.io.format_cases import close, same_rotations, scene
from tests.io.test_gltf import attributes
from tests.io.test_outside_programs import convert as convert_with_splat_transform
from tests.io.test_outside_programs import equal
from tests.io.test_sog_folder import write_version_1

pytestmark = pytest.mark.long

convert = convert_with_splat_transform


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_glb_attribute_by_attribute(convert, tmp_path, degree):
    original = scene(500, degree)
    write_gaussians(original, tmp_path / "a.ply")
    equal(read_gaussians(tmp_path / "a.ply"), convert(tmp_path / "a.ply", tmp_path / "its.glb"))
    write_gaussians(original, tmp_path / "ours.glb")
    ours, its = attributes(tmp_path / "ours.glb"), attributes(tmp_path / "its.glb")
    assert ours.keys() == its.keys()
    for name, array in its.items():
        stored, wanted = torch.from_numpy(ours[name].copy()), torch.from_numpy(array.copy())
        if name.endswith(":ROTATION"):
            same_rotations(stored[:, (3, 0, 1, 2)], wanted[:, (3, 0, 1, 2)], 1e-5)
        elif name == "COLOR_0":
            # It stores sRGB bytes, where glTF has linear light.
            light = torch.cat((linear_of_srgb(wanted[:, :3] / 255), wanted[:, 3:] / 255), 1)
            close(stored.float() / 65535, light, 0.01)
        else:
            close(stored, wanted, 1e-5)


def test_csv_column_by_column(convert, tmp_path):
    original = scene(300, 2)
    write_gaussians(original, tmp_path / "a.ply")
    its = convert(tmp_path / "a.ply", tmp_path / "its.csv")
    for name, tensor in original.parameters().items():
        assert torch.equal(getattr(its, name), tensor), name
    write_gaussians(original, tmp_path / "ours.csv")
    header = (tmp_path / "ours.csv").read_text().split("\n")[0]
    theirs = (tmp_path / "its.csv").read_text().split("\n")[0]
    assert set(header.split(",")) == set(theirs.split(",")) - {"nx", "ny", "nz"}


def test_sog_in_a_folder(convert, tmp_path):
    write_gaussians(scene(400, 2), tmp_path / "a.ply")
    ours = convert(tmp_path / "a.ply", tmp_path / "folder" / "meta.json")
    equal(ours, convert(tmp_path / "folder" / "meta.json", tmp_path / "back.ply"))
    equal(ours, read_gaussians(tmp_path / "folder"))


@pytest.mark.parametrize("degree", [1, 3])
def test_sog_of_version_1(convert, tmp_path, degree):
    path = write_version_1(scene(50, degree), tmp_path / "folder")
    equal(read_gaussians(path), convert(path, tmp_path / "its.ply"))


@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
def test_the_validator_knows_all_but_the_extension(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    for degree, count in ((0, 0), (0, 1), (3, 40)):
        write_gaussians(scene(count, degree), path)
        found = {(issue["code"], issue["pointer"]) for issue in issues_of(path)}
        # It does not know the extension and therefore not the names of its attributes.
        known = {"UNSUPPORTED_EXTENSION"}
        known |= {"MESH_PRIMITIVE_INVALID_ATTRIBUTE"} if count else set()
        assert {code for code, _ in found} == known
        names = [pointer for code, pointer in found if code.startswith("MESH")]
        assert all("/attributes/KHR_gaussian_splatting:" in name for name in names)
        assert np.isin(len(names), (0, 4, 19))
