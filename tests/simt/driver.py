"""The CUDA kernels on the CPU: each .cu file compiled by g++ against ``simt.h`` and launched."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from splatkit.render.backends._cuda_compile import Options
from splatkit.render.backends._cuda_driver import fill
from splatkit.render.backends._cuda_params import interface, source_root

HERE = Path(__file__).parent
COMPILER = os.environ.get("CXX") or shutil.which("g++") or ""
FLAGS = ["-std=c++17", "-O1", "-g1", "-fPIC", "-shared", "-ffp-contract=off", "-Wall", "-Wextra"]
QUIET = ["-Wno-unknown-pragmas", "-Wno-unused-function", "-Wno-unused-variable"]


CPU = torch.device("cpu")


class SimtDriver:
    """A ``Driver`` whose device is the CPU.

    Args:
        seed: 0 runs the threads of a block, and blocks, in order; another one shuffles them.
        flags: more options for g++, such as a sanitizer.
        device: that tensors are to say they are on.
    """

    def __init__(
        self, seed: int = 0, flags: tuple[str, ...] = (), device: torch.device = CPU
    ) -> None:
        self.device = device
        self.seed = seed
        self.flags = (*flags, *os.environ.get("SPLATKIT_SIMT_FLAGS", "").split())
        self.launched: list[tuple[str, Options]] = []
        """Kernels in the order in which they ran."""
        self._libraries: dict[tuple[str, Options], ctypes.CDLL] = {}

    def prepare(self, wanted: Iterable[tuple[str, Options]]) -> None:
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            list(pool.map(lambda one: build(one[0], one[1], self.flags), wanted))

    def launch(
        self, kernel: str, options: Options, blocks: int, threads: int, values: Mapping[str, Any]
    ) -> None:
        row = interface().kernels[kernel]
        arguments = fill(row.arguments, values, self.device)
        if blocks == 0:
            return
        library = self._libraries.get((row.file, options))
        if library is None:
            library = ctypes.CDLL(str(build(row.file, options, self.flags)))
            self._libraries[row.file, options] = library
        size = library[f"size_{kernel}"]()
        assert size == ctypes.sizeof(arguments), f"{kernel}: struct of {size} bytes"
        self.launched.append((kernel, options))
        library[f"launch_{kernel}"](
            ctypes.byref(arguments), blocks, threads, ctypes.c_uint64(self.seed)
        )


def build(file: str, options: Options, flags: tuple[str, ...] = ()) -> Path:
    """The shared library of one kernel file; compiled once for each state of the sources."""
    root = source_root()
    kernels = [kernel for kernel in interface().kernels.values() if kernel.file == file]
    source = "\n".join(
        [f'#include "simt.h"\n#include "{root / "gpu" / file}"\nusing namespace splatkit;']
        + [
            f'extern "C" int size_{k.name}() {{ return sizeof({k.arguments}); }}\n'
            f'extern "C" void launch_{k.name}(const void *a, unsigned blocks, unsigned threads, '
            f"uint64_t seed) {{\n  {k.arguments} p;\n  std::memcpy((void *)&p, a, sizeof p);\n"
            f"  simt::launch(blocks, threads, seed, [&] {{ splatkit::{k.name}(p); }});\n}}"
            for k in kernels
        ]
    )
    machine = ["-mfma", "-mf16c"] if platform.machine() in ("x86_64", "AMD64") else []
    command = [COMPILER, *FLAGS, *QUIET, *machine, *flags]
    command += [f"-I{HERE}", f"-I{root / 'include'}", f"-I{root / 'gpu'}"]
    command += [f"-D{name}={value}" for name, value in options]
    digest = hashlib.sha256(repr((command, source)).encode())
    for path in sorted((HERE / "simt.h", *root.glob("gpu/*"), *root.glob("include/**/*.h"))):
        digest.update(path.read_bytes())
    folder = Path(tempfile.gettempdir()) / f"splatkit-simt-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    library = folder / f"{Path(file).stem}-{digest.hexdigest()[:32]}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=folder) as work:
            (Path(work) / "main.cpp").write_text(source)
            built = Path(work) / "built.so"
            # What this process was started with for sanitizers is not for the compiler.
            environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
            result = subprocess.run(
                [*command, "-o", str(built), str(Path(work) / "main.cpp")],
                capture_output=True,
                text=True,
                env=environment,
            )
            complaints = result.stderr or ("g++ failed" if result.returncode else "")
            assert not complaints, complaints[:6000]
            built.replace(library)
    return library
