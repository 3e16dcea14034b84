"""Names, ranges and grading."""

import pytest
import torch

from splatkit.core import UsageError
from splatkit.enhance import UpscaleOptions, ratio_of
from splatkit.enhance.grade import graded
from splatkit.enhance.options import Grade


@pytest.mark.parametrize(
    ("given", "ratio"),
    [("quality", 1.5), ("Balanced", 1.7), ("performance", 2.0), ("Ultra", 3.0), ("1.3", 1.3)],
)
def test_ratios_by_name(given: str, ratio: float) -> None:
    assert ratio_of(given) == ratio


@pytest.mark.parametrize("given", ["4", "1", "nan", "best", ""])
def test_other_ratios_are_refused(given: str) -> None:
    with pytest.raises(UsageError, match=r"--ratio: expected quality \(1.5\).*got"):
        ratio_of(given)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "magic"},
        {"ratio": 9.0},
        {"sharpness": 2.0},
        {"temporal_weight": -1.0},
        {"where": "there"},
    ],
)
def test_other_options_are_refused(wrong: dict) -> None:
    with pytest.raises(UsageError, match="expected"):
        UpscaleOptions(**wrong)


def test_grading() -> None:
    rgb = torch.rand(4, 5, 3, generator=torch.Generator().manual_seed(0))
    assert graded(rgb, Grade()) is rgb
    assert graded(rgb, Grade(exposure=1.0)).mean() > rgb.mean()
    grey = graded(rgb, Grade(saturation=0.0))
    torch.testing.assert_close(grey[..., 0], grey[..., 2])
    torch.testing.assert_close(graded(rgb, Grade(contrast=0.0)), torch.full_like(rgb, 0.5))
    assert (graded(rgb, Grade(gamma=2.0)) >= rgb).all()
    twice = graded(graded(rgb, Grade(exposure=0.7)), Grade(exposure=-0.7))
    torch.testing.assert_close(twice, rgb, rtol=1e-4, atol=1e-5)
    with pytest.raises(UsageError, match=r"gamma: expected 0\.1 to 10, got 0"):
        Grade(gamma=0.0)
