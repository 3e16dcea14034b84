"""Very many damaged files of every format: a scene or one clear line, in bounded memory."""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path

import pytest

from splatkit.io import FORMATS, ply, spz
from tests.io.format_cases import scene, survives

resource = pytest.importorskip("resource", reason="this system does not count peak memory")
pytestmark = pytest.mark.long

COUNT = 7_000
"""For each kind of file; more than 100,000 in all."""
SLOW_COUNT = 150
"""Of kinds that are opened by a process of its own, which takes its time to start."""
SLOW = ("usda", "usdc", "usdz")
MAX_GROWTH_BYTES = 1 << 30
DATA = Path(__file__).parent / "data"
WRITTEN = {known.name: known for known in FORMATS if known.write is not None}
KSPLAT = next(known for known in FORMATS if known.name == "ksplat")
# A .usd is a .usdc by another name.
KINDS = (
    *(kind for kind in WRITTEN if kind != "usd"),
    "spz 3",
    "ply of text",
    *(f"ksplat {level}" for level in range(3)),
)


def test_there_are_enough():
    slow = sum(kind in SLOW for kind in KINDS)
    assert (len(KINDS) - slow) * COUNT + slow * SLOW_COUNT >= 100_000


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files(tmp_path, kind, capsys):
    known, good, target = good_file(tmp_path, kind)
    count = SLOW_COUNT if kind in SLOW else COUNT
    before, start = peak_bytes(), time.perf_counter()
    refused = survives(known.read, target, good, count)
    growth, seconds = peak_bytes() - before, time.perf_counter() - start
    with capsys.disabled():
        print(f"\n{kind}: {count} damaged files, {refused} refused, {seconds:.0f} s, "
              f"{growth >> 20} MiB more at the peak")  # fmt: skip
    # Every number is a scene of .splat; of the others much is seen to be damaged.
    assert 0 < refused < count
    assert growth < MAX_GROWTH_BYTES


def good_file(folder, kind):
    """The format, a good file of it, and where its damaged copies are written."""
    if kind.startswith("ksplat"):
        return KSPLAT, (DATA / f"level{kind[-1]}.ksplat").read_bytes(), folder / "a.ksplat"
    known = WRITTEN[kind.split()[0]]
    path = folder / f"a{known.suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "spz 3":
            spz.write(scene(30, 2), path, version=3)
        else:
            known.write(scene(30, 2), path)
    if kind == "ply of text":
        # Not mapped into memory: the same file is overwritten.
        rows = ply.PlyData.read(str(path), mmap=False)
        rows.text = True
        rows.write(str(path))
    return known, path.read_bytes(), path


def peak_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
