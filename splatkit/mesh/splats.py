"""Triangle splats: a soup of solid triangles, fitted to photos.

As with Held et al. 2025, what does not show is taken out and what is most wrong is divided. There
triangles are soft at first: the window hardens linearly, and opacities may not fall below a floor
that rises to 1. A schedule can do the same; but triangles that start at a surface, solid, and get
the gradients of their edges from neighbouring pixels (``splatkit.render.edges``) end nearer to the
photos. The last stage draws what will be written: colours as vertices have them, many samples a
pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from splatkit.core import Event, Progress, Triangles
from splatkit.mesh.clean import quarters
from splatkit.mesh.kept import Kept
from splatkit.mesh.paint import photo_loss
from splatkit.render import RenderedTriangles, render_triangles
from splatkit.render.edges import render_with_edges
from splatkit.train.chance import PhotoOrder
from splatkit.train.photos import View

STAGE = "splats"


@dataclass(frozen=True)
class SplatSchedule:
    """What happens when; places are shares of all steps."""

    solid_from: float = 0.0
    """From here on triangles are solid, with smooth edges; before it the window hardens and the
    least opacity rises to 1."""
    softness: float = 0.25
    """At the start, if that is soft."""
    softness_end: float = 0.1
    """Below it, windows have no slopes that photos could move."""
    places_until: float = 0.9
    """From here on colours alone are learned, as they will be drawn."""
    floor: float = 0.05
    """Least opacity at a soft start."""
    change_from: float = 0.05
    change_until: float = 0.8
    changes: int = 16
    """How often triangles are taken out and divided, at most: all photos are seen in between."""
    least_weight: float = 0.1
    """Soft triangles whose largest blend weight over all photos is below this are taken out; solid
    ones that no photo shows."""
    half_size_until: float = 0.15
    """Photos of half the size until here."""
    rate_places: float = 0.02
    """Of Adam on vertices, in units of the triangle's own size; falls to a tenth."""
    rate_colors: float = 0.02
    rate_opacities: float = 0.03

    def softness_at(self, share: float) -> float:
        """Exponent of the window; 0 is solid."""
        if share >= self.solid_from:
            return 0.0
        return self.softness + (self.softness_end - self.softness) * share / self.solid_from

    def floor_at(self, share: float) -> float:
        """Least opacity."""
        if share >= self.solid_from:
            return 1.0
        return self.floor + (1 - self.floor) * share / self.solid_from


