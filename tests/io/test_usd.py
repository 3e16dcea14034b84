"""OpenUSD particle fields: the schema, frames and units of others' files, and hostile ones."""

from __future__ import annotations

import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from splatkit.core import SplatkitError
from splatkit.core.sh import basis
from splatkit.core.transforms import covariance_from_scale_rotation
from splatkit.io import info, read_gaussians, usd, write_gaussians
from tests.io.format_cases import close, same_rotations, scene
from tests.mesh.ball import ball

pytest.importorskip("pxr", reason="usd-core is not installed: pip install 'splatkit[usd]'")

from pxr import Gf, Sdf, Usd, UsdGeom, UsdValidation, UsdVol, Vt

SUFFIXES = (".usda", ".usdc", ".usdz", ".usd")
Z_UP = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=torch.float64)
"""Of the file from the world: y down becomes z up, z forward becomes y."""


def floats(value) -> torch.Tensor:
    return torch.from_numpy(np.array(value, np.float32))


def field_of(stage):
    return UsdVol.ParticleField3DGaussianSplat.Get(stage, "/Scene/Gaussians")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    written = scene(300, 3, antialiased=True)
    write_gaussians(written, path)
    read = read_gaussians(path)
    assert torch.equal(read.means, written.means)
    assert read.antialiased
    close(read.sh, written.sh, 1e-6)
    same_rotations(read.quats, written.quats, 1e-6)
    close(read.log_scales, written.log_scales, 1e-6)
    close(read.logit_opacities, written.logit_opacities, 1e-4)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_every_attribute_is_what_the_schema_says(tmp_path):
    written = scene(50, 2)
    write_gaussians(written, tmp_path / "a.usdc")
    stage = Usd.Stage.Open(str(tmp_path / "a.usdc"))
    assert UsdGeom.GetStageUpAxis(stage) == "Z"
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1
    assert stage.GetDefaultPrim().GetPath() == "/Scene"
    field = field_of(stage)
    assert field.GetPrim().GetTypeName() == "ParticleField3DGaussianSplat"
    close(floats(field.GetPositionsAttr().Get()), (written.means.double() @ Z_UP.mT).float(), 0)
    scales = floats(field.GetScalesAttr().Get())
    close(scales, written.scales, 1e-6)
    close(floats(field.GetOpacitiesAttr().Get()), written.opacities, 1e-6)
    quats = torch.tensor(
        [[q.GetReal(), *q.GetImaginary()] for q in field.GetOrientationsAttr().Get()]
    )
    close(quats.norm(dim=1), torch.ones(50), 1e-6)
    covariances = covariance_from_scale_rotation(written.scales, written.quats).double()
    close(covariance_from_scale_rotation(scales, quats), Z_UP @ covariances @ Z_UP.mT, 1e-6)
    assert field.GetRadianceSphericalHarmonicsDegreeAttr().Get() == 2
    sh = floats(field.GetRadianceSphericalHarmonicsCoefficientsAttr().Get()).view(50, 9, 3)
    direction = torch.tensor([0.36, -0.48, 0.8], dtype=torch.float64)
    close(
        torch.einsum("k,nkc->nc", basis(2, Z_UP @ direction), sh.double()),
        torch.einsum("k,nkc->nc", basis(2, direction), written.sh.double()),
        1e-6,
    )
    space = Usd.ColorSpaceAPI(field.GetPrim()).GetColorSpaceNameAttr().Get()
    assert space == "srgb_rec709_display"
    low, high = floats(field.GetExtentAttr().Get())
    positions = floats(field.GetPositionsAttr().Get())
    assert bool((low < positions.amin(0)).all() and (high > positions.amax(0)).all())


@pytest.mark.parametrize("suffix", SUFFIXES[:3])
def test_its_own_validators_find_nothing(tmp_path, suffix):
    # With a mesh for physics; without one there is less to find.
    usd.write(scene(20, 1), tmp_path / f"a{suffix}", collision=ball(1))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) > 20
    found = UsdValidation.ValidationContext(validators).Validate(
        Usd.Stage.Open(str(tmp_path / f"a{suffix}"))
    )
    assert [error.GetMessage() for error in found] == []


def test_a_package_is_one_uncompressed_layer(tmp_path):
    write_gaussians(scene(20), tmp_path / "a.usdz")
    with zipfile.ZipFile(tmp_path / "a.usdz") as package:
        (member,) = package.infolist()
        assert member.filename == "scene.usdc"
        assert member.compress_type == zipfile.ZIP_STORED
        data = package.read(member)
    assert (tmp_path / "a.usdz").read_bytes().index(data) % 64 == 0


