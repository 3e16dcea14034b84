"""The house's order: rooms import downward only, and some libraries have one door."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import splatkit

PACKAGE = Path(splatkit.__file__).parent
FLOORS = (
    {"core"},
    {"io", "render"},
    {"ingest"},
    {"train"},
    {"edit"},
    {"mesh"},
    {"relight"},
    {"export"},
    {"enhance"},
    {"viewer"},
    {"cli"},
)
FLOOR_OF = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
DOORS = {
    "plyfile": ("io/ply.py",),
    "pycolmap": ("ingest/",),
    "splatkit._native": (
        "render/backends/",
        "cli/doctor.py",
        "enhance/native.py",
        "io/splat.py",
        "mesh/tsdf.py",
    ),
}
OUTSIDE_ROOMS = {"__init__.py", "__main__.py"}


def imported_modules(tree: ast.AST, package: str) -> set[str]:
    """Dotted names of all modules that a file imports, those in functions included."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base]).rstrip(".")
            if base == "splatkit":
                found |= {f"splatkit.{alias.name}" for alias in node.names}
            found.add(base)
    return found


def complaints(path: str, source: str) -> list[str]:
    """What is wrong with the imports of ``splatkit/<path>``."""
    if path in OUTSIDE_ROOMS:
        return []
    room = path.split("/")[0]
    if room not in FLOOR_OF:
        return [f"{path}: {room} is no room of the house"]
    package = ".".join(["splatkit", *path.split("/")[:-1]])
    wrong = []
    for module in sorted(imported_modules(ast.parse(source), package)):
        for library, doors in DOORS.items():
            if f"{module}.".startswith(f"{library}.") and not path.startswith(doors):
                wrong.append(f"{path} imports {library}, which belongs in {' or '.join(doors)}")
        words = module.split(".")
        if words[0] != "splatkit" or len(words) == 1 or words[1] in ("__version__", "_native"):
            continue
        other = words[1]
        if other not in FLOOR_OF:
            wrong.append(f"{path} imports {module}, which is no room of the house")
        elif other != room and FLOOR_OF[other] >= FLOOR_OF[room]:
            wrong.append(f"{path} imports {module}: {room} stands below or beside {other}")
    return wrong


def test_rooms_import_downward_only() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 15
    wrong = [
        complaint
        for file in files
        for complaint in complaints(
            file.relative_to(PACKAGE).as_posix(), file.read_text(encoding="utf-8")
        )
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("path", "source", "count"),
    [
        ("io/ply.py", "import plyfile\nfrom splatkit.core import Gaussians", 0),
        ("io/spz.py", "import plyfile", 1),
        ("io/ply.py", "from splatkit.render import render", 1),
        ("core/sh.py", "def f():\n    from splatkit.io import write_text", 1),
        ("train/config.py", "from ..viewer import app", 1),
        ("train/config.py", "from . import events", 0),
        ("viewer/app.py", "from splatkit import Gaussians", 1),
        ("cli/doctor.py", "from splatkit import __version__\nimport pycolmap", 1),
        ("render/backends/cpu.py", "from splatkit import _native", 0),
        ("train/trainer.py", "from splatkit._native import blend", 1),
        ("attic/x.py", "", 1),
    ],
)
def test_the_check_itself(path: str, source: str, count: int) -> None:
    assert len(complaints(path, source)) == count
