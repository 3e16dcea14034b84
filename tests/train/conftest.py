"""The small scene that the training tests share."""

import copy

import pytest

from tests.train.photographed import make_scene


@pytest.fixture(scope="session")
def pictured(tmp_path_factory):
    """The scene, photographed once."""
    return make_scene(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def scene(pictured):
    """A copy that a test may change."""
    return copy.deepcopy(pictured)