def make(path, count=5, degree=1, half=False):
    """A stage as another program may write it; the caller changes and saves it."""
    stage = Usd.Stage.CreateNew(str(path))
    field = UsdVol.ParticleField3DGaussianSplat.Define(stage, "/A")
    chance = np.random.default_rng(0)
    kind, width = ("h", np.float16) if half else ("f", np.float32)
    values = {
        "Positions": (f"Vec3{kind}Array", chance.normal(size=(count, 3))),
        "Orientations": (f"Quat{kind}Array", np.tile([0, 0, 0.6, 0.8], (count, 1))),
        "Scales": (f"Vec3{kind}Array", chance.uniform(0.1, 1, (count, 3))),
        "Opacities": ("HalfArray" if half else "FloatArray", chance.uniform(0.1, 0.9, count)),
        "RadianceSphericalHarmonicsCoefficients": (
            f"Vec3{kind}Array",
            chance.normal(size=(count * (degree + 1) ** 2, 3)),
        ),
    }
    for name, (array, numbers) in values.items():
        create = getattr(field, f"Create{name}{'h' if half else ''}Attr")
        create(getattr(Vt, array).FromNumpy(numbers.astype(width)))
    field.CreateRadianceSphericalHarmonicsDegreeAttr(degree)
    return stage, field, {name: numbers for name, (_, numbers) in values.items()}


def test_up_axis_unit_and_transforms_are_obeyed(tmp_path):
    stage, field, values = make(tmp_path / "a.usda")
    UsdGeom.SetStageUpAxis(stage, "Y")
    UsdGeom.SetStageMetersPerUnit(stage, 0.01)
    UsdGeom.XformCommonAPI(field).SetTranslate((1, 2, 3))
    UsdGeom.XformCommonAPI(field).SetScale((2, 2, 2))
    stage.Save()
    read = read_gaussians(tmp_path / "a.usda")
    points = 0.01 * (2 * torch.from_numpy(values["Positions"]) + torch.tensor([1, 2, 3]))
    close(read.means, points * torch.tensor([1, -1, -1]), 1e-7)
    sizes = read.scales.sort(dim=1).values
    close(sizes, 0.02 * torch.from_numpy(values["Scales"]).sort(dim=1).values, 1e-7)
    told = info(tmp_path / "a.usda")
    assert (told["up_axis"], told["meters_per_unit"]) == ("Y", 0.01)


def test_numbers_without_a_unit_are_taken_as_they_are(tmp_path):
    stage, _, values = make(tmp_path / "a.usda")
    stage.Save()
    means = read_gaussians(tmp_path / "a.usda").means
    close(means, torch.from_numpy(values["Positions"]) * torch.tensor([1, -1, -1]), 1e-6)
    assert info(tmp_path / "a.usda")["meters_per_unit"] is None


def test_half_precision(tmp_path):
    stage, _, values = make(tmp_path / "a.usdc", half=True)
    stage.Save()
    read = read_gaussians(tmp_path / "a.usdc")
    means = torch.from_numpy(values["Positions"]) * torch.tensor([1, -1, -1])
    close(read.means, means, 2e-3)
    close(read.opacities, torch.from_numpy(values["Opacities"]), 1e-3)
    assert read.sh_degree == 1
    assert info(tmp_path / "a.usdc")["quantization"] == "16 bit float"


def test_what_is_absent_is_what_the_schema_says(tmp_path):
    stage, field, values = make(tmp_path / "a.usda")
    for name in ("orientations", "scales", "opacities"):
        field.GetPrim().RemoveProperty(name)
    field.GetRadianceSphericalHarmonicsCoefficientsAttr().Set(Vt.Vec3fArray(3))
    stage.Save()
    read = read_gaussians(tmp_path / "a.usda")
    assert len(read) == len(values["Positions"])
    assert bool((read.log_scales == 0).all())
    assert bool((read.opacities > 0.9999).all())
    assert read.sh_degree == 0
    assert bool((read.sh == 0).all())


def test_fields_that_are_shown_come_together(tmp_path):
    stage, _, _ = make(tmp_path / "inner.usda", degree=0)
    stage.SetDefaultPrim(stage.GetPrimAtPath("/A"))
    stage.Save()
    outer = Usd.Stage.CreateNew(str(tmp_path / "outer.usda"))
    UsdGeom.SetStageUpAxis(outer, "Y")
    for index, name in enumerate(("One", "Two", "Hidden")):
        prim = outer.DefinePrim(f"/{name}")
        prim.GetReferences().AddReference("./inner.usda")
        UsdGeom.XformCommonAPI(prim).SetTranslate((10 * index, 0, 0))
    UsdGeom.Imageable(outer.GetPrimAtPath("/Hidden")).MakeInvisible()
    outer.Save()
    read = read_gaussians(tmp_path / "outer.usda")
    assert len(read) == 10
    close(read.means[5:], read.means[:5] + torch.tensor([10.0, 0, 0]), 1e-5)
    writer = Sdf.ZipFileWriter.CreateNew(str(tmp_path / "whole.usdz"))
    writer.AddFile(str(tmp_path / "outer.usda"), "outer.usda")
    writer.AddFile(str(tmp_path / "inner.usda"), "inner.usda")
    writer.Save()
    assert torch.equal(read_gaussians(tmp_path / "whole.usdz").means, read.means)


