"""Compiling CUDA files: what is kept on disk, when it is used, and what a failure says."""

from pathlib import Path

import pytest

from splatkit.core import SplatkitError
from splatkit.render.backends import _cuda_compile
from splatkit.render.backends._cuda_compile import Compiler, compile_file, options_of

pytest.importorskip("cuda.core", reason="cuda-core is not installed")
WANTED = ("sort.cu", options_of({"SK_KEY_BITS": 32}))


@pytest.fixture(autouse=True)
def _nvrtc() -> None:
    try:
        _cuda_compile.nvrtc_version()
    except SplatkitError as error:
        pytest.skip(str(error))


def test_a_file_is_compiled_once(tmp_path: Path) -> None:
    first = Compiler(80, tmp_path)
    code = first.cubin(*WANTED)
    assert code[:4] == b"\x7fELF"
    assert first.compiled == 1
    again = Compiler(80, tmp_path)
    assert again.cubin(*WANTED) == code
    assert again.compiled == 0
    assert [p.suffix for p in tmp_path.iterdir()] == [".cubin"]


def test_other_options_and_architectures_are_other_files(tmp_path: Path) -> None:
    Compiler(80, tmp_path).prepare([WANTED, ("sort.cu", options_of({"SK_KEY_BITS": 16}))])
    Compiler(75, tmp_path).cubin(*WANTED)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name.split("-")[:2] for name in names] == [
        ["sort", "sm75"],
        ["sort", "sm80"],
        ["sort", "sm80"],
    ]


def test_changed_sources_are_compiled_again(tmp_path: Path, monkeypatch) -> None:
    Compiler(80, tmp_path).cubin(*WANTED)
    monkeypatch.setattr(_cuda_compile, "sources_digest", lambda: "changed")
    again = Compiler(80, tmp_path)
    again.cubin(*WANTED)
    assert again.compiled == 1


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 5000])
def test_a_damaged_file_is_compiled_again(tmp_path: Path, damage: bytes) -> None:
    code = Compiler(80, tmp_path).cubin(*WANTED)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage)
    again = Compiler(80, tmp_path)
    assert again.cubin(*WANTED) == code
    assert again.compiled == 1
    assert path.read_bytes()[-len(code) :] == code


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert Compiler(80, tmp_path / "file" / "kernels").cubin(*WANTED)


def test_a_fault_is_one_line(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "gpu").mkdir()
    (tmp_path / "gpu" / "bad.cu").write_text("__global__ void f() { none_such(); }\n")
    monkeypatch.setattr(_cuda_compile, "source_root", lambda: tmp_path)
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
