from __future__ import annotations

import pytest
import torch

from splatkit.core import UsageError
from splatkit.render import Rendered
from splatkit.render.pictures import EMPTY, MODES, depth_range_of, outputs_of, picture

GREY = round(EMPTY * 255)


def rendered(**images: torch.Tensor) -> Rendered:
    rgb = images.pop("rgb", torch.zeros(1, 1, 1, 3))
    return Rendered(rgb=rgb, alpha=images.pop("alpha", torch.ones(1, 1, 1)), **images)


def test_colours_are_rounded_and_clamped() -> None:
    rgb = torch.tensor([[[[-0.2, 0.5, 1.7]]]])
    assert picture(rendered(rgb=rgb), "rgb").tolist() == [[[[0, 128, 255]]]]


def test_coverage_is_grey() -> None:
    alpha = torch.tensor([[[0.0, 0.2, 1.0]]])
    assert picture(rendered(alpha=alpha), "alpha")[0, 0].tolist() == [[0] * 3, [51] * 3, [255] * 3]


@pytest.mark.parametrize("mode", ["depth", "depth_median"])
def test_near_is_red_far_is_blue_and_nothing_is_grey(mode: str) -> None:
    depth = torch.tensor([[[1.0, 1.3, 4.0, 0.0]]])
    near, _, far, empty = picture(rendered(**{mode: depth}), mode, (1.0, 4.0))[0, 0].tolist()
    assert near[0] > 100 > near[2]
    assert far[2] > far[0]
    assert empty == [GREY] * 3


def test_a_depth_keeps_its_colour_under_one_range() -> None:
    first = picture(rendered(depth=torch.tensor([[[2.0, 3.0]]])), "depth", (1.0, 5.0))
    second = picture(rendered(depth=torch.tensor([[[2.0, 4.9]]])), "depth", (1.0, 5.0))
    assert torch.equal(first[0, 0, 0], second[0, 0, 0])


def test_normals_that_face_the_viewer_are_bluish_and_up_is_greenish() -> None:
    facing, up, empty = torch.tensor([[0.0, 0, -1], [0, -1, 0], [0, 0, 0]])
    shown = picture(rendered(normal=torch.stack((facing, up, empty))[None, None]), "normal")[0, 0]
    assert shown.tolist() == [[128, 128, 255], [128, 255, 128], [GREY] * 3]


def test_the_range_leaves_stray_pixels_out() -> None:
    depth = torch.linspace(2, 3, 10_000).view(1, 100, 100)
    depth[0, 0, 0], depth[0, 0, 1] = 1e6, 0.0
    near, far = depth_range_of(depth)
    assert 2.0 <= near < 2.1
    assert 2.9 < far <= 3.0


@pytest.mark.parametrize("depth", [torch.zeros(1, 4, 4), torch.ones(1, 4, 4)])
def test_flat_and_empty_depths_have_colours_too(depth: torch.Tensor) -> None:
    shown = picture(rendered(depth=depth), "depth")
    assert shown.shape == (1, 4, 4, 3)


def test_every_mode_names_its_outputs() -> None:
    assert [outputs_of(mode)[0] for mode in MODES] == ["rgb", "depth", "depth_median", "normal",
                                                       "rgb"]  # fmt: skip
    with pytest.raises(UsageError, match="expected any of rgb, depth"):
        outputs_of("heat")