@pytest.mark.parametrize(("name", "packed"), [
    ("../inner.usda", False), ("/inner.usda", False), ("deep/../../inner.usda", False),
    ("https://example.org/a.usda", False), ("..\\inner.usda", False), ("C:/inner.usda", False),
    ("../inner.usda", True), ("/inner.usda", True), ("other.usdz[a.usda]", True),
])  # fmt: skip
def test_nothing_outside_the_folder_is_opened(tmp_path, name, packed):
    folder = tmp_path / "folder"
    folder.mkdir()
    make(tmp_path / "inner.usda")[0].Save()
    layer = Sdf.Layer.CreateNew(str(folder / "a.usda"))
    prim = Sdf.CreatePrimInLayer(layer, "/A")
    prim.referenceList.Prepend(Sdf.Reference(name))
    layer.Save()
    path = folder / "a.usda"
    if packed:
        path = folder / "a.usdz"
        writer = Sdf.ZipFileWriter.CreateNew(str(path))
        writer.AddFile(str(folder / "a.usda"), "a.usda")
        writer.Save()
    with pytest.raises(SplatkitError, match="expected layers in its own folder"):
        read_gaussians(path)


def test_value_clips_are_refused(tmp_path):
    stage, field, _ = make(tmp_path / "a.usda")
    Usd.ClipsAPI(field.GetPrim()).SetClipAssetPaths([Sdf.AssetPath("/etc/hostname")])
    stage.Save()
    with pytest.raises(SplatkitError, match="value clips"):
        read_gaussians(tmp_path / "a.usda")


def test_few_bytes_shown_by_many_prims_are_refused(tmp_path):
    stage, _, _ = make(tmp_path / "inner.usdc", count=20_000, degree=0)
    stage.SetDefaultPrim(stage.GetPrimAtPath("/A"))
    stage.Save()
    layer = Sdf.Layer.CreateNew(str(tmp_path / "a.usda"))
    for index in range(3000):
        prim = Sdf.CreatePrimInLayer(layer, f"/P{index}")
        prim.specifier = Sdf.SpecifierDef
        prim.referenceList.Prepend(Sdf.Reference("./inner.usdc"))
    layer.Save()
    with pytest.raises(SplatkitError, match="when unpacked"):
        read_gaussians(tmp_path / "a.usda")


def test_a_compressed_package_is_refused(tmp_path):
    path = tmp_path / "a.usdz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("scene.usda", b"#usda 1.0\n" + b" " * (1 << 27))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(SplatkitError, match="the file is damaged"):
        read_gaussians(path)


def change_kernel(stage, field):
    UsdVol.ParticleField.Define(stage, "/B")


def change_degree(stage, field):
    field.GetRadianceSphericalHarmonicsDegreeAttr().Set(9)


def change_matrix(stage, field):
    field.AddTransformOp().Set(Gf.Matrix4d(0))


def change_type(stage, field):
    stage.RemovePrim("/A")
    UsdGeom.Mesh.Define(stage, "/A")


@pytest.mark.parametrize(("change", "message"), [
    (change_kernel, "expected Gaussian ellipsoids, /B has others"),
    (change_degree, "degree 0 to 4, got 9"),
    (change_matrix, "flattens them"),
    (change_type, "without Gaussians"),
])  # fmt: skip
def test_faults_are_named(tmp_path, change, message):
    stage, field, _ = make(tmp_path / "a.usda")
    change(stage, field)
    stage.Save()
    with pytest.raises(SplatkitError, match=message) as caught:
        read_gaussians(tmp_path / "a.usda")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "a.usda") in str(caught.value)


@pytest.mark.parametrize("data", [b"#usda 1.0\n{", b"PXR-USDC" + bytes(200)])
def test_broken_files_are_named(tmp_path, data):
    path = tmp_path / "a.usd"
    path.write_bytes(data)
    with pytest.raises(SplatkitError, match="the file is damaged") as caught:
        read_gaussians(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("crash", ["import os; os.abort()", "while True: pass"])
def test_a_parser_that_crashes_or_hangs_is_an_error(tmp_path, monkeypatch, crash):
    write_gaussians(scene(5), tmp_path / "a.usdc")
    (tmp_path / "crash.py").write_text(crash)
    monkeypatch.setattr(usd, "_READER", tmp_path / "crash.py")
    monkeypatch.setattr(usd, "_SECONDS", 1)
    with pytest.raises(SplatkitError, match="ends or hangs OpenUSD's reader"):
        read_gaussians(tmp_path / "a.usdc")


def test_without_the_library_it_says_what_to_install(tmp_path, monkeypatch):
    write_gaussians(scene(5), tmp_path / "a.usdc")

    def absent(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(usd, "_library", absent)
    for work in (read_gaussians, lambda path: write_gaussians(scene(5), path)):
        with pytest.raises(SplatkitError, match=r"pip install 'splatkit\[usd\]'"):
            work(tmp_path / "a.usdc")


def test_an_empty_scene_and_flat_gaussians(tmp_path):
    write_gaussians(scene(0), tmp_path / "a.usdz")
    assert len(read_gaussians(tmp_path / "a.usdz")) == 0
    flat = scene(3)
    flat = replace(flat, log_scales=flat.log_scales - torch.tensor([0, 200.0, 0]))
    write_gaussians(flat, tmp_path / "a.usdz")
    assert float(read_gaussians(tmp_path / "a.usdz").scales[:, 1].max()) < 1e-12
