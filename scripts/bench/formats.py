"""Speed and memory of every scene format, beside a plain file copy and the format's own codec.

    python scripts/bench/formats.py [SCENE] [--count 1000000] [--json] [--only SUFFIX]

*Copies*: reading and writing take turns with copying a file of the same size (flushed to the disk
like everything that splatkit writes); the ratio of the least times, elapsed and of the processor.
Elapsed times are true on a machine that does nothing else. All but ``PLAIN`` use one thread.

*Codecs*: the whole against what the format itself prescribes, processor time on one thread: its
compressor (zstandard, zlib, WebP), the clustering of colours of SOG, and the arithmetic between
numbers and stored bytes (``CODECS`` names the functions). The rest is files, order in space, axes
and checks. *Compressors* count zstandard, zlib and WebP alone.

*Memory* is the peak in multiples of the scene's float32 arrays, these included (2 is the arrays and
as much again), each way in a process of its own that has written and read a small scene before.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from figure import figure

from splatkit import _native
from splatkit.core import Gaussians
from splatkit.core.sh import count_from_degree
from splatkit.io import _packing, compressed_ply, read_gaussians, sog, spz
from splatkit.io.registry import FORMATS, Format

COUNT = 1_000_000
ROUNDS = 15
SECONDS, CODEC_SECONDS = 15.0, 2.0
"""No further round of a format that took longer: small differences do not count there."""
COPY_GOAL = 2.0
"""Reading and writing may take so many file copies, where numbers are stored as they are."""
CODEC_GOAL = 1.5
"""They may take so many times the codec's own time, where there is one."""
MEMORY_GOAL = 2.0
LEAVE_OUT = ("gltf", "usda", "usd")
"""Ways of writing down what another row shows already, and text that nobody opens at this size."""
PLAIN = ("ply", "splat", "npz")
Functions = list[tuple[Any, str]]
COMPRESSORS: dict[str, Functions] = {
    "spz": [(spz, name) for name in ("_compressed", "_unzstd", "_gzip")],
    "sog": [(sog, name) for name in ("_picture", "_decoded")],
    "compressed-ply": [],
}
"""Functions that are hardly more than a library's call."""
CODECS: dict[str, Functions] = {
    "spz": [*COMPRESSORS["spz"], (spz, "_packed"), (spz, "_unpacked")],
    "sog": COMPRESSORS["sog"]
    + [(sog, name) for name in ("codebook", "nearest_entries", "palette")]
    + [(sog, name) for name in ("_unpack_means", "_unpack_quats", "_unpack_base")]
    + [(sog._Bundle, "look_up")],
    "compressed-ply": [
        (compressed_ply, name)
        for name in (
            "_within_chunks",
            "_pack",
            "_unpack",
            "_between",
            "_rotation_words",
            "_quats",
            "_rest_bytes",
            "_fill_rest",
        )
    ]
    # Its chunks are neighbours in space.
    + [(_packing, name) for name in ("morton_order", "in_order")],
}
"""Functions that are the codec of a format."""
WARM = 1000
"""Gaussians of the scene that loads the libraries before memory is measured."""


def scene_of(source: Path | None, count: int) -> Gaussians:
    """A scene of so many Gaussians: a given one, repeated side by side, or a random one."""
    if source is None:
        generator = torch.Generator().manual_seed(0)
        sh = torch.randn(count, 16, 3, generator=generator).mul_(0.1)
        return Gaussians(
            torch.randn(count, 3, generator=generator).mul_(5),
            torch.randn(count, 4, generator=generator),
            torch.randn(count, 3, generator=generator).sub_(5),
            torch.randn(count, generator=generator).mul_(2),
            sh,
        )
    scene = read_gaussians(source)
    index = torch.arange(count) % max(len(scene), 1)
    extent = scene.means.amax(0) - scene.means.amin(0)
    many = scene[index]
    many.means += torch.arange(count)[:, None] // len(scene) * extent
    return many


