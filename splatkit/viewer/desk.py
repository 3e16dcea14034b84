"""The scene of one browser in work: what is edited, shown as it is, with the selection coloured."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path

import torch

from splatkit.core import Gaussians, Photo, SplatkitError
from splatkit.core.sh import sh_from_rgb
from splatkit.edit import Workbench, save_edited
from splatkit.viewer.allowance import Allowance
from splatkit.viewer.source import SceneSource

SELECTED_COLOR = (1.0, 0.6, 0.1)
TINT = 0.65
"""Share of that colour in what is selected."""
MARKED = "marked"
"""Name in ``Gaussians.extra``: 1 for what is marked, so that it follows every selection."""


class Desk:
    """A scene source that is the scene itself until something is changed.

    Args:
        source: the scene; it is never changed, other browsers see it as it was.
        run: the run folder that it comes from, where there is one.
    """

    def __init__(self, source: SceneSource, run: Path | None = None) -> None:
        self.name = source.name
        self.photos: list[Photo] = source.photos
        self.background = source.background
        self._source = source
        self._run = run
        self._bench: Workbench | None = None
        self._lock = threading.Lock()
        self._drawn: tuple[Hashable, Gaussians] | None = None
        self._marked: torch.Tensor | None = None

    @property
    def allowance(self) -> Allowance | None:
        """The scene's."""
        return self._source.allowance

    @property
    def is_live(self) -> bool:
        """Whether the scene still changes by itself, so that it cannot be worked on."""
        return self._source.allowance is not None

    @property
    def is_begun(self) -> bool:
        """Whether anything was selected or changed yet."""
        return self._bench is not None

    @property
    def bench(self) -> Workbench:
        """The workbench, begun with the scene as it is now.

        Raises:
            SplatkitError: the scene is in training.
        """
        with self._lock:
            if self._bench is None:
                if self.is_live:
                    raise SplatkitError(
                        "edit: expected a scene that rests, this one is in training"
                    )
                self._bench = Workbench(self._source.current()[0])
            return self._bench

    def mark(self) -> int:
        """Remember what is selected as the part where pictures are enhanced, or not.

        Returns:
            How many Gaussians that are.

        Raises:
            SplatkitError: nothing is selected, or the scene is in training.
        """
        selected = self.bench.state.selected
        if not bool(selected.any()):
            raise SplatkitError("mark: expected a selection, nothing is selected; see Edit")
        with self._lock:
            self._marked = selected
        return int(selected.sum())

    def current(self) -> tuple[Gaussians, Hashable]:
        """What is left, the selected ones in a colour of their own."""
        with self._lock:
            bench = self._bench
            if bench is None:
                return self._source.current()
            version = ("desk", id(bench), bench.version, id(self._marked))
            if self._drawn is None or self._drawn[0] != version:
                gaussians = _tinted(bench)
                if self._marked is not None:
                    marked = self._marked[bench.state.alive].to(gaussians.means.dtype)
                    gaussians = replace(gaussians, extra=gaussians.extra | {MARKED: marked})
                self._drawn = version, gaussians
            return self._drawn[1], version

    def save(self, target: Path) -> Path:
        """Write what is left as a new scene; see ``splatkit.edit.save_edited``."""
        bench = self.bench
        state = bench.state
        return save_edited(bench.result(), target, bench.steps(), state.placed, self._run)


def _tinted(bench: Workbench) -> Gaussians:
    gaussians = bench.result()
    selected = bench.state.selected[bench.state.alive]
    if not bool(selected.any()):
        return gaussians
    sh = gaussians.sh.clone()
    color = sh_from_rgb(sh.new_tensor(SELECTED_COLOR))
    tinted = (1 - TINT) * sh[selected]
    tinted[:, 0] += TINT * color
    sh[selected] = tinted
    return replace(gaussians, sh=sh)


def whole_mask(bench: Workbench, mask: torch.Tensor) -> torch.Tensor:
    """[N] bool over the original's Gaussians of a mask over those that are left."""
    whole = torch.zeros_like(bench.state.alive)
    whole[bench.state.alive] = mask.to(whole.device)
    return whole
