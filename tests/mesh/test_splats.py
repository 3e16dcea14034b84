"""Triangle splats: seeds of the Gaussians' mass, and a soup fitted to the photos."""

import math
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch

from splatkit.core import Event, Gaussians, Note, Progress, SplatkitError, Triangles, drain
from splatkit.core.sh import sh_from_rgb
from splatkit.mesh.kept import Kept
from splatkit.mesh.seeds import circumradius, shown, splat_seeds, triangles_of, with_surface
from splatkit.mesh.splats import SplatSchedule, SplatState, fitted
from splatkit.render import render, render_triangles
from splatkit.train.metrics import psnr
from tests.mesh.ball import ball, cameras, photos

BLACK = torch.zeros(3)
COUNT = 700


def surfels() -> Gaussians:
    """Flat Gaussians on the ball, as training might leave them."""
    mesh = ball(3)
    normals = torch.nn.functional.normalize(mesh.vertices, dim=-1)
    turn = torch.linalg.cross(torch.tensor([0.0, 0, 1]).expand_as(normals), normals)
    quats = torch.cat((1 + normals[:, 2:], turn), -1)
    quats[quats.norm(dim=-1) < 1e-6] = torch.tensor([0.0, 1, 0, 0])
    assert mesh.colors is not None
    return Gaussians(
        mesh.vertices,
        quats,
        torch.tensor([0.09, 0.09, 0.01]).log().expand(len(normals), 3).clone(),
        torch.full((len(normals),), 2.5),
        sh_from_rgb(mesh.colors)[:, None],
    )


def start(softness: float = 0.5) -> Triangles:
    gaussians = surfels()
    return triangles_of(gaussians, torch.ones(len(gaussians)), COUNT, softness)


def mean_psnr(mesh: Triangles, softness: float = 0.0) -> float:
    values = []
    for view in photos():
        drawn = render_triangles(mesh, view.camera, softness=softness).rgb
        assert drawn is not None
        values.append(psnr(drawn[0].clamp(0, 1), view.image[0].float() / 255))
    return sum(values) / len(values)


@pytest.mark.parametrize("softness", [1.0, 0.3])
def test_a_seed_has_its_gaussians_mass(softness: float) -> None:
    gaussian = Gaussians(
        torch.tensor([[0.0, 0, 0]]), torch.tensor([[1.0, 0, 0, 0]]),
        torch.tensor([[0.1, 0.2, 0.001]]).log(), torch.tensor([-3.0]), torch.zeros(1, 1, 3),
    )  # fmt: skip
    view = cameras()[:1].resized(512, 384)
    seed = triangles_of(gaussian, torch.ones(1), 1, softness)
    mass = render(gaussian, view, eps2d=0.0).alpha.sum()
    assert render_triangles(seed, view, softness=softness).alpha.sum() == pytest.approx(
        float(mass), rel=0.1
    )
    assert circumradius(1.0) == pytest.approx(3.81, abs=0.005)
    assert circumradius(0.0) == pytest.approx(2.2, abs=0.005)


def test_seeds_lie_in_the_gaussians_planes_and_the_most_shown_come_first() -> None:
    gaussians = surfels()
    weights = torch.arange(len(gaussians)).float()
    seeds = triangles_of(gaussians, weights, 10, 0.5)
    assert len(seeds) == 10
    middles = seeds.corners.mean(1)
    torch.testing.assert_close(middles, gaussians.means.flip(0)[:10], atol=1e-5, rtol=0)
    assert float((seeds.normals * middles).sum(-1).abs().min()) > 0.999
    with pytest.raises(SplatkitError, match="no view shows any"):
        triangles_of(gaussians, 0 * weights, 10, 0.5)


def test_faint_gaussians_do_not_become_solid() -> None:
    gaussians = surfels()
    gaussians.logit_opacities[::2] = -0.1
    assert len(triangles_of(gaussians, torch.ones(len(gaussians)), 9999, 0.5)) == len(gaussians)
    solid = triangles_of(gaussians, torch.ones(len(gaussians)), 9999, 0.0)
    torch.testing.assert_close(solid.corners.mean(1), gaussians.means[1::2])


def test_a_surface_and_seeds_stand_side_by_side() -> None:
    seeds = start(0.0)
    both = with_surface(ball(2), seeds)
    assert len(both) == len(ball(2)) + len(seeds)
    torch.testing.assert_close(both.corners[: len(ball(2))], ball(2).corners)
    torch.testing.assert_close(both.corners[len(ball(2)) :], seeds.corners)
    assert both.opacities is not None
    assert bool((both.opacities[: 3 * len(ball(2))] == 1).all())


