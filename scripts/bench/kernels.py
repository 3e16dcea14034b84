"""What the CUDA kernels cost before they run: registers, shared memory and spills, per kernel.

Compiles by NVRTC and needs no GPU. A spill in a hot kernel, or any warning, is a failure.

    python scripts/bench/kernels.py [--architectures 75 90] [--all] [--json] [--nvrtc FILE]
"""

from __future__ import annotations

import ctypes
import getpass
import hashlib
import json
import os
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import tyro

from splatkit.core.errors import SplatkitError
from splatkit.io.files import write_text
from splatkit.render.backends._cuda_compile import (
    Options,
    compile_file,
    nvrtc_architectures,
    nvrtc_version,
    options_of,
    sources_digest,
)
from splatkit.render.backends._cuda_foreseen import training_set
from splatkit.render.backends._cuda_plan import Choice, Frame

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
DEFAULTS = tuple(training_set(Frame(1, 1920, 1080, Choice()), 3, 3))
"""What a training run with the default options compiles once all harmonics are in use."""
SHOWN = (("upscale.cu", options_of({})),)
"""What pictures need beside it that are upscaled."""
COLD = {
    "prepare_cameras", "view_adj", "image_loss_sum", "shrink_image", "gather_slots",
    "triangle_bin", "triangle_gather", "triangle_view_adj",
}  # fmt: skip
"""Kernels that may spill: they run seldom, or over little."""
_ENTRY = re.compile(
    r"Compiling entry function '(\w+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads"
    r".*?Used (\d+) registers(?:[^\n]*?, (\d+) bytes smem)?",
    re.DOTALL,
)


class Log:
    """Collects what the compiler says."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str | bytes) -> None:
        """Add to it."""
        self.text += text if isinstance(text, str) else text.decode()


@dataclass(frozen=True)
class Cost:
    """One kernel as compiled for one architecture."""

    kernel: str
    file: str
    options: Options
    architecture: int
    registers: int
    """A thread."""
    shared: int
    """Bytes a block."""
    spilled: int
    """Bytes a thread stores and loads because registers ran out."""


def compiler_says(file: str, options: Options, architecture: int) -> str:
    """The compiler's log, kept from run to run while neither sources nor compiler change."""
    folder = Path(tempfile.gettempdir()) / f"splatkit-kernels-{getpass.getuser()}"
    told = (sources_digest(), file, options, nvrtc_version(), architecture)
    path = folder / f"{hashlib.sha256(repr(told).encode()).hexdigest()[:32]}.log"
    if path.is_file():
        return path.read_text()
    log = Log()
    compile_file(file, options, architecture, log)
    write_text(path, log.text)
    return log.text


def inspect(file: str, options: Options, architecture: int) -> tuple[list[Cost], list[str]]:
    """Costs of the kernels of a file, and the compiler's warnings."""
    text = compiler_says(file, options, architecture)
    costs = [
        Cost(
            name,
            file,
            options,
            architecture,
            int(used),
            int(shared or 0),
            int(stored) + int(loaded),
        )
        for name, stored, loaded, used, shared in _ENTRY.findall(text)
    ]
    return costs, [line for line in text.splitlines() if "warning" in line.lower()]


