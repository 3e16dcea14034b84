"""Large sets: every photo is matched with its neighbours, and with few others."""

import numpy as np

from splatkit.ingest.geography import east_north_up
from splatkit.ingest.pairs import NEAR, all_pairs, likeness_of, neighbour_pairs


def strip(count=60, seen=400, shared=250):
    """Descriptors of photos along a line, each sharing some with the next, one loop at the end."""
    chance = np.random.default_rng(0)
    kinds = chance.integers(0, 256, (40, 128))
    pool = [
        np.clip(kinds[chance.integers(0, 40, seen)] + chance.normal(0, 40, (seen, 128)), 0, 255)
        .round()
        .astype(np.uint8)
        for _ in range(count)
    ]
    photos = [np.concatenate((pool[i], pool[i + 1][:shared])) for i in range(count - 1)]
    return [*photos, np.concatenate((pool[-1], pool[0][:shared]))]


def test_small_sets_are_matched_whole():
    assert len(all_pairs(50)) == 1225
    assert all_pairs(2) == [(0, 1)]


def test_neighbours_by_likeness_include_the_loop():
    photos = strip()
    likeness = likeness_of(photos, seed=0)
    assert np.allclose(np.diag(likeness), 1, atol=1e-5)
    pairs = neighbour_pairs(len(photos), likeness, [None] * len(photos), video=False)
    assert pairs == sorted(set(pairs))
    assert all(0 <= i < k < 60 for i, k in pairs)
    assert (0, 59) in pairs
    assert {(i, i + 1) for i in range(59)} <= set(pairs)
    assert len(pairs) < 0.6 * len(all_pairs(60))


def test_a_video_closes_its_loop_and_follows_itself():
    photos = strip()
    pairs = neighbour_pairs(60, likeness_of(photos, 0), [None] * 60, video=True)
    assert (0, 59) in pairs
    assert {(i, i + 6) for i in range(54)} <= set(pairs)


def test_neighbours_by_gps():
    grid = [(48.0 + 0.0002 * (i // 8), 11.0 + 0.0003 * (i % 8), 500.0) for i in range(64)]
    pairs = set(neighbour_pairs(64, np.eye(64), grid, video=False))
    meters = east_north_up(grid)
    for i in range(64):
        nearest = np.argsort(np.linalg.norm(meters - meters[i], axis=1))[1:5]
        assert all((min(i, k), max(i, k)) in pairs for k in nearest)
    assert len(pairs) < 64 * (NEAR + 12)


def test_metres_of_places_on_the_globe():
    """One minute of latitude is a nautical mile, of longitude that times the cosine."""
    meters = east_north_up([(60.0, 10.0, 0.0), (60 + 1 / 60, 10.0, 0.0), (60.0, 10 + 1 / 60, 30.0)])
    assert np.allclose(meters[0], 0)
    assert abs(meters[1, 1] - 1857) < 2
    assert abs(meters[2, 0] - 930) < 2
    assert abs(meters[2, 2] - 30) < 0.2
    assert east_north_up([]).shape == (0, 3)


def test_photos_without_features_are_like_nothing():
    photos = [*strip(10), np.zeros((0, 128), np.uint8)]
    likeness = likeness_of(photos, 0)
    assert np.isfinite(likeness).all()
    assert np.abs(likeness[-1]).max() == 0
