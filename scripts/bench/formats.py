"""Bytes, seconds, memory and fidelity of every scene format, for one scene.

    python scripts/bench/formats.py SCENE.ply [--json]

Each format runs in a process of its own, so that its peak memory is its own. "x copy" is how
many times longer it takes than copying a file of the written size.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from splatkit.export.convert import psnr_between
from splatkit.io import read_gaussians
from splatkit.io.registry import FORMATS, format_to_write


def measure(source: Path, suffix: str) -> dict[str, Any]:
    """Write a scene in one format and read it again."""
    scene = read_gaussians(source)
    before = peak_bytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"scene{suffix}"
        form, write = format_to_write(path)
        written = timed(lambda: write(scene, path))
        loaded = timed(lambda: form.read(path))
        copied = timed(lambda: shutil.copyfile(path, Path(folder) / "copy"))
        size = path.stat().st_size
        peak = peak_bytes() - before
        psnr = psnr_between(scene, form.read(path), form)
    floats = sum(tensor.numel() for tensor in scene.parameters().values())
    return {
        "format": form.name,
        "bytes_per_gaussian": size / max(len(scene), 1),
        "psnr": psnr,
        "write_seconds": written,
        "read_seconds": loaded,
        "write_copies": written / copied,
        "read_copies": loaded / copied,
        "extra_memory_of_floats": peak / (4 * max(floats, 1)),
    }


def timed(work: Any) -> float:
    """Seconds of the better of two runs."""
    best = float("inf")
    for _ in range(2):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def peak_bytes() -> int:
    """Most memory this process has held."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> None:
    """Measure all formats and print a table."""
    words = [word for word in sys.argv[1:] if word != "--json"]
    warnings.simplefilter("ignore")
    if len(words) == 2:
        print(json.dumps(measure(Path(words[0]), words[1])))
        return
    if len(words) != 1:
        raise SystemExit("usage: python scripts/bench/formats.py SCENE.ply [--json]")
    rows = []
    for form in FORMATS:
        if form.write is not None:
            command = [sys.executable, __file__, words[0], form.suffix]
            answer = subprocess.run(command, capture_output=True, text=True, check=True)
            rows.append(json.loads(answer.stdout))
    if "--json" in sys.argv:
        print(json.dumps(rows, indent=1))
        return
    print(
        "| format | bytes a Gaussian | PSNR, dB | write, s (x copy) | read, s (x copy) | memory |"
    )
    print("|---|---|---|---|---|---|")
    for row in rows:
        psnr = "exact" if row["psnr"] is None else f"{row['psnr']:.1f}"
        print(
            f"| {row['format']} | {row['bytes_per_gaussian']:.1f} | {psnr} "
            f"| {row['write_seconds']:.2f} ({row['write_copies']:.1f}) "
            f"| {row['read_seconds']:.2f} ({row['read_copies']:.1f}) "
            f"| {row['extra_memory_of_floats']:.1f} x floats |"
        )


if __name__ == "__main__":
    main()
