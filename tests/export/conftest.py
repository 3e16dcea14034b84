from __future__ import annotations

import pytest

from splatkit.export import convert


@pytest.fixture
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparisons of tiny pictures, for tests of something else."""
    monkeypatch.setattr(convert, "CHECK_SIZE", (48, 36))
