"""Where the error of held-out photos stands: which pixels training photos show."""

import pytest
import torch

from splatkit.core import Cameras, intrinsics
from splatkit.core.transforms import look_at
from tests.train.bench_scripts import bench_script


@pytest.fixture
def bench(monkeypatch):
    return bench_script(monkeypatch, "unseen")


def camera_at(x):
    """A camera 4 in front of the plane z = 0, looking straight at it; it shows 4 x 3 of it."""
    eye = torch.tensor([[x, 0.0, -4.0]]).double()
    target, up = eye + torch.tensor([[0.0, 0.0, 4.0]]), torch.tensor([[0.0, -1.0, 0.0]])
    viewmats = look_at(eye, target, up.double()).float()
    return Cameras(viewmats, intrinsics(40.0, 40.0, 20.0, 15.0)[None].float(), 40, 30)


def test_a_place_is_seen_where_the_depth_shows_it(bench):
    places = camera_at(0.0).unprojected(torch.full((30, 40), 4.0)).reshape(-1, 3)
    assert places[:, 2].abs().max() < 1e-5
    # The second camera stands half a picture further right; something hides its upper half.
    depth = torch.full((30, 40), 4.0)
    depth[:15] = 2.0
    seen = bench.seen_by(places, [camera_at(0.0), camera_at(2.0)], [depth + 0.01, depth])
    seen = seen.reshape(30, 40)
    assert (seen[:15] == 0).all()
    assert (seen[15:, :20] == 1).all()
    assert (seen[15:, 20:] == 2).all()


def test_the_error_of_pixels_that_no_photo_shows_stands_apart(bench):
    truth, shown = torch.zeros(10, 10, 3), torch.full((10, 10, 3), 0.1)
    seen = torch.ones(10, 10, dtype=torch.bool)
    seen[0], shown[0] = False, 0.3
    found = bench.unseen(truth, shown, seen)
    assert found.share == pytest.approx(0.1)
    assert found.error == pytest.approx(0.5)
    assert found.psnr == pytest.approx(17.447, abs=1e-3)
    assert found.psnr_seen == pytest.approx(20.0, abs=1e-3)
