"""What Python reads out of ``params.h`` is what the compiler makes of it."""

import ctypes

import pytest

from splatkit.core import SplatkitError
from splatkit.render.backends import _cuda_params
from splatkit.render.backends._cuda_compile import nvrtc_version
from splatkit.render.backends._cuda_params import interface, parse

pytest.importorskip("cuda.core", reason="cuda-core is not installed")


def test_layouts_are_the_compilers(monkeypatch, tmp_path) -> None:
    checks = ['#include "params.h"', "using namespace splatkit;"]
    for struct in interface().structs.values():
        size = ctypes.sizeof(struct.layout)
        checks.append(f"static_assert(sizeof({struct.name}) == {size});")
        for field in struct.fields:
            place = getattr(struct.layout, field.name)
            checks.append(
                f"static_assert(__builtin_offsetof({struct.name}, {field.name}) == {place.offset} "
                f"&& sizeof((({struct.name} *)0)->{field.name}) == {place.size});"
            )
    for name, value in interface().constants.items():
        checks.append(f"static_assert({name} == {value});")
    assert len(checks) > 200
    _compile("\n".join(checks), 80)
    with pytest.raises(Exception, match="static assertion"):
        _compile('#include "params.h"\nstatic_assert(sizeof(splatkit::RangesParams) == 1);', 80)


def _compile(source: str, architecture: int) -> None:
    from cuda.core import Program, ProgramOptions

    try:
        nvrtc_version()
    except SplatkitError as error:
        pytest.skip(str(error))

    folder = str(_cuda_params.source_root() / "gpu")
    Program(
        source, "c++", ProgramOptions(arch=f"sm_{architecture}", include_path=[folder])
    ).compile("cubin")


def test_what_cannot_be_read_is_named() -> None:
    with pytest.raises(SplatkitError, match=r"one field of A a line, got 'int a, b;'"):
        parse("struct A {\n  int a, b;\n};\n")
    with pytest.raises(SplatkitError, match=r"A\.a has the unknown type 'short'"):
        parse("struct A {\n  short a;\n};\n")
    read = parse("struct A {\n  const float *a[3];  // [N]\n  unsigned long long b;\n};\n")
    assert [(f.name, f.type, f.length) for f in read.structs["A"].fields] == [
        ("a", "float *", 3),
        ("b", "unsigned long long", 0),
    ]
    assert ctypes.sizeof(read.structs["A"].layout) == 32
