"""The source archive builds a wheel, and the wheel works in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BACKEND = "scikit-build-core>=0.11"

pytestmark = pytest.mark.long


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command that must succeed."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, f"{command}\n{result.stdout[-4000:]}\n{result.stderr[-4000:]}"
    return result.stdout


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a new virtual environment without any package of ours."""
    folder = tmp_path_factory.mktemp("clean") / "environment"
    venv.create(folder, with_pip=True)
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


@pytest.fixture(scope="module")
def sdist(clean: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source archive."""
    folder = tmp_path_factory.mktemp("sdist")
    run(clean, "-m", "pip", "install", "-q", BACKEND, cwd=folder)
    code = f"import scikit_build_core.build as b; print(b.build_sdist({str(folder)!r}))"
    return folder / run(clean, "-c", code, cwd=ROOT).split()[-1]


@pytest.fixture(scope="module")
def wheel(clean: Path, sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the source archive alone."""
    folder = tmp_path_factory.mktemp("wheel")
    run(clean, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, sdist, cwd=folder)
    (path,) = folder.glob("splatkit-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(clean: Path, wheel: Path) -> Path:
    """The clean environment with the wheel; what it depends on is borrowed from this one."""
    run(clean, "-m", "pip", "install", "-q", "--no-deps", wheel, cwd=wheel.parent)
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run(clean, "-c", code, cwd=wheel.parent).strip())
    # Comes after the environment's own packages; editable installs are not followed from here.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return clean


def test_sdist_holds_what_builds_and_little_else(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {"pyproject.toml", "CMakeLists.txt", "LICENSE", "cuda/cpu/simd.h"} <= names
    assert not any(name.startswith(("data/sample", ".venv", "build/", "runs/")) for name in names)
    assert sdist.stat().st_size < 3e6


def test_wheel_carries_headers_kernels_and_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    headers = {path.name for path in (ROOT / "cuda/include/splatkit").glob("*.h")}
    prefix = "splatkit/_cuda/include/splatkit/"
    assert {name.removeprefix(prefix) for name in names if name.startswith(prefix)} == headers
    kernels = {path.name for path in (ROOT / "cuda/gpu").iterdir()}
    prefix = "splatkit/_cuda/gpu/"
    assert {name.removeprefix(prefix) for name in names if name.startswith(prefix)} == kernels
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "scripts/", "cuda/")) for name in names)


def test_installed_package_renders(installed: Path, tmp_path: Path) -> None:
    code = """
import torch, splatkit
from splatkit import _native
from splatkit.core import Cameras, Gaussians
from splatkit.render import render

one = Gaussians(torch.tensor([[0.0, 0.0, 2.0]]), torch.tensor([[1.0, 0, 0, 0]]),
                torch.full((1, 3), -1.0), torch.tensor([4.0]), torch.ones(1, 1, 3))
camera = Cameras(torch.eye(4)[None], torch.tensor([[[20.0, 0, 8], [0, 20, 8], [0, 0, 1]]]), 16, 16)
image = render(one, camera, backend="cpu").rgb
assert image[0, 8, 8].min() > 0.5 > image[0, 0, 0].max(), image[0, :, :, 0]
print(splatkit.__file__, _native.__file__)
"""
    places = run(installed, "-c", code, cwd=tmp_path).split()
    environment = installed.parent.parent
    assert all(Path(place).is_relative_to(environment) for place in places), places


def test_entry_point_answers(installed: Path, tmp_path: Path) -> None:
    command = installed.with_name("splatkit" + installed.suffix)
    assert "train" in run(command, "--help", cwd=tmp_path)
