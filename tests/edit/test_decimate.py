"""Thinning by what shows: measured weights, and better pictures than chance."""

from __future__ import annotations

from dataclasses import replace

import torch

from splatkit.edit.decimate import contribution, most_seen, views_and_contribution, views_around
from splatkit.render import render
from tests.export.clouds import cloud
from tests.scenes import ball_over_floor, ring


def test_contribution_is_what_gradients_say():
    scene = ball_over_floor(30).to(torch.float64)
    cameras = ring(3).to(torch.float64)
    colors = torch.ones(30, 1, dtype=torch.float64, requires_grad=True)
    render(scene, cameras, features=colors, backend="torch_ref").features.sum().backward()
    shown = contribution(scene, cameras, "torch_ref")
    torch.testing.assert_close(shown, colors.grad[:, 0])
    assert float(shown.min()) > 0


def test_hidden_and_faint_ones_go_first():
    scene = ball_over_floor(90)
    faint = replace(scene, logit_opacities=torch.full((90,), -4.0))
    far = replace(scene, means=scene.means * 0.01 + torch.tensor([0.0, 500, 0]))
    both = type(scene).concatenate([faint, scene, far])
    kept = most_seen(both, ring(4), 90)
    assert torch.equal(kept.means, scene.means)
    assert most_seen(scene, ring(4), 90) is scene


def test_it_beats_chance():
    scene = cloud(400)
    cameras = views_around(scene)[::7]
    kept = most_seen(scene, views_around(scene), 200)
    chance = scene[torch.randperm(400, generator=torch.Generator().manual_seed(0))[:200]]
    truth, ours, others = (render(s, cameras.to(torch.float32)).rgb for s in (scene, kept, chance))
    assert len(kept) == 200
    assert float((ours - truth).square().mean()) < 0.5 * float((others - truth).square().mean())


def test_views_that_see_something_are_counted():
    scene = ball_over_floor(90)
    scene.means[0] = torch.tensor([0.0, -500.0, 0.0])  # above
    views, shown = views_and_contribution(scene, ring(6))
    assert views[0] == 0
    assert int(views.max()) == 6
    assert torch.equal(shown, contribution(scene, ring(6)))
    alone, _ = views_and_contribution(scene, ring(6)[:1])
    assert int(alone.max()) == 1
