"""Speed and memory of every scene format, beside a plain file copy and the format's own codec.

    python scripts/bench/formats.py [SCENE] [--count 1000000] [--json] [--only SUFFIX]

Reading and writing of one format take turns with copying a file of the same size (flushed to the
disk like everything that splatkit writes), in a process of their own; the figures are ratios of
the least times. Times are processor time: other programs that run do not count. *Codec* is the
time inside what the format prescribes: its compressor (zstandard, zlib, WebP), the clustering of
colours for SOG, and the arithmetic between numbers and its integers for SPZ and compressed PLY;
the rest is files, order in space, axes and checks. *Memory* is the peak in
multiples of the scene's float32 arrays, these included: 2 is the arrays and as much again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from figure import figure

from splatkit.core import Gaussians
from splatkit.io import _packing, compressed_ply, read_gaussians, sog, spz
from splatkit.io.registry import FORMATS, Format

COUNT = 1_000_000
ROUNDS = 3
SECONDS = 30.0
"""No further round of a format that took longer: small differences do not count there."""
COPY_GOAL = 2.0
"""Reading and writing may take so many file copies, where numbers are stored as they are."""
CODEC_GOAL = 1.5
"""They may take so many times the codec's own time, where there is one."""
MEMORY_GOAL = 2.0
LEAVE_OUT = ("gltf", "usda", "usd")
"""Ways of writing down what another row shows already, and text that nobody opens at this size."""
PLAIN = ("ply", "splat", "npz")
CODECS: dict[str, list[tuple[Any, str]]] = {
    "spz": [(spz, name) for name in ("_compressed", "_unzstd", "_gzip", "_packed", "_unpacked")],
    "sog": [(sog, "_picture"), (sog, "_decoded"), (sog, "codebook"), (sog, "palette")],
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
            "_rest",
        )
    ]
    + [(_packing, "morton_order")],
}
"""Functions that are the codec of a format."""


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
    """Write and read a scene in one format, in turns with copies."""
    scene = scene_of(source, count)
    floats = 4 * sum(tensor.numel() for tensor in scene.parameters().values())
    assert form.write is not None
    write = form.write
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"scene{form.suffix}")
        written = peak_of(lambda: write(scene, path))
        del scene
        read = peak_of(lambda: form.read(path))
        scene = form.read(path)
        times: dict[str, list[float]] = {name: [] for name in ("write", "read", "copy")}
        codec: dict[str, list[float]] = {"write": [], "read": []}
        for _ in range(ROUNDS):
            times["copy"].append(seconds(lambda: copy(path)))
            for name, work in (
                ("write", lambda: write(scene, path)),
                ("read", lambda: form.read(path)),
            ):
                with timed_codec(form) as spent:
                    times[name].append(seconds(work))
                codec[name].append(spent[0])
            if sum(map(sum, times.values())) > SECONDS:
                break
        size = sum(file.stat().st_size for file in Path(folder).iterdir() if file.name != "copy")
    least = {name: min(values) for name, values in times.items()}
    return {
        "format": form.name,
        "bytes_per_gaussian": size / count,
        "write_copies": least["write"] / least["copy"],
        "read_copies": least["read"] / least["copy"],
        "write_codecs": least["write"] / min(codec["write"]) if form.name in CODECS else None,
        "read_codecs": least["read"] / min(codec["read"]) if form.name in CODECS else None,
        "write_memory": 1 + written / floats,
        "read_memory": read / floats,
        "seconds": least,
    }


def copy(path: Path) -> None:
    """A plain copy, flushed to the disk."""
    target = path.with_name("copy")
    shutil.copyfile(path, target)
    with target.open("r+b") as stream:
        os.fsync(stream.fileno())


def seconds(work: Callable[[], Any]) -> float:
    """Processor time, of all threads."""
    start = time.process_time()
    work()
    return time.process_time() - start


@contextmanager
def timed_codec(form: Format) -> Iterator[list[float]]:
    """A list whose one number becomes the seconds spent inside a format's codec."""
    spent, depth = [0.0], [0]

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
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
        for module, name in CODECS.get(form.name, []):
            stack.enter_context(mock.patch.object(module, name, timed(getattr(module, name))))
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
            figures.append(figure(f"{name} {way}", row[f"{way}_copies"], "copies", goal, how, -1))
            if name in CODECS:
                ratio = row[f"{way}_codecs"]
                figures.append(figure(f"{name} {way}", ratio, "codecs", CODEC_GOAL, how, -1))
            memory = row[f"{way}_memory"]
            figures.append(figure(f"{name} {way} memory", memory, "x floats", MEMORY_GOAL, how, -1))
    return figures


def measured_rows(source: Path | None, count: int, only: str | None) -> Iterator[dict[str, Any]]:
    """All formats, each in a process of its own."""
    for form in FORMATS:
        if form.write is None or (only and form.suffix != only):
            continue
        if form.name in LEAVE_OUT and not only:
            continue
        command = [sys.executable, __file__, "--one", form.name, "--count", str(count)]
        if source is not None:
            command.append(str(source))
        answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        yield json.loads(answer.stdout)


def main() -> None:
    """Measure all formats and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", nargs="?", type=Path, help="a scene file; random when left out")
    parser.add_argument("--count", type=int, default=COUNT, help="Gaussians")
    parser.add_argument("--only", help="one suffix")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.one:
        form = next(known for known in FORMATS if known.name == options.one)
        print(json.dumps(measure(form, options.scene, options.count)))
        return
    rows = measured_rows(options.scene, options.count, options.only)
    if options.json:
        print(json.dumps(list(rows), indent=1))
        return
    print(
        "| format | bytes | write, copies (codecs) | read, copies (codecs) | memory write, read |"
    )
    print("|---|---|---|---|---|")
    for row in rows:
        codecs = [row[f"{way}_codecs"] for way in ("write", "read")]
        wrote, read = (f" ({ratio:.2f})" if ratio else "" for ratio in codecs)
        print(
            f"| {row['format']} | {row['bytes_per_gaussian']:.1f} "
            f"| {row['write_copies']:.1f}{wrote} | {row['read_copies']:.1f}{read} "
            f"| {row['write_memory']:.2f}, {row['read_memory']:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
