"""Drivers that run the CUDA kernels on the CPU."""

import pytest

from tests.simt.driver import COMPILER, SimtDriver


@pytest.fixture(scope="session")
def driver() -> SimtDriver:
    """Threads and blocks in order."""
    if not COMPILER:
        pytest.skip("no g++ to compile the CUDA kernels for the CPU")
    return SimtDriver()


@pytest.fixture(scope="session")
def shuffled(driver: SimtDriver) -> SimtDriver:
    """Threads and blocks in random order."""
    return SimtDriver(seed=20240607)
