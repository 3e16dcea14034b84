"""Triangle splats: a soup of triangles that starts soft and ends solid, fitted to photos.

The stages follow Held et al. 2025: the window hardens linearly, opacities may not fall below a
floor that rises to 1, and what does not show is taken out while what shows much is divided. It
starts from the trained Gaussians instead of sparse points. The last stage draws what will be
written: solid triangles, nearest first, colours as vertices have them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from splatkit.core import Event, Progress, Triangles
from splatkit.mesh.clean import quarters
from splatkit.mesh.paint import photo_loss
from splatkit.render import render_triangles
from splatkit.train.chance import PhotoOrder
from splatkit.train.photos import View


@dataclass(frozen=True)
class SplatSchedule:
    """How soft triangles become solid; places are shares of all steps."""

    softness: float = 0.25
    """At the start."""
    softness_end: float = 0.02
    solid_from: float = 0.85
    """Until here the window hardens; from here on triangles are solid."""
    floor: float = 0.05
    """Least opacity at the start."""
    floor_from: float = 0.15
    floor_until: float = 0.8
    change_from: float = 0.05
    change_until: float = 0.6
    changes: int = 10
    """How often triangles are taken out and divided."""
    least_weight: float = 0.1
    """Triangles whose largest blend weight over all photos is below this are taken out; rises to
    three times as much."""
    half_size_until: float = 0.4
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
        way = (share - self.floor_from) / (self.floor_until - self.floor_from)
        return self.floor + (1 - self.floor) * min(1.0, max(0.0, way))


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

    def __len__(self) -> int:
        return len(self.base)

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
            "places": 0.0 if share >= s.solid_from else s.rate_places * 0.1**share,
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

    def keep(self, rows: Tensor) -> None:
        """Only the triangles of a mask or of indices."""
        self.base, self.size = self.base[rows], self.size[rows]
        self.parameters = {name: t[rows] for name, t in self.parameters.items()}
        self.moments = {name: (a[rows], b[rows]) for name, (a, b) in self.moments.items()}

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
) -> Generator[Event, None, Triangles]:
    """Fit triangles to photos and harden them.

    Args:
        start: triangles with vertices of their own, colours and opacities.
        views: photos and cameras.
        background: [3] sRGB behind the triangles.
        steps: one photo each.
        count: triangles, at most.
        schedule: see there.
        supersample: samples a side of a pixel while triangles are solid.
        seed: of the order of photos.
        share_of_time: of the time that may be used, 0..1: where it is ahead of the share of steps,
            the schedule follows it, so that work ends on time and solid.

    Returns:
        Opaque triangles with vertex colours; those that no photo shows are left out.
    """
    schedule = schedule or SplatSchedule()
    state = SplatState(start, schedule)
    order = PhotoOrder(len(views), seed)
    halves = [view.reduced(2) for view in views]
    span = (schedule.change_until - schedule.change_from) / schedule.changes
    next_change, step, share = schedule.change_from, 0, 0.0
    while share < 1:
        if share >= next_change and share < schedule.change_until:
            yield from _renewed(state, views, background, share, count)
            next_change += span
        index = order.at(step)
        view = halves[index] if share < schedule.half_size_until else views[index]
        loss = _descend(state, view, background, share, supersample)
        step += 1
        share = max(step / steps, share_of_time())
        done = min(steps, round(share * steps))
        yield Progress("Fitting triangles", done, steps, f"loss {loss:.4f}, {len(state):,}")
    made = state.triangles(1.0)
    weight = yield from _most_shown(made, views, 0.0)
    return replace(made.selected(weight > 0), opacities=None)


def _descend(
    state: SplatState, view: View, background: Tensor, share: float, supersample: int
) -> float:
    schedule = state.schedule
    softness = schedule.softness_at(share)
    leaves = {name: t.detach().requires_grad_() for name, t in state.parameters.items()}
    state.parameters = leaves
    drawn = render_triangles(
        state.triangles(schedule.floor_at(share)),
        view.camera,
        softness=softness,
        background=background,
        supersample=supersample if softness == 0 else 1,
    )
    loss = photo_loss(drawn.rgb, view)
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    state.parameters = {name: t.detach() for name, t in leaves.items()}
    state.descend(
        {name: g for name, g in zip(leaves, gradients, strict=True) if g is not None}, share
    )
    return loss.item()


def _renewed(
    state: SplatState, views: list[View], background: Tensor, share: float, count: int
) -> Generator[Event, None, None]:
    """Take out what does not show and divide what shows most, up to the number allowed."""
    schedule = state.schedule
    some = [view.reduced(2) for view in views]
    triangles = state.triangles(schedule.floor_at(share))
    weight = yield from _most_shown(triangles, some, schedule.softness_at(share))
    least = schedule.least_weight * (1 + 2 * share / schedule.change_until)
    keep = weight >= least
    if bool(keep.any()):
        state.keep(keep)
        weight = weight[keep]
    room = (count - len(state)) // 3
    if room > 0:
        size = state.size.view(-1)
        state.divide((weight * size).argsort(descending=True, stable=True)[:room])


def _most_shown(
    triangles: Triangles, views: list[View], softness: float
) -> Generator[Event, None, Tensor]:
    """[T] the largest blend weight of each triangle over all views."""
    most = torch.zeros(len(triangles))
    for done, view in enumerate(views):
        with torch.no_grad():
            drawn = render_triangles(
                triangles, view.camera, softness=softness, outputs=("weights",)
            )
        assert drawn.weight_max is not None
        most = torch.maximum(most, drawn.weight_max)
        yield Progress("Looking at triangles", done + 1, len(views))
    return most
