"""Very many damaged files of every compact format: a scene or one clear line, in bounded memory."""

from __future__ import annotations

import sys
import time
import warnings

import pytest
from format_cases import scene, survives

from splatkit.io import compressed_ply, ksplat, npz, sog, splat, spz

resource = pytest.importorskip("resource", reason="this system does not count peak memory")
pytestmark = pytest.mark.long

COUNT = 12_000
"""For each kind of file; more than 100,000 in all."""
MAX_GROWTH_BYTES = 1 << 30


def good_files(tmp_path):
    path = tmp_path / "good"
    for version in spz.VERSIONS:
        spz.write(scene(30, 2), path, version=version)
        yield f"spz {version}", spz.read, path.read_bytes()
    for module in (splat, compressed_ply, sog, npz):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module.write(scene(30, 2), path)
        yield module.NAME, module.read, path.read_bytes()


@pytest.mark.parametrize("index", range(6))
def test_damaged_files(tmp_path, index, capsys):
    name, read, good = list(good_files(tmp_path))[index]
    report(name, read, good, tmp_path, capsys)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_damaged_ksplat_files(tmp_path, level, capsys, request):
    good = (request.path.parent / "data" / f"level{level}.ksplat").read_bytes()
    report(f"ksplat {level}", ksplat.read, good, tmp_path, capsys)


def report(name, read, good, tmp_path, capsys):
    before, start = peak_bytes(), time.perf_counter()
    refused = survives(read, tmp_path / "damaged", good, COUNT)
    growth, seconds = peak_bytes() - before, time.perf_counter() - start
    with capsys.disabled():
        print(f"\n{name}: {COUNT} damaged files, {refused} refused, {seconds:.0f} s, "
              f"{growth >> 20} MiB more at the peak")  # fmt: skip
    assert 0 < refused < COUNT
    assert growth < MAX_GROWTH_BYTES


def peak_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
