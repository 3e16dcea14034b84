"""Several scenes in one view, each moved by itself."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass, replace

import torch

from splatkit.core import Gaussians
from splatkit.core.similarity import transformed
from splatkit.core.transforms import rotation_from_quat
from splatkit.viewer.allowance import Allowance
from splatkit.viewer.desk import MARKED
from splatkit.viewer.source import SceneSource


@dataclass(frozen=True)
class Guest:
    """A scene beside the first one, and where it stands."""

    source: SceneSource
    wxyz: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0
    visible: bool = True


class Gathering:
    """A scene and its guests, as one source; without guests it is the scene itself."""

    def __init__(self, host: SceneSource) -> None:
        self.name = host.name
        self.photos = host.photos
        self.background = host.background
        self._host = host
        self._guests: dict[int, Guest] = {}
        self._counter = 0
        self._lock = threading.Lock()
        self._moved: dict[Guest, tuple[Hashable, Gaussians]] = {}
        self._joined: tuple[Hashable, Gaussians] | None = None

    @property
    def allowance(self) -> Allowance | None:
        """The host's."""
        return self._host.allowance

    def invite(self, guest: Guest) -> int:
        """Add a scene; returns the number that it goes by."""
        with self._lock:
            self._counter += 1
            self._guests[self._counter] = guest
            return self._counter

    def change(self, number: int, **values: object) -> None:
        """Change fields of a guest."""
        with self._lock:
            self._guests[number] = replace(self._guests[number], **values)  # type: ignore[arg-type]

    def dismiss(self, number: int) -> None:
        """Take a scene away."""
        with self._lock:
            self._guests.pop(number, None)

    def current(self) -> tuple[Gaussians, Hashable]:
        """All visible scenes as one."""
        gaussians, version = self._host.current()
        with self._lock:
            guests = [guest for guest in self._guests.values() if guest.visible]
            if not guests:
                return gaussians, version
            versions = (version, *((guest, guest.source.current()[1]) for guest in guests))
            if self._joined is None or self._joined[0] != versions:
                parts = [gaussians, *(self._placed(guest) for guest in guests)]
                self._moved = {guest: self._moved[guest] for guest in guests}
                self._joined = versions, _joined(parts)
            return self._joined[1], versions

    def _placed(self, guest: Guest) -> Gaussians:
        """The Gaussians of a guest in the host's frame, from memory while nothing changes."""
        gaussians, version = guest.source.current()
        if guest not in self._moved or self._moved[guest][0] != version:
            moved = transformed(
                gaussians,
                rotation_from_quat(torch.tensor(guest.wxyz, dtype=torch.float64)),
                guest.scale,
                torch.tensor(guest.position, dtype=torch.float64),
            )
            self._moved[guest] = version, moved
        return self._moved[guest][1]


def _joined(parts: list[Gaussians]) -> Gaussians:
    """One scene of all, with the harmonics of the richest; of the rest only what is marked."""
    bases = max(part.sh.shape[1] for part in parts)
    padded = []
    for part in parts:
        missing = part.sh.new_zeros(len(part), bases - part.sh.shape[1], 3)
        extra = {}
        if MARKED in parts[0].extra:
            extra = {MARKED: part.extra.get(MARKED, part.means.new_zeros(len(part)))}
        padded.append(replace(part, sh=torch.cat((part.sh, missing), 1), extra=extra))
    return Gaussians.concatenate(padded)
