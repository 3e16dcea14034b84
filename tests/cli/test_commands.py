from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from splatkit import __version__
from splatkit.cli._main import COMMANDS
from splatkit.io import write_gaussians
from tests.scenes import ball_over_floor, write_run


def test_alone_it_opens_the_page_and_says_how_to_start(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "splatkit"],
        cwd=tmp_path,
        env={**os.environ, "SPLATKIT_CACHE": str(tmp_path), "DISPLAY": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        serving = program.stdout.readline()
        program.terminate()
        said = program.communicate(timeout=600)[1]
    assert "0 scenes are at http://localhost:" in serving
    assert "splatkit train PHOTOS" in said
    assert "splatkit view" in said


def test_help_lists_every_command_and_needs_no_torch() -> None:
    program = (
        "import sys; from splatkit.cli import main; main(['--help']); print(sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "'torch'" not in done.stdout
    for name, summary in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(summary)}$", done.stdout, re.MULTILINE)


def test_version(splatkit) -> None:
    assert splatkit("--version").out == f"splatkit {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_page(splatkit, name: str) -> None:
    answer = splatkit(*name.split(), "--help")
    assert answer.code == 0
    assert answer.out.startswith(f"usage: splatkit {name} [-h]")
    assert len(answer.out.splitlines()) < 80
    assert "None" not in answer.out
    assert not re.search(r"\b(INT|STR|FLOAT)\b|\(default:\s*(''|\))", answer.out)
    assert "│" not in answer.out
    assert "recipe.rates" not in answer.out


def test_a_group_lists_its_commands(splatkit) -> None:
    listed = [name for name in COMMANDS if name.startswith("bench ")]
    answer = splatkit("bench", "--help")
    assert answer.code == 0
    assert re.findall(r"^  (\w+ \w+)", answer.out, re.MULTILINE) == listed
    assert splatkit("bench").code == 2
    wrong = splatkit("bench", "rendering")
    assert (wrong.code, wrong.err) == (
        2,
        "error: expected one of bench train, bench render, bench enhance; got "
        "'bench rendering'; did you mean bench render?\n",
    )


def test_what_may_be_left_out_stands_in_brackets(splatkit) -> None:
    assert splatkit("report", "--help").out.startswith("usage: splatkit report [-h] RUN [OTHER]")


def test_the_long_help_has_the_recipe(splatkit) -> None:
    assert "--recipe.rates.means X" in splatkit("train", "--help-all").out


def test_info(splatkit, tmp_path: Path) -> None:
    file = tmp_path / "balls.ply"
    write_gaussians(ball_over_floor(), file)
    answer = splatkit("info", file)
    assert answer.code == 0
    assert "gaussians           120\n" in answer.out
    described = json.loads(splatkit("info", file, "--json").out)
    assert described["num_gaussians"] == 120
    assert described["sh_degree"] == 0
    # The balls do not tell; the file's own comment does.
    assert (described["up_guess"], described["up_known_from"]) == ("-y", "the file")


def test_info_of_a_run_is_of_its_scene(splatkit, tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    answer = splatkit("info", tmp_path / "run")
    assert answer.code == 0
    assert str(tmp_path / "run" / "exports" / "scene.ply") in answer.out


def test_info_of_a_file_with_nan_warns_and_goes_on(splatkit, tmp_path: Path) -> None:
    gaussians = ball_over_floor()
    gaussians.means[3] = float("nan")
    file = tmp_path / "nan.ply"
    write_gaussians(gaussians, file)
    answer = splatkit("info", file, "--json")
    assert answer.code == 0
    assert json.loads(answer.out)["not_finite"] == 1


def test_render_writes_both_paths_and_says_where(splatkit, tmp_path: Path) -> None:
    run = write_run(tmp_path / "balls")
    answer = splatkit("render", run, "--frames", 3, "--json")
    assert answer.code == 0
    files = json.loads(answer.out)["files"]
    assert files == [str(run / "renders" / name) for name in ("orbit.mp4", "captured.mp4")]
    assert all(Path(file).stat().st_size > 500 for file in files)
    assert "Rendering orbit  3/3 (100%)" in answer.err
    film = tmp_path / "film.mp4"
    answer = splatkit("render", run, "-o", film, "--frames", 2)
    assert answer.out == f"{film}\n"
    assert film.exists()


def test_doctor_names_what_matters(splatkit) -> None:
    answer = splatkit("doctor", "--json")
    findings = {finding["name"]: finding for finding in json.loads(answer.out)}
    for name in ("splatkit", "Python", "system", "processor", "memory", "free disk", "torch",
                 "NVIDIA GPU", "CUDA kernels", "rasterizer", "self test", "pycolmap",
                 "video encoder", "viewer"):  # fmt: skip
        assert findings[name]["ok"], findings[name]
    assert answer.code == 0
    text = splatkit("doctor").out
    assert "ok   splatkit" in text


def test_doctor_of_a_broken_installation_says_so(splatkit, monkeypatch) -> None:
    from splatkit.cli import doctor

    def broken(name: str) -> str:
        raise doctor.PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", broken)
    answer = splatkit("doctor")
    assert answer.code == 1
    assert "BAD  pycolmap" in answer.out
    assert "pip install pycolmap" in answer.out


def test_an_nvidia_card_under_a_cpu_torch_is_named_with_the_line_to_install(monkeypatch) -> None:
    import torch

    from splatkit.cli import doctor
    from splatkit.render.backends import _cuda_device

    monkeypatch.setattr(_cuda_device, "nvidia_card", lambda: "NVIDIA GeForce RTX 4090")
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(_cuda_device.sys, "platform", "linux")
    _cuda_device.obstacle.cache_clear()
    finding = doctor.nvidia()
    assert finding.ok
    assert "RTX 4090" in finding.value
    assert "pip install --force-reinstall torch" in finding.value
    monkeypatch.setattr(_cuda_device.sys, "platform", "win32")
    _cuda_device.obstacle.cache_clear()
    assert "pytorch.org/get-started" in doctor.nvidia().value
    _cuda_device.obstacle.cache_clear()
