"""Where training starts: a scene file; and photos that masks cut out."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from splatkit.core import Note, SplatkitError, drain
from splatkit.io.images import read_image, write_image
from splatkit.io.registry import write_gaussians
from splatkit.train.behind import BEHIND_MASKS, as_configured
from splatkit.train.events import Started
from splatkit.train.photos import load_views
from splatkit.train.start import KNOWN_PROGRESS
from splatkit.train.state import load_state, newest_checkpoint
from splatkit.train.trainer import train
from tests.train.photographed import HEIGHT, WIDTH, events_of, make_gaussians
from tests.train.test_trainer import FAST, held_out_psnr


def test_a_scene_file_is_where_training_starts(scene, tmp_path):
    file = tmp_path / "truth.ply"
    write_gaussians(make_gaussians(sh_degree=2), file)
    config = replace(FAST, start=file, iterations=10, max_gaussians=60)
    events, gaussians = events_of(train(scene, tmp_path / "run", config))
    started = next(e for e in events if isinstance(e, Started))
    assert started.num_gaussians == 60
    assert any(isinstance(e, Note) and "with 60 Gaussians" in e.text for e in events)
    assert gaussians.sh_degree == config.sh_degree
    assert held_out_psnr(scene, gaussians, config) > 30
    newest = newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert newest is not None
    state = load_state(newest)
    assert state.pace.progress(0) == KNOWN_PROGRESS
    assert state.pace.progress(state.step) == 1


def test_a_file_that_is_no_scene_is_one_clear_line(scene, tmp_path):
    file = tmp_path / "scene.ply"
    file.write_text("nonsense")
    with pytest.raises(SplatkitError, match=r"scene\.ply") as caught:
        drain(train(scene, tmp_path / "run", replace(FAST, start=file)))
    assert "\n" not in str(caught.value)


@pytest.fixture
def masked(scene, tmp_path):
    """The scene with the left half of every photo masked out."""
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[:, : WIDTH // 2] = 0
    path = tmp_path / "mask.png"
    write_image(path, mask)
    for photo in scene.photos:
        photo.mask_path = path
    return replace(scene, background=None)


def test_masked_pixels_are_unknown_or_empty(masked):
    config = replace(FAST, masks="transparent")
    unknown = drain(load_views(masked.photos[:1], config.picture_size, None))[0]
    assert unknown.alpha is None
    assert unknown.mask is not None
    assert (unknown.mask[..., : WIDTH // 2] == 0).all()
    assert (unknown.mask[..., WIDTH // 2 :] == 255).all()
    photo = torch.tensor(read_image(masked.photos[0].path))
    assert torch.equal(unknown.image[0], photo)

    scene = as_configured(masked, config)
    assert scene.background == BEHIND_MASKS
    empty = drain(
        load_views(scene.photos[:1], config.picture_size, scene.background, 1, config.masks)
    )[0]
    assert empty.mask is None
    assert empty.alpha is not None
    assert (empty.alpha[..., : WIDTH // 2] == 0).all()
    assert (empty.image[0, :, : WIDTH // 2] == 255).all()
    assert torch.equal(empty.image[0, :, WIDTH // 2 :], photo[:, WIDTH // 2 :])


def test_scenes_without_masks_or_with_a_background_keep_it(scene, masked):
    scene.background = None
    assert as_configured(masked, FAST).background is None
    config = replace(FAST, masks="transparent")
    blue = replace(masked, background=(0.0, 0.0, 1.0))
    assert as_configured(blue, config).background == (0.0, 0.0, 1.0)
    for photo in scene.photos:
        photo.mask_path = None
    assert as_configured(scene, config).background is None


def test_photos_that_masks_cut_out_train_into_empty_space(masked, tmp_path):
    config = replace(FAST, masks="transparent", iterations=40)
    scene = as_configured(masked, config)
    gaussians = drain(train(scene, tmp_path / "run", config))
    assert len(gaussians) > 0
    assert torch.isfinite(gaussians.means).all()
