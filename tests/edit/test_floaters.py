from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from splatkit.core import Gaussians, UsageError
from splatkit.core.neighbours import nearest_neighbours
from splatkit.edit.clusters import cluster_sizes
from splatkit.edit.floaters import NONE, Signs, find_floaters, union
from splatkit.io import info, write_gaussians
from tests.scenes import ball_over_floor, ring


def with_floaters() -> tuple[Gaussians, dict[str, list[int]]]:
    """The balls and, behind them, one Gaussian for each sign."""
    scene = ball_over_floor(300)
    extra = scene[:7].clone()
    extra.means[:] = torch.tensor([0.0, 0.0, 0.0])
    extra.logit_opacities[0] = -6.0
    extra.log_scales[1] = 3.0
    extra.means[2] = torch.tensor([0.0, -60.0, 0.0])  # above all cameras
    extra.means[3:7] = torch.tensor([0.0, -3.0, 0.0]) + 0.01 * torch.randn(
        4, 3, generator=torch.Generator().manual_seed(0)
    )
    signs = {"opacity": [300], "size": [301], "views": [302], "density": [302], "cluster": []}
    signs["cluster"] = [303, 304, 305, 306]
    return Gaussians.concatenate([scene, extra]), signs


def test_each_sign_finds_its_own() -> None:
    scene, expected = with_floaters()
    found = find_floaters(scene, Signs(size=3.0), ring(8))
    assert set(found) == set(expected)
    for name, indices in expected.items():
        assert set(indices) <= set(found[name].nonzero().flatten().tolist()), name
        if name != "views":  # what is deep inside a ball is not seen either
            assert int(found[name][:300].sum()) <= 6, name
    assert found["opacity"].nonzero().flatten().tolist() == [300]
    assert found["size"].nonzero().flatten().tolist() == [301]
    together = union(found, len(scene))
    assert int(together.sum()) == len(
        set().union(*(m.nonzero().flatten().tolist() for m in found.values()))
    )


def test_only_what_was_asked_for_is_looked_for() -> None:
    scene, _ = with_floaters()
    assert find_floaters(scene, NONE, ring(8)) == {}
    assert set(find_floaters(scene, replace(NONE, opacity=0.5))) == {"opacity"}
    assert "views" not in find_floaters(scene, Signs(), None)
    assert not union({}, 5).any()


def test_clusters_are_connected_over_others() -> None:
    scene = ball_over_floor(60)
    chain = torch.arange(30).float()[:, None] * torch.tensor([0.5, 0, 0])
    pair = torch.tensor([[100.0, 0, 0], [100.2, 0, 0]])
    scene = scene[:32]
    scene.means = torch.cat((chain, pair))[
        torch.randperm(32, generator=torch.Generator().manual_seed(3))
    ]
    sizes = cluster_sizes(scene)
    assert sizes[scene.means[:, 0] < 50].tolist() == [30] * 30
    assert sizes[scene.means[:, 0] > 50].tolist() == [2] * 2
    assert cluster_sizes(scene, reach=0.5).max() == 1 or cluster_sizes(scene, reach=0.5).max() == 2
    assert cluster_sizes(scene[:1]).tolist() == [1]


def test_neighbours_are_the_nearest() -> None:
    points = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    distances, ids = nearest_neighbours(points, 4)
    truth = torch.cdist(points, points).fill_diagonal_(float("inf")).topk(4, largest=False)
    assert (ids == truth.indices).float().mean() > 0.98
    assert float((distances - truth.values).abs().median()) < 1e-5
    assert nearest_neighbours(points[:3], 8)[0].shape == (3, 2)


@pytest.mark.parametrize(
    "wrong", [{"opacity": 2.0}, {"size": -1.0}, {"density": 0.5}, {"views": -1}]
)
def test_signs_that_make_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(wrong))}: expected"):
        Signs(**wrong)


def test_info_counts_what_editing_deletes(tmp_path) -> None:
    scene, _ = with_floaters()
    scene.log_scales[:40] += torch.linspace(0, 4, 40)[:, None]
    write_gaussians(scene, tmp_path / "a.npz")
    found = find_floaters(scene, replace(NONE, size=1.0))["size"]
    assert info(tmp_path / "a.npz")["giant"] == int(found.sum()) > 3
