"""What measures and proves on a GPU runs up to the launch without one: no typo waits there."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from splatkit.render.backends import _cuda_device
from splatkit.render.backends.cuda import CudaBackend
from tests.enhance.captured import capture_graph, modules_that_pretend
from tests.render import test_cuda_gpu as on_gpu
from tests.render.cases import CASES
from tests.render.fake_driver import FakeDriver
from tests.render.pretended import GPU, pretended_gpu
from tests.simt.driver import COMPILER, SimtDriver

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "bench"))
pytest.importorskip("cuda.core", reason="cuda-core is not installed")

import gpu as bench  # noqa: E402  # pyright: ignore[reportMissingImports]
import gpu_merge  # noqa: E402  # pyright: ignore[reportMissingImports]
import gpu_train  # noqa: E402  # pyright: ignore[reportMissingImports]
import gpu_upscale  # noqa: E402  # pyright: ignore[reportMissingImports]


@pytest.fixture
def gpu(monkeypatch):
    """A GPU that pretends, whose kernels only count; small scenes."""
    monkeypatch.setattr(bench, "SIZES", (40, 90))
    monkeypatch.setattr(bench, "WIDTH", 61)
    monkeypatch.setattr(bench, "HEIGHT", 45)
    monkeypatch.setattr("gpu_step.WARM_UP", 2)
    # One call instead of nine.
    monkeypatch.setattr("gpu_step.median_ms", lambda device, runs, work: float(work() is None))
    with pretended_gpu(monkeypatch):
        backend = CudaBackend(FakeDriver(device=GPU))

        def get_backend(name, device=None):
            return backend

        monkeypatch.setattr(bench, "get_backend", get_backend)
        monkeypatch.setattr(bench, "obstacle", lambda: None)
        monkeypatch.setattr(bench, "gsplat_obstacle", lambda: "there is none")
        monkeypatch.setattr("splatkit.render.rows.get_backend", get_backend)
        monkeypatch.setattr(_cuda_device, "obstacle", lambda: None)
        monkeypatch.setattr(gpu_upscale, "obstacle", lambda: None)
        monkeypatch.setattr(gpu_upscale, "PICTURES", (("s", 61, 45, 0.6), ("m", 61, 45, 1.5)))
        monkeypatch.setattr("splatkit.enhance.inference.capture_graph", capture_graph)
        with modules_that_pretend():
            yield backend


def test_kernels(gpu):
    figures = {told["id"]: told for told in bench.kernels()}
    for count in (40, 90):
        for name in (
            "G3 step",
            "G16 deterministic",
            "memory",
            "forward",
            "gradients",
            "shown",
            "triangles",
        ):
            assert figures[f"{name} {count}"]["value"] is not None
        stages = [
            name for name in figures if name.startswith("stage") and name.endswith(str(count))
        ]
        assert {name.split()[1] for name in stages} >= {"project", "emit", "blend", "finish"}
    assert figures["U6 neural s 61x45"]["value"] is not None
    assert figures["U6 neural m 61x45"]["goal"] == 1.5
    assert figures["hermite 61x45"]["value"] is not None
    driver = gpu.driver
    rounds = 2 * (gpu_upscale.WARM_UP + gpu_upscale.RUNS)
    assert len(driver.of("upscale_features")) == len(driver.of("upscale_add")) == rounds
    assert ("upscale_features", "seen") in driver.checked
    json.dumps(list(figures.values()))


def test_without_a_gpu_upscaling_says_so(monkeypatch):
    monkeypatch.setattr(gpu_upscale, "obstacle", lambda: "no GPU")
    figures = gpu_upscale.neural_figures()
    assert [told["goal"] for told in figures] == [0.6, 1.5, 3.0]
    assert {(told["value"], told["how"]) for told in figures} == {(None, "not measured: no GPU")}


def test_peer(gpu, monkeypatch):
    gsplat = pytest.importorskip("gsplat", reason="gsplat is not installed")
    signature = inspect.signature(gsplat.rasterization)
    seen = []

    def rasterization(*args, **kwargs):
        given = signature.bind(*args, **kwargs).arguments
        seen.append(given)
        size = (1, given["height"], given["width"], 3)
        sums = sum(given[n].sum() for n in ("means", "quats", "scales", "opacities", "colors"))
        return sums * torch.ones(size, device=GPU), None, {}

    library = SimpleNamespace(rasterization=rasterization, __version__="1.5.3")
    monkeypatch.setitem(sys.modules, "gsplat", library)
    monkeypatch.setattr(bench, "gsplat_obstacle", lambda: None)
    adam = torch.optim.Adam
    monkeypatch.setattr(torch.optim, "Adam", lambda *a, fused, **k: adam(*a, **k))
    figures = {told["id"]: told for told in bench.peer()}
    assert {name.split()[0] for name in figures} == {"G1", "G4", "G8", "G9", "gsplat", "cuda"}
    assert all(told["value"] is not None for told in figures.values())
    assert seen[0]["colors"].shape == (40, 16, 3)
    monkeypatch.setattr(bench, "gsplat_obstacle", lambda: "it is gone")
    (told,) = bench.peer()
    assert not told["pass"]
    assert told["how"] == "it is gone"


def test_train_goes_on_until_all_is_done(gpu, monkeypatch, tmp_path):
    sets = tmp_path / "fox" / "photos"
    sets.mkdir(parents=True)
    monkeypatch.setattr(gpu_train, "ROOT", tmp_path)
    (tmp_path / "data" / "sample" / "photos").mkdir(parents=True)
    monkeypatch.setenv("GPU_CHECK_SETS", os.pathsep.join((str(sets), str(tmp_path / "gone"))))
    monkeypatch.setattr(gpu_train, "gsplat_obstacle", lambda: None)
    calls, psnr = [], {"120s": 27.5, "15s": 27.0, "30s": 27.46}

    def run(command, timeout=None, **_):
        calls.append(command)
        out = Path(command[command.index("-o") + 1])
        if "ingest" in command:
            out.mkdir(parents=True)
            (out / "report.html").touch()
            return
        out.mkdir(parents=True, exist_ok=True)
        (out / "config.json").touch()
        if sum("train" in call for call in calls) == 2:
            raise subprocess.TimeoutExpired(command, timeout)
        (out / "eval").mkdir()
        reached = psnr[command[command.index("--time-limit") + 1]]
        stats = {"iterations": 900, "seconds_train": 120.0, "mean": {"psnr": reached}}
        (out / "eval" / "stats.json").write_text(json.dumps(stats))

    monkeypatch.setattr(gpu_train.subprocess, "run", run)
    prepared = list(gpu_train.prepare())
    assert [told["value"] is None for told in prepared] == [False, False, True]
    with pytest.raises(SystemExit) as stopped:
        list(gpu_train.train())
    assert stopped.value.code == gpu_train.UNFINISHED
    figures = list(gpu_train.train())
    # Each scene: this backend, gsplat, and that 30 seconds do what gsplat does in 120.
    assert [told["value"] for told in figures] == [27.5, 27.5, 4.0] * 2 + [None]
    trainings = [call for call in calls if "train" in call]
    assert [("--resume" in call) for call in trainings] == [False, False, True] + [False] * 6
    assert sum("ingest" in call for call in calls) == 2
    assert len(list(gpu_train.train())) == 7
    assert len([call for call in calls if "train" in call]) == 9
    monkeypatch.setattr(gpu_train, "PART_SECONDS", 0)
    (tmp_path / "build/gpu_check/runs/fox_photos_gsplat/eval/stats.json").unlink()
    with pytest.raises(SystemExit):
        list(gpu_train.train())


def test_what_was_measured_is_kept_where_a_part_breaks_off(gpu, monkeypatch, capsys):
    def broken():
        yield {"id": "first", "value": 1.0}
        raise MemoryError("5 million are too many")

    monkeypatch.setitem(bench.PARTS, "kernels", broken)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "kernels", "folder"])
    monkeypatch.setattr(bench.signal, "signal", lambda *_: None)
    assert bench.main() == bench.BROKEN
    first, last = json.loads(capsys.readouterr().out)["figures"]
    assert first["id"] == "first"
    assert not last["pass"]
    assert last["how"] == "MemoryError: 5 million are too many"


def test_parts_become_one_file_and_a_table(gpu, monkeypatch, tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    told = [
        {"id": "G3 step 1000000", "value": 3.0, "unit": "ms", "goal": 4.0, "pass": True, "how": ""},
        {"id": "G9 memory 1", "value": 0.9, "unit": "x", "goal": 0.7, "pass": False, "how": ""},
        {"id": "stage blend 1", "value": 0.9, "unit": "ms", "goal": None, "pass": True, "how": ""},
        {"id": "peer", "value": None, "unit": "", "goal": None, "pass": False, "how": "none"},
    ]
    (folder / "kernels.json").write_text(json.dumps({"name": "kernels", "figures": told}))
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{gpu_merge.BEGIN}\nnone\n{gpu_merge.END}\nafter\n")
    for _ in range(2):
        gpu_merge.merge(folder, tmp_path)
        text = readme.read_text()
        assert text.startswith("before\n")
        assert text.endswith("after\n")
        assert text.count("| G3 step 1000000 | 3 ms | 4 ms | met |") == 1
        assert "| G9 memory 1 | 0.9 x | 0.7 x | missed |" in text
        assert "stage" not in text
    (out,) = (tmp_path / "benchmarks" / "results").glob("*-pretended-gpu.json")
    document = json.loads(out.read_text())
    assert document["device"] == "Pretended GPU"
    assert document["parts"]["kernels"]["figures"] == told


def test_readme_has_a_place_for_the_table():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.index(gpu_merge.BEGIN) < text.index(gpu_merge.END)


def test_the_script_goes_on_where_it_stopped(tmp_path):
    script = tmp_path / "scripts" / "gpu_check.sh"
    script.parent.mkdir()
    script.write_bytes((ROOT / "scripts" / "gpu_check.sh").read_bytes())
    python = tmp_path / "python"
    # Every part works at once, but `train` first has no time left, and `peer` breaks off.
    python.write_text(
        f"""#!/bin/bash
