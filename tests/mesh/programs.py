"""What other programs find in a GLB: each gives the same facts, or skips where it is not there.

- Blender: ``SPLATKIT_BLENDER`` is ``blender``, or a Python with the package bpy.
- Godot 3: ``godot3-server`` on the path (Debian's package of that name), or ``SPLATKIT_GODOT``.
- assimp: ``assimp`` on the path (Debian's assimp-utils).
- trimesh: the package. three.js: see ``tests.mesh.outside``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.mesh.outside import three_page

VIEWERS = Path(__file__).parent / "viewers"
SECONDS = 300


@dataclass(frozen=True)
class Found:
    """What a program makes of a file."""

    version: str
    low: tuple[float, ...]
    """Of the bounds, in glTF's axes whatever the program's own are: left, up, front."""
    high: tuple[float, ...]
    triangles: int
    materials: int
    pictures: list[list[int]]
    """Width and height of each."""
    unlit: bool | None = None
    """Whether it draws without lights; None where it cannot be asked."""
    bodies: tuple[str, ...] = ()
    """Shapes for physics that it made of the file by itself."""


def blender(file: Path, folder: Path) -> Found:
    """Blender's importer; Blender is z up, glTF's front is its -y."""
    program = os.environ.get("SPLATKIT_BLENDER") or shutil.which("blender")
    if not program:
        pytest.skip("SPLATKIT_BLENDER names neither blender nor a Python with bpy")
    script = str(VIEWERS / "blender_facts.py")
    words = ["--background", "--factory-startup", "--python", script, "--", str(file)]
    if "python" in Path(program).name:
        words = [script, str(file)]
    told = _facts([program, *words], folder)
    mesh = _together(told["meshes"])
    (left, y, up), (right, back, top) = mesh["low"], mesh["high"]
    return Found(
        f"Blender {told['version']}",
        (left, up, -back),
        (right, top, -y),
        mesh["triangles"],
        mesh["materials"],
        told["pictures"],
        told["unlit"],
    )


def godot(file: Path, folder: Path) -> Found:
    """Godot's importer of scenes, which runs in its editor alone."""
    program = os.environ.get("SPLATKIT_GODOT") or shutil.which("godot3-server")
    if not program:
        pytest.skip("needs Godot 3 without a screen: apt-get install godot3-server")
    project = folder / "project"
    project.mkdir()
    (project / "project.godot").write_text("config_version=4\n")
    shutil.copy(file, project / "scene.glb")
    # The editor does not end by itself after the import.
    editor = subprocess.Popen(
        [program, "--path", str(project), "--editor"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and not list((project / ".import").glob("*.md5")):
        time.sleep(0.2)
    editor.kill()
    editor.wait()
    script = str(VIEWERS / "godot_facts.gd")
    told = _facts([program, "--path", str(project), "-s", script], folder)
    mesh = _together(told["meshes"])
    return Found(
        f"Godot {told['version']}",
        tuple(mesh["low"]),
        tuple(mesh["high"]),
        int(mesh["triangles"]),
        int(mesh["materials"]),
        _different(told["pictures"]),
        bodies=tuple(told["bodies"]),
    )


def assimp(file: Path, folder: Path) -> Found:
    """The program ``assimp``, which tells bounds and counts."""
    program = shutil.which("assimp")
    if program is None:
        pytest.skip("needs assimp on the path: apt-get install assimp-utils")
    text = _output([program, "info", str(file)], folder)

    def number(name: str) -> int:
        return int(re.search(rf"{name}:\s+(\d+)", text)[1])  # pyright: ignore

    def point(name: str) -> tuple[float, ...]:
        return tuple(map(float, re.search(rf"{name} point\s+\((.*)\)", text)[1].split()))  # pyright: ignore

    # Its pictures can be taken out of the file, as they were put in.
    _output([program, "extract", str(file), str(folder / "picture"), "-ba"], folder)
    pictures = [list(Image.open(found).size) for found in folder.glob("picture_img*")]
    version = re.search(r"Version (\S+)", _output([program, "version"], folder))
    return Found(
        f"assimp {version[1] if version else ''}",
        point("Minimum"),
        point("Maximum"),
        number("Faces"),
        number("Materials"),
        pictures,
    )


def trimesh(file: Path, _: Path) -> Found:
    """The package trimesh."""
    library = pytest.importorskip("trimesh", reason="needs trimesh: pip install trimesh")
    scene = library.load(file, process=False)
    meshes = scene.geometry.values()
    pictures = [mesh.visual.material.baseColorTexture for mesh in meshes]
    return Found(
        f"trimesh {library.__version__}",
        tuple(scene.bounds[0]),
        tuple(scene.bounds[1]),
        sum(len(mesh.faces) for mesh in meshes),
        1,
        _different([list(picture.size) for picture in pictures if picture is not None]),
    )


def three(file: Path, _: Path) -> Found:
    """three.js in Chromium."""
    with three_page(file) as page:
        told = page.evaluate("window.facts()")
    return Found(
        f"three.js r{told['version']}",
        tuple(told["low"]),
        tuple(told["high"]),
        told["triangles"],
        told["materials"],
        told["pictures"],
        told["unlit"],
    )


PROGRAMS = {
    "Blender": blender, "Godot": godot, "assimp": assimp, "trimesh": trimesh, "three.js": three,
}  # fmt: skip


def _together(meshes: list[dict[str, Any]]) -> dict[str, Any]:
    """Facts of several meshes as of one; materials of the one that has most."""
    return {
        "low": [min(ends) for ends in zip(*(mesh["low"] for mesh in meshes), strict=True)],
        "high": [max(ends) for ends in zip(*(mesh["high"] for mesh in meshes), strict=True)],
        "triangles": sum(mesh["triangles"] for mesh in meshes),
        "materials": max(mesh["materials"] for mesh in meshes),
    }


def _different(pictures: list[list[int]]) -> list[list[int]]:
    """Sizes of pictures; meshes that share one tell it twice."""
    return [size for k, size in enumerate(pictures) if size not in pictures[:k]]


def _facts(words: list[str], folder: Path) -> dict[str, Any]:
    """What a script of ours printed behind FACTS."""
    text = _output(words, folder)
    line = next((line for line in text.splitlines() if line.startswith("FACTS ")), None)
    assert line is not None, text[-2000:]
    return json.loads(line[6:])


def _output(words: list[str], folder: Path) -> str:
    # A language, for Godot; a home of its own, for what programs leave there.
    clean = os.environ | {"LC_ALL": "C.UTF-8", "LANG": "en_US.UTF-8", "HOME": str(folder)}
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=SECONDS, env=clean
    )
    return done.stdout + done.stderr
