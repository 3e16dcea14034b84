"""A scene in work: what is selected, what is left, where it stands; every step can be undone.

Nothing here touches the scene that the work began with: a state is two masks over its Gaussians
and a similarity, so that a step costs two bytes a Gaussian however often it is undone.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from splatkit.core import Gaussians, SplatkitError
from splatkit.edit.placement import Similarity
from splatkit.edit.selection import combine

MOST_STEPS = 100
"""Steps that can be undone; older ones are forgotten."""


@dataclass(frozen=True)
class State:
    """One moment of the work."""

    words: str
    """What was done to come here."""
    alive: Tensor
    """[N] bool: not deleted."""
    selected: Tensor
    """[N] bool: selected, and alive."""
    placed: Similarity


class Workbench:
    """Changes a scene step by step; safe to use from several threads.

    Args:
        gaussians: N, never changed.
    """

    def __init__(self, gaussians: Gaussians) -> None:
        self.original = gaussians
        every = torch.ones(len(gaussians), dtype=torch.bool, device=gaussians.device)
        self._states = [State("as it was", every, ~every, Similarity())]
        self._now = 0
        self._changes = 0
        self._lock = threading.RLock()
        self._made: tuple[State, Gaussians] | None = None

    @property
    def state(self) -> State:
        """Where the work stands."""
        return self._states[self._now]

    @property
    def version(self) -> int:
        """Differs whenever something was done or undone."""
        return self._changes

    @property
    def changed(self) -> bool:
        """Whether the result differs from the scene that the work began with."""
        state = self.state
        return not (bool(state.alive.all()) and state.placed.is_identity)

    def current(self) -> Gaussians:
        """All N Gaussians where they stand now, the deleted ones included (for selecting)."""
        with self._lock:
            placed = self.state.placed
            if self._made is None or self._made[0].placed is not placed:
                self._made = self.state, placed.moved(self.original)
            return self._made[1]

    def result(self) -> Gaussians:
        """What is left, where it stands now."""
        with self._lock:
            return self.current()[self.state.alive] if self.changed else self.original

    def select(self, mask: Tensor, how: str = "new", words: str = "select") -> int:
        """Change the selection; returns how many are selected.

        Args:
            mask: [N] bool over the original's Gaussians.
            how: see ``splatkit.edit.selection.COMBINATIONS``.
            words: what the step is called.
        """
        with self._lock:
            state = self.state
            selected = combine(state.selected, mask.to(state.alive.device), how) & state.alive
            self._push(replace(state, words=words, selected=selected))
            return int(selected.sum())

    def invert(self) -> int:
        """Select what is not selected; returns how many are selected."""
        with self._lock:
            return self.select(~self.state.selected, "new", "invert the selection")

    def delete(self) -> int:
        """Delete what is selected; returns how many that are.

        Raises:
            SplatkitError: nothing is selected, or everything.
        """
        with self._lock:
            state = self.state
            count = int(state.selected.sum())
            if count == 0:
                raise SplatkitError("delete: expected a selection, nothing is selected")
            self.remove(state.selected, f"delete {count:,}")
            return count

    def keep(self) -> int:
        """Delete what is not selected; returns how many that are. Raises as ``delete``."""
        with self._lock:
            state = self.state
            others = state.alive & ~state.selected
            if not bool(state.selected.any()):
                raise SplatkitError("keep: expected a selection, nothing is selected")
            count = int(others.sum())
            self.remove(others, f"keep the selection, delete {count:,}")
            return count

    def remove(self, mask: Tensor, words: str) -> None:
        """Delete the Gaussians of a mask [N] as one step, whatever is selected."""
        with self._lock:
            state = self.state
            alive = state.alive & ~mask.to(state.alive.device)
            if not bool(alive.any()):
                raise SplatkitError("delete: expected something to be left, all is selected")
            selected = state.selected & alive
            self._push(replace(state, words=words, alive=alive, selected=selected))

    def move(self, similarity: Similarity, words: str = "move") -> None:
        """Put all of the scene elsewhere."""
        with self._lock:
            state = self.state
            self._push(replace(state, words=words, placed=state.placed.then(similarity)))

    def undo(self) -> str | None:
        """Go a step back; returns its words, None where there is none."""
        with self._lock:
            if self._now == 0:
                return None
            words = self.state.words
            self._now -= 1
            self._changes += 1
            return words

    def redo(self) -> str | None:
        """Go a step forward again; returns its words, None where there is none."""
        with self._lock:
            if self._now + 1 >= len(self._states):
                return None
            self._now += 1
            self._changes += 1
            return self.state.words

    def steps(self) -> list[str]:
        """What was done so far, oldest first."""
        with self._lock:
            return [state.words for state in self._states[1 : self._now + 1]]

    def _push(self, state: State) -> None:
        del self._states[self._now + 1 :]
        self._states.append(state)
        if len(self._states) > MOST_STEPS + 1:
            del self._states[1]
        self._now = len(self._states) - 1
        self._changes += 1
