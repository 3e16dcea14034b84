"""Compiling CUDA files: what is kept on disk, when it is used, and what a failure says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from splatkit.core import SplatkitError
from splatkit.render.backends import _cuda_compile
from splatkit.render.backends._cuda_compile import Compiler, compile_file, options_of

pytest.importorskip("cuda.core", reason="cuda-core is not installed")
WANTED = ("tiny.cu", options_of({"FACTOR": 32}))
TINY = """
#include "number.h"
extern "C" __global__ void tiny(int *out) { out[threadIdx.x] = FACTOR * NUMBER; }
"""


@pytest.fixture(autouse=True)
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A source folder with one small file and a header."""
    try:
        _cuda_compile.nvrtc_version()
    except SplatkitError as error:
        pytest.skip(str(error))
    root = tmp_path / "sources"
    (root / "gpu").mkdir(parents=True)
    (root / "include").mkdir()
    (root / "gpu" / "tiny.cu").write_text(TINY)
    (root / "include" / "number.h").write_text("#define NUMBER 7\n")
    monkeypatch.setattr(_cuda_compile, "source_root", lambda: root)
    _cuda_compile.sources_digest.cache_clear()
    yield root
    _cuda_compile.sources_digest.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where compiled files go."""
    return tmp_path / "kernels"


def test_a_file_is_compiled_once(folder: Path) -> None:
    first = Compiler(80, folder)
    code = first.cubin(*WANTED)
    assert code[:4] == b"\x7fELF"
    assert first.compiled == 1
    again = Compiler(80, folder)
    assert again.cubin(*WANTED) == code
    assert again.compiled == 0
    assert [p.suffix for p in folder.iterdir()] == [".cubin"]


def test_a_file_may_have_no_options(sources: Path) -> None:
    (sources / "gpu" / "plain.cu").write_text("__global__ void plain() {}\n")
    assert compile_file("plain.cu", (), 80)


def test_other_options_and_architectures_are_other_files(folder: Path) -> None:
    several = Compiler(80, folder)
    wanted = [WANTED, ("tiny.cu", options_of({"FACTOR": 16})), WANTED]
    several.begin(wanted)
    assert len({several.cubin(*one) for one in wanted}) == several.compiled == 2
    Compiler(75, folder).cubin(*WANTED)
    names = sorted(path.name for path in folder.iterdir())
    assert [name.split("-")[:2] for name in names] == [
        ["tiny", "sm75"],
        ["tiny", "sm80"],
        ["tiny", "sm80"],
    ]


def test_changed_headers_are_compiled_again(folder: Path, sources: Path) -> None:
    Compiler(80, folder).cubin(*WANTED)
    (sources / "include" / "number.h").write_text("#define NUMBER 8\n")
    _cuda_compile.sources_digest.cache_clear()
    again = Compiler(80, folder)
    again.cubin(*WANTED)
    assert again.compiled == 1


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 5000])
def test_a_damaged_file_is_compiled_again(folder: Path, damage: bytes) -> None:
    code = Compiler(80, folder).cubin(*WANTED)
    (path,) = folder.iterdir()
    path.write_bytes(damage)
    again = Compiler(80, folder)
    assert again.cubin(*WANTED) == code
    assert again.compiled == 1
    assert path.read_bytes()[-len(code) :] == code


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert Compiler(80, tmp_path / "file" / "kernels").cubin(*WANTED)


def test_a_fault_is_one_line(sources: Path) -> None:
    (sources / "gpu" / "bad.cu").write_text("__global__ void f() { none_such(); }\n")
    with pytest.raises(
        SplatkitError, match=r"bad.cu: NVRTC .* sm_80 with A=1: .*none_such"
    ) as fault:
        compile_file("bad.cu", (("A", 1),), 80)
    assert "\n" not in str(fault.value)


def test_the_cache_is_where_the_user_says(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPLATKIT_CACHE", str(tmp_path))
    assert _cuda_compile.cache_folder() == tmp_path / "kernels"
    monkeypatch.delenv("SPLATKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert _cuda_compile.cache_folder().parts[-2:] == ("splatkit", "kernels")