echo "$@" >> calls
case "$*" in
  *" train "*) [ -e started ] || {{ touch started; exit 3; }} ;;
  *" peer "*) [ -e broken ] || {{ touch broken; echo '{{"figures": []}}'; exit 4; }} ;;
  "- "*) exec {sys.executable} "$@" ;;
esac
echo '{{"figures": []}}'
"""
    )
    python.chmod(0o755)
    results = tmp_path / "kept"
    environment = {
        "PYTHON": str(python), "PATH": "/usr/bin:/bin", "GPU_CHECK_RESULTS": str(results),
    }  # fmt: skip

    def check(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            ["bash", str(script), *words], env=environment, capture_output=True, text=True
        )
        return done.returncode, done.stdout + done.stderr

    assert check("nonsense")[0] == 2
    status, told = check("all")
    assert status == 0, told
    assert "train: not finished" in told
    assert "peer: broke off" in told
    assert sorted(p.name for p in results.glob("*.json")) == [
        "kernels.json", "parity.json", "peer.failed.json",
    ]  # fmt: skip
    figures = json.loads((results / "parity.json").read_text())["figures"]
    assert [f["id"] for f in figures] == ["parity", "sanitizer"]
    status, told = check("kernels", "peer", "train")
    assert "kernels: done before" in told
    assert sorted(p.name for p in results.glob("*.json")) == [
        "kernels.json", "parity.json", "peer.json", "train.json",
    ]  # fmt: skip
    assert not list(results.glob("*.writing"))
    assert (tmp_path / "calls").read_text().count("gpu.py kernels") == 1


@pytest.mark.skipif(not COMPILER, reason="no g++ to compile the kernels with")
def test_the_tests_for_a_gpu_run(monkeypatch):
    """Their bodies, on a GPU that pretends, with the kernels on the CPU."""
    with pretended_gpu(monkeypatch):
        backend = CudaBackend(SimtDriver(device=GPU), deterministic=True)
        cpu = on_gpu.get_backend("cpu")
        choose = {"cuda": backend, "cpu": cpu}.__getitem__
        monkeypatch.setattr(on_gpu, "get_backend", choose)
        on_gpu.test_images_and_gradients(next(c for c in CASES if c.name == "one pixel"))
        on_gpu.test_triangles_and_their_gradients(on_gpu.triangles.CASES[0])
        monkeypatch.setattr(on_gpu, "TRIALS", -2)
        on_gpu.test_training_steps_are_those_of_the_cpu(2)
