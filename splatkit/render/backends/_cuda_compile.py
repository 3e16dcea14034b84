"""CUDA sources to machine code by NVRTC, kept on disk so that the next start finds it there."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

from splatkit.core import places
from splatkit.core.errors import SplatkitError
from splatkit.render.backends._cuda_params import source_root

_IMPORTING = Lock()
_DIGEST = hashlib.sha256().digest_size
Options = tuple[tuple[str, int], ...]
"""Macros and their values, sorted by name."""


def options_of(values: Mapping[str, int]) -> Options:
    """Options in their one order."""
    return tuple(sorted(values.items()))


def cache_folder() -> Path:
    """Where compiled kernels are kept: ``$SPLATKIT_CACHE``, or the system's folder for caches."""
    return places.cache_folder() / "kernels"


@cache
def sources_digest() -> str:
    """Hash of every header and kernel file; any change makes all kernels new."""
    root, digest = source_root(), hashlib.sha256()
    for path in sorted((*root.glob("gpu/*"), *root.glob("include/**/*.h"))):
        if path.is_file():
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def nvrtc_version() -> tuple[int, int]:
    """Major and minor version of the compiler.

    Raises:
        SplatkitError: there is none.
    """
    major, minor = _asked("nvrtcVersion")
    return major, minor


def nvrtc_architectures() -> list[int]:
    """What the compiler compiles for, such as 90 for sm_90.

    Raises:
        SplatkitError: there is no compiler.
    """
    *_, values = _asked("nvrtcGetSupportedArchs")
    return list(values)


def _asked(question: str) -> tuple[Any, ...]:
    """What a function of NVRTC answers, less its status."""
    try:
        from cuda.bindings import nvrtc  # pyright: ignore[reportAttributeAccessIssue]

        _, *answer = getattr(nvrtc, question)()
    except (ImportError, RuntimeError, OSError) as error:
        raise SplatkitError(
            "CUDA kernels: expected NVRTC (it comes with CUDA builds of torch), got "
            f"{' '.join(str(error).split())}; install it with: pip install nvidia-cuda-nvrtc"
        ) from error
    return tuple(answer)


class Compiler:
    """Compiles the files of ``cuda/gpu`` for one architecture, several side by side.

    Args:
        architecture: such as 90 for sm_90.
        folder: of the compiled kernels; ``cache_folder()`` when None.
    """

    def __init__(self, architecture: int, folder: Path | None = None) -> None:
        self.architecture = architecture
        self.folder = cache_folder() if folder is None else folder
        self.compiled = 0
        """Files that had to be compiled, rather than read from the folder."""
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, "splatkit nvrtc")
        self._codes: dict[tuple[str, Options], Future[bytes]] = {}
        self._lock = Lock()

    def cubin(self, file: str, options: Options) -> bytes:
        """Machine code of one file with these macros, from the folder where it is there.

        Raises:
            SplatkitError: the compiler refused the file.
        """
        return self._begun(file, options).result()

    def begin(self, wanted: Iterable[tuple[str, Options]]) -> None:
        """Start to compile several files; ``cubin`` waits for the one that it is asked for."""
        for one in wanted:
            self._begun(*one)

    def _begun(self, file: str, options: Options) -> Future[bytes]:
        with self._lock:
            if (file, options) not in self._codes:
                self._codes[file, options] = self._pool.submit(self._make, file, options)
            return self._codes[file, options]

    def _make(self, file: str, options: Options) -> bytes:
        path = self.folder / f"{self._key(file, options)}.cubin"
        code = _read(path)
        if code is None:
            code = compile_file(file, options, self.architecture)
            with self._lock:
                self.compiled += 1
            _write(path, code)
        return code

    def _key(self, file: str, options: Options) -> str:
        told = (sources_digest(), file, options, nvrtc_version(), self.architecture)
        name = Path(file).stem
        return (
            f"{name}-sm{self.architecture}-{hashlib.sha256(repr(told).encode()).hexdigest()[:32]}"
        )


def compile_file(file: str, options: Options, architecture: int, logs: object = None) -> bytes:
    """Compile one file of ``cuda/gpu``.

    Args:
        file: its name.
        options: macros.
        architecture: such as 90 for sm_90.
        logs: something with ``write`` that takes what the compiler tells of registers, shared
            memory and spills.

    Raises:
        SplatkitError: it does not compile; the message holds the compiler's first complaint.
    """
    with _IMPORTING:
        # Two threads that import it at the same time find it half made.
        nvrtc: Any = import_module("cuda.core")

    root = source_root()
    told = nvrtc.ProgramOptions(
        name=file,
        arch=f"sm_{architecture}",
        std="c++17",
        # A product is fused where the source says so, and nowhere else: alpha has the same bits
        # forward and backward.
        fma=False,
        include_path=[str(root / "include"), str(root / "gpu")],
        # cuda-core takes no empty list.
        define_macro=[(name, str(value)) for name, value in options] or None,
        ptxas_options=["-v"] if logs is not None else None,
    )
    source = (root / "gpu" / file).read_text(encoding="utf-8")
    try:
        return bytes(nvrtc.Program(source, "c++", told).compile("cubin", logs=logs).code)
    except Exception as error:
        # cuda-core raises classes of its own, which are not part of its interface.
        lines = [line for line in str(error).splitlines() if "error:" in line] or [str(error)]
        given = " ".join(f"{name}={value}" for name, value in options)
        raise SplatkitError(
            f"{file}: NVRTC {'.'.join(map(str, nvrtc_version()))} does not compile it for "
            f"sm_{architecture} with {given or 'no options'}: {' '.join(lines[0].split())}"
        ) from error


def _read(path: Path) -> bytes | None:
    """The machine code in a file; None where it is missing or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    code = content[_DIGEST:]
    return code if hashlib.sha256(code).digest() == content[:_DIGEST] else None


def _write(path: Path, code: bytes) -> None:
    """Keep machine code, whole or not at all; a folder that cannot be written costs time only."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(hashlib.sha256(code).digest() + code)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError:
        return
