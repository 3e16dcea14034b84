"""Instruction sets and thread counts of the native kernels, put back after each test."""

from collections.abc import Callable, Iterator

import pytest

from splatkit import _native


@pytest.fixture(params=_native.supported_isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test once with every instruction set that this processor has."""
    before = _native.isa()
    _native.set_isa(request.param)
    yield request.param
    _native.set_isa(before)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """A function that sets the number of threads for the rest of the test."""
    before = _native.num_threads()
    yield _native.set_num_threads
    _native.set_num_threads(before)
