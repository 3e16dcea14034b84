"""The self-check: what is right passes exactly, and every kind of wrong file is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from splatkit.core import SplatkitError
from splatkit.core.similarity import transformed
from splatkit.export.prepare import laid_out
from splatkit.export.proof import check_proof, prove
from splatkit.export.targets import TARGETS
from splatkit.io.registry import FORMATS
from splatkit.render.paths import circle
from tests.export.clouds import cloud

PLY = next(known for known in FORMATS if known.name == "ply")
MIRROR = torch.diag(torch.tensor([-1.0, 1, 1]))


def proof_of(written, scene, tmp_path, axes=None):
    PLY.write(written, tmp_path / "a.ply")
    cameras = circle(scene, 2, 96, 72)
    return prove(scene, tmp_path / "a.ply", PLY, cameras, axes=axes)


def test_the_same_scene_is_exact(tmp_path):
    proof = proof_of(cloud(), cloud(), tmp_path)
    assert (proof.psnr, proof.handedness, proof.faults) == (None, "kept", [])
    assert proof.mirrored_psnr < 30
    assert proof.bounds[0] == pytest.approx(cloud().means.amin(0).tolist())


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda s: transformed(s, MIRROR), "mirrored|bounds"),
        (lambda s: transformed(s, torch.diag(torch.tensor([1.0, -1, -1]))), "dB"),
        (lambda s: replace(s, quats=s.quats[:, (1, 2, 3, 0)]), "dB"),
        (lambda s: replace(s, sh=s.sh * torch.tensor([1.0, -1, -1] * 3)[:, None]), "dB"),
        (lambda s: replace(s, log_scales=s.log_scales + 0.2), "dB"),
        (lambda s: replace(s, sh=s.sh.flip(2)), "dB"),
        (lambda s: replace(s, means=s.means * 1.05), "bounds moved"),
        (lambda s: s[:-1], "expected 60 Gaussians, got 59"),
    ],
)
def test_wrong_files_are_named(tmp_path, damage, fault):
    proof = proof_of(damage(cloud()), cloud(), tmp_path)
    assert proof.faults
    with pytest.raises(SplatkitError, match=fault):
        check_proof(proof, tmp_path / "a.ply")


def test_a_scene_mirrored_about_the_view_is_called_mirrored(tmp_path):
    scene = cloud()
    flat = replace(scene, means=scene.means - scene.means.median(0).values)
    proof = proof_of(transformed(flat, MIRROR), flat, tmp_path)
    assert proof.handedness == "mirrored"
    assert "it shows the scene mirrored" in proof.faults


# OpenUSD is read by a process of its own: its tests open it once.
@pytest.mark.parametrize("name", [name for name in TARGETS if name != "isaac"])
def test_numbers_stand_in_the_file_as_the_program_takes_them(tmp_path, name):
    target = TARGETS[name]
    known = next(k for k in FORMATS if k.suffix == target.suffixes[0])
    scene = cloud(degree=1)
    known.write(laid_out(scene, known, target), tmp_path / f"a{known.suffix}")
    cameras = circle(scene, 2, 96, 72)
    path = tmp_path / f"a{known.suffix}"
    assert prove(scene, path, known, cameras, axes=target.axes).faults == []
    # In any other axes the same file is wrong: the check can fail for this target.
    for other in {"RDF", "RUB", "LUF", "RUF"} - {target.axes or known.axes}:
        assert prove(scene, path, known, cameras, axes=other).faults != []


def test_files_for_programs_that_count_columns_are_of_degree_3(tmp_path):
    scene = cloud(degree=1)
    scene.extra["label"] = torch.arange(60)
    for name in ("blender", "unity", "unreal", "godot"):
        written = laid_out(scene, PLY, TARGETS[name])
        assert (written.sh_degree, written.extra) == (3, {})
        assert float(written.sh[:, 4:].abs().max()) == 0
    assert laid_out(cloud(degree=4), PLY, TARGETS["unity"]).sh_degree == 3
