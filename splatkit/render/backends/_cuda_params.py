"""The kernels' argument structs, constants and table, read out of ``cuda/gpu/params.h``.

The header is the only place where they are written down: what a kernel is compiled with and what
it is launched with cannot differ.
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import splatkit
from splatkit.core.errors import SplatkitError

_SCALARS: dict[str, type] = {
    "float": ctypes.c_float,
    "int": ctypes.c_int32,
    "unsigned": ctypes.c_uint32,
    "long long": ctypes.c_int64,
    "unsigned long long": ctypes.c_uint64,
}
_STRUCT = re.compile(r"struct (\w+) \{\n(.*?)\n\};", re.DOTALL)
_FIELD = re.compile(r"([\w ]+?(?:\s\*)?)\s?(\w+)(?:\[(\d+)\])?;")
_CONSTANT = re.compile(r"^constexpr int (\w+) = (\d+);", re.MULTILINE)
_ROW = re.compile(r"^//   (\w+) +(\w+\.cu) +(\w+) ", re.MULTILINE)


@dataclass(frozen=True)
class Field:
    """One member of an argument struct."""

    name: str
    type: str
    """As written, without ``const``: ``float *``, ``long long``."""
    length: int
    """Of an array, else 0."""

    @property
    def is_pointer(self) -> bool:
        """Whether it holds the address of a tensor."""
        return self.type.endswith("*")


@dataclass(frozen=True)
class Struct:
    """An argument struct."""

    name: str
    fields: tuple[Field, ...]
    layout: type[ctypes.Structure]
    """With C's sizes and offsets; pointers are integers."""


@dataclass(frozen=True)
class Kernel:
    """A row of the header's table."""

    name: str
    file: str
    arguments: str
    """Name of its struct."""


@dataclass(frozen=True)
class Interface:
    """All that the header says."""

    structs: dict[str, Struct]
    kernels: dict[str, Kernel]
    constants: dict[str, int]


def source_root() -> Path:
    """Folder that holds ``gpu`` and ``include``: of the checkout, else of the installed package.

    Raises:
        SplatkitError: the package was installed without them.
    """
    places = [Path(splatkit.__file__).parents[1] / "cuda"]
    places += [Path(place) / "_cuda" for place in splatkit.__path__]
    for place in places:
        if (place / "gpu" / "params.h").is_file():
            return place
    raise SplatkitError(
        f"CUDA kernels: expected gpu/params.h in {' or '.join(map(str, places))}, found none; "
        "reinstall with: pip install --force-reinstall splatkit"
    )


@cache
def interface() -> Interface:
    """What ``params.h`` says, read once."""
    return parse((source_root() / "gpu" / "params.h").read_text(encoding="utf-8"))


def constant(name: str) -> int:
    """A number of ``params.h``."""
    return interface().constants[name]


def divided(count: int, by: int) -> int:
    """Quotient rounded up: blocks for so many things, ``by`` a block."""
    return -(-count // by)


def parse(header: str) -> Interface:
    """Structs, kernels and constants of a header written as ``params.h`` says."""
    code = re.sub(r"[ \t]*//[^\n]*", "", header)
    structs = {}
    for name, body in _STRUCT.findall(code):
        fields = tuple(_field(line.strip(), name) for line in body.splitlines() if line.strip())
        members = [(f.name, _ctype(f, name)) for f in fields]
        layout = type(name, (ctypes.Structure,), {"_fields_": members})
        structs[name] = Struct(name, fields, layout)
    kernels = {row[0]: Kernel(*row) for row in _ROW.findall(header) if row[2] in structs}
    constants = {name: int(value) for name, value in _CONSTANT.findall(code)}
    return Interface(structs, kernels, constants)


def _field(line: str, struct: str) -> Field:
    match = _FIELD.fullmatch(line)
    if match is None:
        raise SplatkitError(f"params.h: expected one field of {struct} a line, got {line!r}")
    kind = match[1].replace("const ", "").strip()
    return Field(match[2], kind, int(match[3] or 0))


def _ctype(field: Field, struct: str) -> Any:
    if not field.is_pointer and field.type not in _SCALARS:
        raise SplatkitError(f"params.h: {struct}.{field.name} has the unknown type {field.type!r}")
    one: Any = ctypes.c_void_p if field.is_pointer else _SCALARS[field.type]
    return one * field.length if field.length else one