def measure(form: Format, source: Path | None, count: int) -> dict[str, Any]:
    """Write and read a scene in one format, in turns with copies, and its codec apart."""
    scene = held(scene_of(source, count), form)
    assert form.write is not None
    write = form.write
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"scene{form.suffix}")
        write(scene, path)
        works = {
            "write": lambda: write(scene, path),
            "read": lambda: form.read(path),
            "copy": lambda: copy(path),
        }
        least = dict.fromkeys(works, (math.inf, math.inf))
        start = time.perf_counter()
        with nullcontext() if form.name in PLAIN else one_thread():
            for _ in range(ROUNDS):
                for name, work in works.items():
                    elapsed, busy = seconds(work)
                    least[name] = (min(least[name][0], elapsed), min(least[name][1], busy))
                if time.perf_counter() - start > SECONDS:
                    break
        size = sum(file.stat().st_size for file in Path(folder).iterdir() if file.name != "copy")
        row = {
            "format": form.name,
            "bytes_per_gaussian": size / count,
            "seconds": {name: elapsed for name, (elapsed, _) in least.items()},
            "processor_seconds": {name: busy for name, (_, busy) in least.items()},
        }
        for way in ("write", "read"):
            elapsed, busy = (a / b for a, b in zip(least[way], least["copy"], strict=True))
            row |= {f"{way}_copies": elapsed, f"{way}_processor_copies": busy}
        if form.name in CODECS:
            for way in ("write", "read"):
                row |= codec_shares(form, way, works[way])
    return row


def codec_shares(form: Format, way: str, work: Callable[[], Any]) -> dict[str, float | None]:
    """How many times its codec and its compressor a way takes, in processor time on one thread."""
    least = [math.inf] * 3
    with one_thread():
        start = time.perf_counter()
        while least[0] == math.inf or time.perf_counter() - start < CODEC_SECONDS:
            with timed(CODECS[form.name]) as codec, timed(COMPRESSORS[form.name]) as compressor:
                _, busy = seconds(work)
            least = list(map(min, least, (busy, codec[0], compressor[0])))
    return {
        f"{way}_codecs": least[0] / least[1],
        f"{way}_compressors": least[0] / least[2] if least[2] else None,
    }


@contextmanager
def one_thread() -> Iterator[None]:
    """Neither torch nor the kernels share their work meanwhile."""
    threads = torch.get_num_threads(), _native.num_threads()
    torch.set_num_threads(1)
    _native.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads[0])
        _native.set_num_threads(threads[1])


def measure_memory(form: Format, way: str, path: Path, source: Path | None, count: int) -> float:
    """The peak of one way in multiples of the scene's arrays, which writing has to begin with."""
    assert form.write is not None
    small = path.with_name(f"small{form.suffix}")
    form.write(scene_of(None, WARM), small)
    form.read(small)
    if way == "read":
        peak = peak_of(lambda: form.read(path))
        return peak / bytes_of(form.read(path))
    write, scene = form.write, held(scene_of(source, count), form)
    return 1 + peak_of(lambda: write(scene, path)) / bytes_of(scene)


def held(scene: Gaussians, form: Format) -> Gaussians:
    """The scene with the harmonics that a format holds."""
    return replace(scene, sh=scene.sh[:, : count_from_degree(form.max_degree)].contiguous())


def bytes_of(scene: Gaussians) -> int:
    """Of its float32 arrays."""
    return 4 * sum(tensor.numel() for tensor in scene.parameters().values())


def copy(path: Path) -> None:
    """A plain copy, flushed to the disk."""
    target = path.with_name("copy")
    shutil.copyfile(path, target)
    with target.open("r+b") as stream:
        os.fsync(stream.fileno())


def seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Elapsed time, and processor time of all threads."""
    start, busy = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - busy


@contextmanager
def timed(functions: Functions) -> Iterator[list[float]]:
    """A list whose one number becomes the processor seconds spent inside these functions."""
    spent, depth = [0.0], [0]

    def watched(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            depth[0] += 1
            start = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                depth[0] -= 1
                # One of these that calls another counts once.
                spent[0] += time.process_time() - start if depth[0] == 0 else 0

        return call

    with ExitStack() as stack:
        for owner, name in functions:
            stack.enter_context(mock.patch.object(owner, name, watched(getattr(owner, name))))
        yield spent


def peak_of(work: Callable[[], Any]) -> int:
    """Bytes by which the memory of this process grows at most while it works."""
    before = resident()
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")
    kept = work()
    peak = peak_bytes() - before
    del kept
    return max(peak, 0)


def resident() -> int:
    """Bytes of memory that this process holds now."""
    status = Path("/proc/self/status")
    return status_bytes("VmRSS") if status.exists() else peak_bytes()


def peak_bytes() -> int:
    """The most bytes that it has held (on Linux, since the mark was cleared)."""
    if Path("/proc/self/status").exists():
        return status_bytes("VmHWM")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def status_bytes(name: str) -> int:
    """A value of /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return 1024 * int(line.split()[1])
    return 0


def format_figures(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lines of a scorecard."""
    how = "scripts/bench/formats.py"
    figures = []
    for row in rows:
        name = row["format"]
        goal = COPY_GOAL if name in PLAIN else None
        for way in ("write", "read"):
            lines = [
                ("copies", row[f"{way}_copies"], goal),
                ("copies of processor time", row[f"{way}_processor_copies"], None),
                ("floats of memory", row[f"{way}_memory"], MEMORY_GOAL),
            ]
            if name in CODECS:
                lines += [("codecs", row[f"{way}_codecs"], CODEC_GOAL)]
            if row.get(f"{way}_compressors"):
                lines += [("compressors alone", row[f"{way}_compressors"], None)]
            figures += [
                figure(f"{name} {way}, {unit}", value, "times", least, how, -1)
                for unit, value, least in lines
            ]
    return figures


def measured_rows(source: Path | None, count: int, only: str | None) -> Iterator[dict[str, Any]]:
    """All formats, each in processes of its own."""
    for form in FORMATS:
        if form.write is None or (only and form.suffix != only):
            continue
        if form.name in LEAVE_OUT and not only:
            continue
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--one", form.name, "--count", str(count)]
            command += ["--file", str(Path(folder, f"scene{form.suffix}"))]
            if source is not None:
                command.append(str(source))
            row: dict[str, Any] = {}
            for what in ("write", "read", "times"):
                answer = subprocess.run(
                    [*command, "--what", what], stdout=subprocess.PIPE, text=True, check=True
                )
                row |= json.loads(answer.stdout)
        yield row


def measure_one(options: argparse.Namespace) -> dict[str, Any]:
    """What one process measures."""
    form = next(known for known in FORMATS if known.name == options.one)
    if options.what == "times":
        return measure(form, options.scene, options.count)
    peak = measure_memory(form, options.what, options.file, options.scene, options.count)
    return {f"{options.what}_memory": peak}


def main() -> None:
    """Measure all formats and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", nargs="?", type=Path, help="a scene file; random when left out")
    parser.add_argument("--count", type=int, default=COUNT, help="Gaussians")
    parser.add_argument("--only", help="one suffix")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--what", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.one:
        print(json.dumps(measure_one(options)))
        return
    rows = measured_rows(options.scene, options.count, options.only)
    if options.json:
        print(json.dumps(list(rows), indent=1))
        return
    heads = ("format", "bytes", "write: copies (of processor time)", "read")
    heads += ("write: codecs (compressors alone)", "read", "memory: write, read")
    print(f"| {' | '.join(heads)} |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        cells = [row["format"], f"{row['bytes_per_gaussian']:.1f}"]
        for unit, other in (("copies", "processor_copies"), ("codecs", "compressors")):
            for way in ("write", "read"):
                pair = (row.get(f"{way}_{unit}"), row.get(f"{way}_{other}"))
                cells.append(told(*pair))
        cells.append(f"{row['write_memory']:.2f}, {row['read_memory']:.2f}")
        print(f"| {' | '.join(cells)} |", flush=True)


def told(value: float | None, other: float | None) -> str:
    """A ratio and, in brackets, another one."""
    return "" if value is None else f"{value:.2f}" + (f" ({other:.2f})" if other else "")


if __name__ == "__main__":
    main()