def test_what_shows_is_told_from_what_is_hidden() -> None:
    gaussians = surfels()
    both = Gaussians.concatenate([gaussians, gaussians.map(torch.clone)])
    both.means[len(gaussians) :] *= 0.5
    weights = drain(shown(both, photos(), "cpu"))
    assert weights[: len(gaussians)].sum() > 8 * weights[len(gaussians) :].sum()


def test_the_schedule_ends_solid() -> None:
    schedule = SplatSchedule(solid_from=0.3)
    shares = [i / 100 for i in range(101)]
    softness = [schedule.softness_at(share) for share in shares]
    floors = [schedule.floor_at(share) for share in shares]
    assert softness == sorted(softness, reverse=True)
    assert floors == sorted(floors)
    assert softness[0] == schedule.softness
    assert softness[-1] == 0
    assert min(value for value in softness if value) < schedule.softness_end + 0.01
    assert floors[0] == schedule.floor
    assert floors[-1] == 1
    # Nor does the usual one begin otherwise.
    assert SplatSchedule().softness_at(0) == 0
    assert SplatSchedule().floor_at(0) == 1


def test_dividing_changes_no_picture() -> None:
    state = SplatState(start(), SplatSchedule())
    before = state.triangles(1.0)
    state.divide(torch.arange(50))
    after = state.triangles(1.0)
    assert len(after) == len(before) + 150
    first, second = (
        render_triangles(mesh, cameras(), supersample=2).rgb for mesh in (before, after)
    )
    assert first is not None
    assert second is not None
    assert (first - second).abs().mean() < 1e-3
    assert all(len(moment) == len(after) for pair in state.moments.values() for moment in pair)


@pytest.mark.parametrize("solid_from", [0.0, 0.3])
def test_a_soup_comes_near_the_photos(solid_from: float) -> None:
    schedule = SplatSchedule(changes=3, solid_from=solid_from)
    seeds = start(schedule.softness_at(0))
    naive = mean_psnr(seeds)
    made = drain(fitted(seeds, photos(), BLACK, steps=250, count=COUNT, schedule=schedule))
    assert len(made) <= COUNT
    assert made.opacities is None
    assert mean_psnr(made) > naive + 5


def test_what_splats_begin_as_keeps_to_their_number() -> None:
    pytest.importorskip("fast_simplification", reason="needs the extra mesh")
    seeds = drain(splat_seeds(surfels(), photos(), BLACK, count=1500, cells=8000))
    assert seeds.colors is not None
    assert 500 < len(seeds) <= 1500
    faint = surfels()
    faint.logit_opacities[:] = -0.1
    alone = drain(splat_seeds(faint, photos(), BLACK, count=1500, cells=8000))
    assert 0 < len(alone) < len(seeds)


def test_what_was_stopped_goes_on_as_if_nothing_had_been(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("splatkit.mesh.kept.SAVE_SECONDS", 0.0)
    how: dict[str, Any] = {"steps": 30, "count": COUNT, "schedule": SplatSchedule(changes=3)}
    whole = drain(fitted(start(), photos(), BLACK, **how))
    kept = Kept(tmp_path / "a.glb")
    drain(kept.begin({"seed": 0}, False))
    work = fitted(start(), photos(), BLACK, **how, kept=kept)
    # The event after the one that tells of a step comes when it is kept.
    while not (isinstance(event := next(work), Progress) and event.done == 15):
        pass
    next(work)
    work.close()
    again = Kept(tmp_path / "a.glb")
    drain(again.begin({"seed": 0}, True))
    steps = []

    def counted() -> Generator[Event, None, Triangles]:
        made = fitted(start(), photos(), BLACK, **how, kept=again)
        while True:
            try:
                event = next(made)
            except StopIteration as end:
                return end.value
            if isinstance(event, Progress) and event.stage == "Fitting triangles":
                steps.append(event.done)
            yield event

    resumed = drain(counted())
    assert steps == list(range(16, 31))
    torch.testing.assert_close(resumed.vertices, whole.vertices)
    torch.testing.assert_close(resumed.colors, whole.colors)
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_was_made_of_something_else_is_not_gone_on_with(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "a.glb")
    drain(kept.begin({"seed": 0}, False))
    kept.save("shape", {"faces": torch.arange(6)})
    assert list(kept.begin({"seed": 0}, True)) == []
    found = kept.load("shape")
    assert found is not None
    assert torch.equal(found["faces"], torch.arange(6))
    (note,) = kept.begin({"seed": 1}, True)
    assert isinstance(note, Note)
    assert "other options or another scene" in note.text
    assert kept.load("shape") is None


def test_time_ends_the_schedule_early() -> None:
    calls = []

    def share_of_time() -> float:
        calls.append(1)
        return len(calls) / 20

    made = drain(
        fitted(start(), photos(), BLACK, steps=10_000, count=COUNT, share_of_time=share_of_time)
    )
    assert len(calls) == 20
    assert len(made) > 100
    assert math.isfinite(mean_psnr(made))
