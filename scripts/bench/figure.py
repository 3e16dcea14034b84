"""One line of a scorecard."""

from __future__ import annotations

from typing import Any


def figure(
    name: str, value: float | None, unit: str, goal: float | None, how: str, sign: int = 1
) -> dict[str, Any]:
    """A figure beside its goal.

    Args:
        name: what was measured.
        value: what came out; None when nothing did.
        unit: of both.
        goal: the least that is promised; None where nothing is.
        how: the command or the way.
        sign: -1 where less is better.
    """
    passed = value is not None and (goal is None or sign * value >= sign * goal)
    return {"id": name, "value": value, "unit": unit, "goal": goal, "pass": passed, "how": how}
