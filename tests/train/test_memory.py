"""Memory: foreseen, kept within a budget, and compared with what a process really took."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from splatkit.core import Note, SplatkitError, UsageError
from splatkit.render.backends.cuda import CudaBackend
from splatkit.train import memory
from splatkit.train.config import TrainConfig, bytes_from_text
from splatkit.train.memory import estimate, photo_room, within_memory
from tests.render.fake_driver import FakeDriver
from tests.render.test_cuda_launch import step_once
from tests.train.photographed import events_of

GPU = torch.device("cuda", 0)
PROGRAM = """
import json, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import torch
from splatkit.core import drain
from splatkit.train.config import Recipe, TrainConfig
from splatkit.train.initialize import Initialization
from splatkit.train.machine import peak_memory_bytes
from splatkit.train.memory import estimate
from splatkit.train.strategies import BudgetedGrowth
from splatkit.train.trainer import train
from tests.train.photographed import make_scene
scene = make_scene(Path({folder!r}))
config = TrainConfig(
    iterations=12, max_gaussians={count}, threads=1,
    recipe=Recipe(
        budgeted=BudgetedGrowth(every=2, most_added=4.0),
        initialization=Initialization(least_points=100_000_000, fill={count} * 9 // 10),
    ),
)
gaussians = drain(train(scene, Path({folder!r}) / "run", config))
foreseen = estimate(scene, config, config.budget).total
print(json.dumps([len(gaussians), foreseen, peak_memory_bytes()]))
"""


def measured(folder, count):
    """Gaussians, foreseen bytes and peak bytes of a small training in its own process."""
    folder.mkdir()
    program = PROGRAM.format(tests=str(Path(__file__).parents[2]), folder=str(folder), count=count)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory as Linux tells it")
def test_what_was_foreseen_for_gaussians_is_what_they_took(tmp_path):
    # Two counts, because what Python and the libraries take differs between machines.
    few, many = (measured(tmp_path / str(count), count) for count in (20_000, 250_000))
    assert many[0] - few[0] > 200_000
    assert 0.7 < (many[1] - few[1]) / (many[2] - few[2]) < 1.4
    assert 0.5 < few[1] / few[2] < 2


def test_more_of_everything_needs_more(scene):
    config = TrainConfig()
    least = estimate(scene, config, 1000)
    assert estimate(scene, config, 100_000).gaussians == pytest.approx(100 * least.gaussians)
    assert estimate(scene, replace(config, resize=16), 1000).images < least.images
    assert estimate(scene, replace(config, sh_degree=0), 1000).gaussians < least.gaussians
    assert least.total == pytest.approx(
        least.program + least.images + least.gaussians + least.workspaces
    )


def test_a_budget_lowers_the_number_of_gaussians_and_is_kept(scene):
    config = TrainConfig(max_gaussians=1_000_000, memory_budget="1G")
    events, fitted = events_of(within_memory(scene, config))
    assert 50_000 < fitted.budget < 1_000_000
    assert 0.95e9 < estimate(scene, fitted, fitted.budget).total <= 1e9
    (note,) = events
    assert isinstance(note, Note)
    assert f"{fitted.budget:,} Gaussians instead of 1,000,000" in note.text


def test_a_budget_that_is_enough_changes_nothing(scene):
    config = TrainConfig(max_gaussians=10_000, memory_budget="8G")
    assert events_of(within_memory(scene, config)) == ([], config)


def test_a_budget_for_nothing_is_refused_in_one_line(scene):
    with pytest.raises(SplatkitError, match="--memory-budget: expected at least") as caught:
        events_of(within_memory(scene, TrainConfig(memory_budget="100M")))
    assert "\n" not in str(caught.value)


def test_without_a_budget_a_machine_that_is_too_small_is_spoken_of(scene, monkeypatch):
    monkeypatch.setattr(memory, "available_memory_bytes", lambda: 3e8)
    events, config = events_of(within_memory(scene, TrainConfig()))
    assert config == TrainConfig()
    assert [event.warning for event in events] == [True]
    monkeypatch.setattr(memory, "available_memory_bytes", lambda: None)
    assert events_of(within_memory(scene, TrainConfig()))[0] == []


class GpuMemory:
    """What torch tells of a GPU's memory."""

    def __init__(self, monkeypatch, free, total=80e9):
        self.fraction = None
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, total))
        monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", self.limit)

    def limit(self, fraction, device):
        assert device == GPU
        self.fraction = fraction


def test_on_a_gpu_a_budget_is_one_of_its_memory(scene, monkeypatch):
    told = GpuMemory(monkeypatch, free=50e9)
    config = TrainConfig(max_gaussians=10_000_000, memory_budget="4G")
    (note,), fitted = events_of(within_memory(scene, config, GPU))
    assert 1_000_000 < fitted.budget < 10_000_000
    assert 3.9e9 < estimate(scene, fitted, fitted.budget, GPU).total <= 4e9
    assert "stay within 4.0 GB" in note.text
    assert told.fraction == pytest.approx((4e9 - 600e6) / 80e9)
    # What is left is for photos.
    fewer = replace(fitted, max_gaussians=500_000)
    none, much = (photo_room(scene, each, GPU) for each in (fitted, fewer))
    assert none is not None
    assert much is not None
    assert none < 1e6
    assert much > 1e9
    assert photo_room(scene, TrainConfig(), GPU) is None


def test_a_gpu_that_is_too_small_is_spoken_of(scene, monkeypatch):
    GpuMemory(monkeypatch, free=2e9)
    events, _ = events_of(within_memory(scene, TrainConfig(max_gaussians=5_000_000), GPU))
    assert [event.warning for event in events] == [True]


def test_what_is_foreseen_for_a_gpu_is_what_a_step_allocates():
    count, sizes = 200_000, {}
    for width in (64, 1024):
        driver = FakeDriver(visible=count, instances=8 * count)
        step = CudaBackend(driver).training_step()
        step_once(step, driver, count=count, width=width, scores=True)
        sizes[width] = sum(t.nbytes for t in step._memory._memory.values())
    foreseen = memory._GPU.per_splat * count
    assert 0.7 < sizes[64] / foreseen < 1.1
    assert sizes[1024] - sizes[64] < memory._PER_PIXEL * (1024 - 64) * 45


@pytest.mark.parametrize(
    ("text", "size"), [("800M", 8e8), ("4G", 4e9), ("1.5 GB", 1.5e9), ("1000", 1000), ("2t", 2e12)]
)
def test_sizes(text, size):
    assert bytes_from_text(text) == size


@pytest.mark.parametrize("text", ["", "much", "-4G", "0", "4 P"])
def test_other_sizes_are_refused_in_one_line(text):
    with pytest.raises(UsageError, match="--memory-budget: expected a size like"):
        TrainConfig(memory_budget=text)