def every_specialisation() -> list[tuple[str, Options]]:
    """All options that the launch code may ask for, up to those that do not interact."""
    found = [*DEFAULTS, *SHOWN]
    for degree, bases in ((d, (s + 1) ** 2) for s in range(5) for d in range(s + 1)):
        sh = {"SK_SH_DEGREE": degree, "SK_BASES": bases}
        for half in (0, 1):
            found.append(("project.cu", options_of(sh | {"SK_HALF_RECORDS": half})))
        moving = (degree + 1) ** 2
        for many, moved in product((0, 1), sorted({moving, bases})):
            given = sh | {"SK_MANY_CAMERAS": many}
            found.append(("finish.cu", options_of(given | {"SK_MOVING_BASES": moved})))
        for many, view in product((0, 1), (0, 1)):
            given = sh | {"SK_MANY_CAMERAS": many, "SK_VIEW_GRADIENT": view}
            found.append(("project_adj.cu", options_of(given)))
    for exact, bits, half in product((0, 1), (16, 32), (0, 1)):
        given = {"SK_DETERMINISTIC": exact, "SK_KEY_BITS": bits, "SK_HALF_RECORDS": half}
        found.append(("bin.cu", options_of(given)))
    for colors, values in ((3, 3), (3, 8), (3, 16), (0, 3), (0, 8), (0, 16)):
        passed = {"SK_COLORS": colors, "SK_VALUES": values}
        pixels = {3: 8, 8: 4, 16: 2}[values]
        for exact, bucket in product((0, 1), (0, 128)):
            given = passed | {"SK_DETERMINISTIC": exact, "SK_BUCKET": bucket}
            found.append(("blend.cu", options_of(given)))
            for scores in (0, 1) if colors else (0,):
                adj = given | {"SK_SCORES": scores, "SK_ADJ_PIXELS": pixels}
                found.append(("blend_adj.cu", options_of(adj)))
                found.append(("gather_slots.cu", options_of(adj)))
                if (colors, values) == (3, 3):
                    found.append(("blend_adj.cu", options_of(adj | {"SK_ADJ_FORM": 1})))
        # Statistics come from the first pass over the channels.
        for median, weights, top_k in product((0, 1), (0, 1), (0, 4, 32)) if colors else ():
            extra = {"SK_MEDIAN": median, "SK_WEIGHTS": weights, "SK_TOP_K": top_k}
            found.append(("blend.cu", options_of(passed | extra)))
    for colors, values in ((3, 3), (3, 8), (3, 16)):
        told = {"SK_COLORS": colors, "SK_VALUES": values, "SK_GRADIENT": 1}
        found.append(("blend.cu", options_of(told)))
    for soft, normals, count in product((0, 1), (0, 1), (0, 3, 5, 8)):
        drawn = {"SK_SOFT": soft, "SK_NORMALS": normals, "SK_ATTRIBUTES": count}
        for weights in (0, 1):
            found.append(("triangles.cu", options_of(drawn | {"SK_WEIGHTS": weights})))
        found.append(("triangles_adj.cu", options_of(drawn)))
        found.append(("triangles_bin.cu", options_of({"SK_ATTRIBUTES": count})))
    macro = {"SK_TILE_WIDTH": 32, "SK_TILE_HEIGHT": 32, "SK_HALF_RECORDS": 1}
    found.append(("bin.cu", options_of(macro | {"SK_KEY_BITS": 16})))
    found.append(("blend.cu", options_of(macro | {"SK_BLEND_PIXELS": 4, "SK_BUCKET": 0})))
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Arguments:
    """What to compile."""

    architectures: tuple[int, ...] = ARCHITECTURES
    """Such as 90 for sm_90; those that this NVRTC does not know are left out."""
    all: bool = False
    """Every specialisation, rather than what a default training run and upscaling use."""
    json: bool = False
    """Print one JSON object."""
    nvrtc: Path | None = None
    """Another NVRTC than the installed one: its libnvrtc.so.12 or .13."""


def load(library: Path) -> None:
    """Take this NVRTC, with its built-in headers beside it.

    Raises:
        SplatkitError: another one was taken all the same.
    """
    for builtins in library.parent.glob("libnvrtc-builtins.so.*"):
        ctypes.CDLL(str(builtins), ctypes.RTLD_GLOBAL)
    loaded = ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
    major, minor = ctypes.c_int(), ctypes.c_int()
    loaded.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    if nvrtc_version() != (major.value, minor.value):
        raise SplatkitError(
            f"{library}: expected to compile with NVRTC {major.value}.{minor.value}, got "
            f"{nvrtc_version()}"
        )


def main(arguments: Arguments) -> int:
    """Print the table; 1 where a hot kernel spills or the compiler warns."""
    if arguments.nvrtc is not None:
        load(arguments.nvrtc)
    known = nvrtc_architectures()
    costs: list[Cost] = []
    warnings: list[str] = []
    wanted = every_specialisation() if arguments.all else [*DEFAULTS, *SHOWN]
    work = [(*one, a) for a in arguments.architectures if a in known for one in wanted]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for found, said in pool.map(lambda one: inspect(*one), work):
            costs += found
            warnings += said
    spilling = [cost for cost in costs if cost.spilled and cost.kernel not in COLD]
    if arguments.json:
        told = {"nvrtc": nvrtc_version(), "kernels": [asdict(c) for c in costs]}
        print(json.dumps(told | {"warnings": warnings}))
    else:
        print(f"{'kernel':16}{'sm':>4}{'registers':>11}{'shared':>8}{'spilled':>9}  options")
        for c in costs:
            told = " ".join(f"{name}={value}" for name, value in c.options)
            print(
                f"{c.kernel:16}{c.architecture:4}{c.registers:11}{c.shared:8}{c.spilled:9}  {told}"
            )
        for line in warnings:
            print(line)
    return int(bool(spilling or warnings))


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Arguments, description=__doc__)))