class SplatState:
    """Triangles as they are optimised, with Adam's moments."""

    def __init__(self, triangles: Triangles, schedule: SplatSchedule) -> None:
        assert triangles.colors is not None
        assert triangles.opacities is not None
        corners = triangles.corners
        self.schedule = schedule
        self.base = corners
        self.size = (corners - corners.mean(1, keepdim=True)).norm(dim=-1).amax(-1)[:, None, None]
        floor = schedule.floor
        above = ((triangles.opacities[triangles.faces.long()] - floor) / (1 - floor)).clamp(
            0.01, 0.99
        )
        self.parameters = {
            "places": torch.zeros_like(corners),
            "colors": triangles.colors[triangles.faces.long()].clone(),
            "opacities": torch.logit(above),
        }
        self.moments = {
            name: (torch.zeros_like(t), torch.zeros_like(t)) for name, t in self.parameters.items()
        }
        self.step = 0
        self.forget()

    def __len__(self) -> int:
        return len(self.base)

    def tensors(self) -> dict[str, Tensor]:
        """All that ``restore`` needs."""
        found = {"base": self.base, "size": self.size, "step": torch.tensor(self.step)}
        found |= {"most": self.most, "error": self.error}
        for name, tensor in self.parameters.items():
            found |= {name: tensor}
            found |= {f"{name}.{k}": moment for k, moment in enumerate(self.moments[name])}
        return found

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Become what ``tensors`` was called on."""
        self.base, self.size, self.step = tensors["base"], tensors["size"], int(tensors["step"])
        self.most, self.error = tensors["most"], tensors["error"]
        for name in self.parameters:
            self.parameters[name] = tensors[name]
            self.moments[name] = tensors[f"{name}.0"], tensors[f"{name}.1"]

    def triangles(self, floor: float) -> Triangles:
        """What the parameters stand for."""
        count = len(self)
        opacities = floor + (1 - floor) * torch.sigmoid(self.parameters["opacities"])
        return Triangles(
            (self.base + self.size * self.parameters["places"]).reshape(-1, 3),
            torch.arange(3 * count, dtype=torch.int32).view(-1, 3),
            colors=self.parameters["colors"].reshape(-1, 3),
            opacities=opacities.reshape(-1),
        )

    def descend(self, gradients: dict[str, Tensor], share: float) -> None:
        """One step of Adam (Kingma and Ba 2015)."""
        self.step += 1
        s = self.schedule
        rates = {
            "places": 0.0 if share >= s.places_until else s.rate_places * 0.1**share,
            "colors": s.rate_colors * 0.1**share,
            "opacities": s.rate_opacities,
        }
        for name, gradient in gradients.items():
            first, second = self.moments[name]
            first.mul_(0.9).add_(gradient, alpha=0.1)
            second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            mean = first / (1 - 0.9**self.step)
            spread = (second / (1 - 0.999**self.step)).sqrt_().add_(1e-15)
            self.parameters[name] -= rates[name] * mean / spread
        self.parameters["colors"].clamp_(0, 1)

    def forget(self) -> None:
        """Nothing is known of what shows, and of how wrong it is."""
        self.most, self.error = torch.zeros(len(self)), torch.zeros(len(self))

    def notice(self, drawn: RenderedTriangles, view: View) -> None:
        """Take note of a photo's picture: the largest blend weight of each triangle, and the sum of
        the errors of the pixels in which it shows most."""
        assert drawn.rgb is not None
        assert drawn.weight_max is not None
        self.most = torch.maximum(self.most, drawn.weight_max)
        away = (drawn.rgb.detach() - view.image / 255).abs().mean(-1)
        shown = drawn.ids >= 0
        if view.mask is not None:
            shown = shown & (view.mask > 0)
        self.error.index_add_(0, drawn.ids[shown].long(), away[shown])

    def keep(self, rows: Tensor) -> None:
        """Only the triangles of a mask or of indices."""
        self.base, self.size = self.base[rows], self.size[rows]
        self.parameters = {name: t[rows] for name, t in self.parameters.items()}
        self.moments = {name: (a[rows], b[rows]) for name, (a, b) in self.moments.items()}
        self.forget()

    def divide(self, rows: Tensor) -> None:
        """Put the four quarters of some triangles in their place; their moments start anew."""
        corners = (self.base + self.size * self.parameters["places"])[rows]
        values = {name: self.parameters[name][rows] for name in ("colors", "opacities")}
        rest = torch.ones(len(self), dtype=torch.bool)
        rest[rows] = False
        self.keep(rest)
        self.base = torch.cat((self.base, *quarters(corners)))
        size = (self.base - self.base.mean(1, keepdim=True)).norm(dim=-1).amax(-1)
        self.size = torch.cat((self.size, size[len(self.size) :, None, None]))
        new = {"places": [torch.zeros_like(corners)] * 4}
        new |= {name: quarters(value) for name, value in values.items()}
        for name, parts in new.items():
            fresh = torch.cat(parts)
            self.parameters[name] = torch.cat((self.parameters[name], fresh))
            first, second = self.moments[name]
            blank = torch.zeros_like(fresh)
            self.moments[name] = (torch.cat((first, blank)), torch.cat((second, blank)))
        self.forget()


def fitted(
    start: Triangles,
    views: list[View],
    background: Tensor,
    *,
    steps: int,
    count: int,
    schedule: SplatSchedule | None = None,
    supersample: int = 1,
    seed: int = 0,
    share_of_time: Callable[[], float] = lambda: 0.0,
    kept: Kept | None = None,
) -> Generator[Event, None, Triangles]:
    """Fit triangles to photos; they end solid.

    Args:
        start: triangles with vertices of their own, colours and opacities.
        views: photos and cameras.
        background: [3] sRGB behind the triangles.
        steps: one photo each.
        count: triangles, at most.
        schedule: see there.
        supersample: samples a side of a pixel while colours alone are learned.
        seed: of the order of photos.
        share_of_time: of the time that may be used, 0..1: where it is ahead of the share of steps,
            the schedule follows it, so that work ends on time.
        kept: where the work is kept from time to time, and taken up if it is there.

    Returns:
        Opaque triangles with vertex colours; those that no photo shows are left out.
    """
    schedule = schedule or SplatSchedule()
    state = SplatState(start, schedule)
    order = PhotoOrder(len(views), seed)
    halves = [view.reduced(2) for view in views]
    span = (schedule.change_until - schedule.change_from) / schedule.changes
    share, changes = 0.0, 0
    if kept is not None and (before := kept.load(STAGE)) is not None:
        share, changes = before.pop("progress").tolist()
        state.restore(before)
    rest = 1 - share
    while share < 1:
        # All photos were looked at since the last round began.
        if state.step % len(views) == 0:
            if schedule.change_from + changes * span <= share < schedule.change_until:
                _renew(state, share, count)
                changes = int((share - schedule.change_from) / span) + 1
            state.forget()
        index = order.at(state.step)
        view = halves[index] if share < schedule.half_size_until else views[index]
        loss = _descend(state, view, background, share, supersample)
        share = max(state.step / steps, 1 - rest * (1 - share_of_time()))
        done = min(steps, round(share * steps))
        yield Progress("Fitting triangles", done, steps, f"loss {loss:.4f}, {len(state):,}")
        if kept is not None and kept.due():
            progress = torch.tensor([share, changes], dtype=torch.float64)
            kept.save(STAGE, state.tensors() | {"progress": progress})
    made = state.triangles(1.0)
    shows = yield from _showing(made, views)
    return replace(made.selected(shows), opacities=None)


def _descend(
    state: SplatState, view: View, background: Tensor, share: float, supersample: int
) -> float:
    schedule = state.schedule
    softness = schedule.softness_at(share)
    leaves = {name: t.detach().requires_grad_() for name, t in state.parameters.items()}
    state.parameters = leaves
    triangles = state.triangles(schedule.floor_at(share))
    outputs = ("weights",)
    if softness > 0:
        drawn = render_triangles(
            triangles, view.camera, softness=softness, background=background, outputs=outputs
        )
    elif share < schedule.places_until:
        drawn = render_with_edges(triangles, view.camera, background=background, outputs=outputs)
    else:
        drawn = render_triangles(
            triangles,
            view.camera,
            background=background,
            supersample=supersample,
            outputs=outputs,
        )
    state.notice(drawn, view)
    loss = photo_loss(drawn.rgb, view)
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    state.parameters = {name: t.detach() for name, t in leaves.items()}
    state.descend(
        {name: g for name, g in zip(leaves, gradients, strict=True) if g is not None}, share
    )
    return loss.item()


def _renew(state: SplatState, share: float, count: int) -> None:
    """Take out what does not show and divide what is most wrong, up to the number allowed."""
    schedule, error = state.schedule, state.error
    least = schedule.least_weight if schedule.softness_at(share) > 0 else 1e-6
    keep = state.most >= least
    if bool(keep.any()):
        state.keep(keep)
        error = error[keep]
    room = (count - len(state)) // 3
    if room > 0:
        state.divide(error.argsort(descending=True, stable=True)[:room])


def _showing(triangles: Triangles, views: list[View]) -> Generator[Event, None, Tensor]:
    """[T] whether any view shows the solid triangle."""
    shows = torch.zeros(len(triangles), dtype=torch.bool)
    for done, view in enumerate(views):
        with torch.no_grad():
            drawn = render_triangles(triangles, view.camera, outputs=("weights",))
        assert drawn.weight_max is not None
        shows |= drawn.weight_max > 0
        yield Progress("Looking at triangles", done + 1, len(views))
    return shows
