"""A whole edit at once: what ``splatkit edit`` does, step by step on a workbench."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from splatkit.core import Cameras, Event, Gaussians, Note, Photo, Progress, UsageError, camera_of
from splatkit.edit.decimate import LONG_SIDE, most_seen_mask, views_around
from splatkit.edit.floaters import NONE, WORDS, Signs, find_floaters
from splatkit.edit.placement import (
    AXES,
    Similarity,
    about,
    find_floor,
    scale_to,
    turn_between,
    up_of_photos,
)
from splatkit.edit.selection import check_crop, in_crop
from splatkit.edit.workbench import Workbench
from splatkit.io.images import fit_within
from splatkit.render.paths import UP

UPS = ("photos", *AXES)
STAGE = "Editing"


LEAST_SCALE = 1e-6
"""Files have sizes in single precision; what is scaled further may not be read back."""


@dataclass(frozen=True)
class Recipe:
    """What to do, in this order; places are in the scene's frame as it comes."""

    crop: tuple[float, ...] | None = None
    """Keep what is inside; see ``splatkit.edit.selection.in_crop``."""
    cut: tuple[float, ...] | None = None
    """Delete what is inside."""
    floaters: Signs = NONE
    """Delete what shows any of these signs."""
    max_gaussians: int | None = None
    """Keep as many, those that show most from the photos' cameras, or from around the scene."""
    up: str | None = None
    """Turn upright: one of ``AXES`` points up, or ``photos``: by their horizons."""
    floor: bool = False
    """Find the floor, level it and put it at y = 0."""
    measured: tuple[float, ...] | None = None
    """Two points x y z and their true distance: scale so that it is."""
    scale: float = 1.0
    """Make so many times larger, about the origin."""

    def __post_init__(self) -> None:
        if self.crop is not None:
            check_crop("--crop", self.crop)
        if self.cut is not None:
            check_crop("--cut", self.cut)
        if self.max_gaussians is not None and self.max_gaussians < 1:
            raise UsageError(f"--max-gaussians: expected 1 or more, got {self.max_gaussians}")
        if self.up is not None and self.up not in UPS:
            raise UsageError(f"--up: expected one of {', '.join(UPS)}; got {self.up!r}")
        if self.measured is not None and len(self.measured) != 7:
            raise UsageError(
                f"--measured: expected 7 numbers (x y z, x y z, distance), got {len(self.measured)}"
            )
        if not LEAST_SCALE <= self.scale <= 1 / LEAST_SCALE:
            raise UsageError(
                f"--scale: expected a positive number from {LEAST_SCALE:g} to "
                f"{1 / LEAST_SCALE:g}, got {self.scale}"
            )


@dataclass(frozen=True)
class Step(Event):
    """One step is done; of a sign of floaters, found: nothing is deleted yet."""

    words: str
    count: int
    """Gaussians deleted, or found."""
    left: int
    is_finding: bool = False


def edit(
    gaussians: Gaussians, recipe: Recipe, photos: list[Photo], backend: str = "auto"
) -> Generator[Event, None, Workbench]:
    """Do what a recipe says on a workbench; nothing is written.

    Args:
        gaussians: N.
        recipe: what to do.
        photos: that the scene was made from; may be empty.
        backend: see ``render``.

    Returns:
        The workbench, every step of it done.

    Raises:
        SplatkitError: a step deletes everything, or cannot be done.
    """
    bench = Workbench(gaussians)

    def step(words: str, before: int) -> Step:
        left = int(bench.state.alive.sum())
        return Step(words, before - left, left)

    for words, crop, outside in (("crop", recipe.crop, True), ("cut", recipe.cut, False)):
        if crop is None:
            continue
        before = int(bench.state.alive.sum())
        inside = in_crop(bench.current(), crop)
        _delete(bench, ~inside if outside else inside, f"--{words}")
        yield step(words, before)
    if recipe.floaters != NONE:
        yield Progress(STAGE, 0, None, "looking for floaters")
        alive = bench.state.alive
        found = find_floaters(bench.result(), recipe.floaters, cameras_of(photos), backend)
        together = torch.zeros_like(alive)
        for name, mask in found.items():
            whole = _in_whole(alive, mask)
            together |= whole
            yield Step(WORDS[name], int(mask.sum()), int(alive.sum()), is_finding=True)
        before = int(alive.sum())
        _delete(bench, together, "--floaters")
        yield step("floaters", before)
        if int(together.sum()) > before // 2:
            yield Note(
                "More than half of the scene counts as floaters; signs can be asked for one by "
                "one (--max-size, --min-views, ...)",
                warning=True,
            )
    left = int(bench.state.alive.sum())
    if recipe.max_gaussians is not None and recipe.max_gaussians < left:
        yield Progress(STAGE, 0, None, "measuring what shows")
        now = bench.result()
        cameras = cameras_of(photos) or views_around(now)
        kept = most_seen_mask(now, cameras, recipe.max_gaussians, backend)
        _delete(bench, _in_whole(bench.state.alive, ~kept), "--max-gaussians")
        yield step("those that show least", left)
    for words, similarity in _placing(bench, recipe, photos):
        bench.move(similarity, words)
        yield Step(words, 0, int(bench.state.alive.sum()))
    return bench


def _placing(bench: Workbench, recipe: Recipe, photos: list[Photo]):
    """What the recipe says of the scene's place, one after the other, each as the last left it."""
    # The points were told in the frame that the scene came in.
    if recipe.measured is not None:
        first, second = torch.tensor(recipe.measured[:6], dtype=torch.float64).view(2, 3)
        factor = scale_to(first, second, recipe.measured[6])
        yield f"scale by {factor:.6g}", Similarity(scale=factor)
    if recipe.up is not None:
        up = up_of_photos(photos).tolist() if recipe.up == "photos" else AXES[recipe.up]
        yield f"turn upright ({recipe.up})", Similarity(turn_between(up, UP))
    if recipe.floor:
        floor = find_floor(bench.result())
        yield f"level the floor ({floor.share:.0%} of the scene lies in it)", floor.levelled()
    if recipe.scale != 1:
        origin = torch.zeros(3, dtype=torch.float64)
        turn = torch.eye(3, dtype=torch.float64)
        yield f"scale by {recipe.scale:.6g}", about(origin, turn, recipe.scale)


def _delete(bench: Workbench, mask: Tensor, option: str) -> None:
    """Delete a mask's Gaussians as one step; nothing happens where it is empty."""
    if not bool((mask & bench.state.alive).any()):
        return
    if not bool((bench.state.alive & ~mask).any()):
        raise UsageError(f"{option}: this would leave none of the Gaussians; see: splatkit info")
    bench.remove(mask, option.strip("-"))


def _in_whole(alive: Tensor, mask: Tensor) -> Tensor:
    """[N] bool over all Gaussians of a mask over those alive."""
    whole = torch.zeros_like(alive)
    whole[alive] = mask.to(alive.device)
    return whole


def cameras_of(photos: list[Photo]) -> Cameras | None:
    """All photos' cameras at the size in which things are measured; None without photos."""
    if not photos:
        return None
    size = fit_within(photos[0].width, photos[0].height, LONG_SIDE)
    views = [camera_of(photo, *size) for photo in photos]
    return Cameras(
        torch.cat([view.viewmats for view in views]), torch.cat([view.Ks for view in views]), *size
    )
