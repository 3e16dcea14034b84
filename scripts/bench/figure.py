"""One line of a scorecard, and how a bench prints its lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from splatkit.core import UsageError


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


def figures_of(
    parts: Mapping[str, Callable[[], list[dict[str, Any]]]], only: str
) -> list[dict[str, Any]]:
    """Figures of the parts whose name contains ``only``.

    Raises:
        UsageError: none does.
    """
    chosen = [part for name, part in parts.items() if only in name]
    if not chosen:
        raise UsageError(f"--only: expected a part of {', '.join(parts)}, got {only!r}")
    return [line for part in chosen for line in part()]


def print_figures(figures: list[dict[str, Any]], machine: str, as_json: bool) -> None:
    """Print figures below the machine that they were taken on, or all as one JSON document."""
    if as_json:
        print(json.dumps({"machine": machine, "figures": figures}, indent=1))
        return
    print(machine)
    for line in figures:
        print(f"{line['id']}: {line['value']:.2f} {line['unit']} ({line['how']})")
