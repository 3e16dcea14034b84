"""Training, densification and evaluation on a GPU, without one.

The kernels run on the CPU (``tests/simt``), and tensors only say that they are on a GPU: what would
mix devices or wait for the GPU inside a step shows all the same (``tests/render/pretended.py``).
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from splatkit.core import drain
from splatkit.render import backends
from splatkit.render.backends import _cuda_device
from splatkit.render.backends.cuda import CudaBackend
from splatkit.train import trainer as training
from splatkit.train.config import Recipe, TrainConfig
from splatkit.train.evaluate import evaluate
from splatkit.train.events import Finished, StepDone
from splatkit.train.initialize import Initialization
from splatkit.train.passers_by import PassersBy
from splatkit.train.photo_store import PhotoStore
from splatkit.train.photos import load_views
from splatkit.train.schedule import Coarse
from splatkit.train.shell import Shell
from splatkit.train.state import load_state, newest_checkpoint
from splatkit.train.strategies import BudgetedGrowth, Classic, Mcmc
from splatkit.train.surface import Surface
from splatkit.train.trainer import train
from splatkit.train.watch import watched
from tests.render.pretended import GPU, pretended_gpu, waits_counted
from tests.simt.driver import COMPILER, SimtDriver
from tests.train.photographed import events_of, make_scene

pytestmark = pytest.mark.skipif(not COMPILER, reason="no g++ to compile the kernels with")
CONFIG = TrainConfig(
    iterations=14,
    max_gaussians=90,
    sh_degree=1,
    threads=1,
    backend="cuda",
    passers_by=True,
    recipe=Recipe(
        budgeted=BudgetedGrowth(every=5),
        mcmc=Mcmc(every=5),
        classic=Classic(every=5, gradient=1e-5, stop=0.9, reset_every=10),
        initialization=Initialization(least_points=1, fill=60),
        passers_by=PassersBy(start=0.0),
        shell=Shell(count=0),
        coarse=Coarse(half=0.3, quarter=0.0, least_side=16),
    ),
)


class AtOnce:
    """An executor that works when it is asked."""

    def __init__(self, workers: int, name: str) -> None:
        assert workers == 1

    def submit(self, work, *args):
        future = Future()
        future.set_result(work(*args))
        return future

    def shutdown(self) -> None:
        pass


def chance(device="cpu"):
    """A source of chance for any device."""
    return torch.Generator()


@pytest.fixture
def gpu(monkeypatch):
    """A GPU that pretends, as the backend ``cuda``."""
    cpu = backends.get_backend("cpu")
    with pretended_gpu(monkeypatch):
        cuda = CudaBackend(SimtDriver(device=GPU), deterministic=True)

        def get_backend(name="auto", device=None):
            on_cpu = name == "cpu" or (name == "auto" and device is not None and device != GPU)
            return cpu if on_cpu else cuda

        for module in ("trainer", "evaluate"):
            monkeypatch.setattr(f"splatkit.train.{module}.get_backend", get_backend)
        for module in ("rows", "api"):
            monkeypatch.setattr(f"splatkit.render.{module}.get_backend", get_backend)
        monkeypatch.setattr(_cuda_device, "obstacle", lambda: None)
        # Chance of a GPU that pretends is the CPU's.
        monkeypatch.setattr(
            "splatkit.train.chance.torch",
            SimpleNamespace(Generator=chance, randperm=torch.randperm),
        )
        # What pretends, pretends in this thread only.
        monkeypatch.setattr("splatkit.train.photo_store.ThreadPoolExecutor", AtOnce)
        monkeypatch.setattr(training, "SECONDS_BETWEEN_EVENTS", 0.0)
        yield cuda


def test_a_run_goes_on_from_device_to_device(scene, tmp_path, gpu):
    views = drain(load_views(scene.held_out_photos, CONFIG.picture_size, None))
    # On the CPU, then on the GPU, then on the CPU to the end.
    for last, backend in ((4, "cpu"), (11, "cuda"), (14, "cpu")):
        config = replace(CONFIG, backend=backend, resume=last > 4)
        work = train(scene, tmp_path / "run", config)
        event = None
        for event in watched(work, views, None, gpu):
            if isinstance(event, StepDone):
                assert event.gaussians.device.type == ("cuda" if backend == "cuda" else "cpu")
                if event.step == last < 14:
                    break
        work.close()
        newest = newest_checkpoint(tmp_path / "run" / "checkpoints")
        assert newest is not None
        state = load_state(newest)
        assert state.step == last
        assert state.model.gaussians.device.type == "cpu"
        assert isinstance(event, Finished) == (last == 14)
        assert (len(state.model.gaussians) == 90) == (last >= 10)


@pytest.mark.parametrize("strategy", ["budgeted", "mcmc", "classic"])
def test_no_step_waits_for_the_gpu(tmp_path, gpu, monkeypatch, strategy):
    """But the one after a change of the count, which has to know it, surfaces made or not."""
    waits: list[list[str]] = []
    step = training.Trainer.step

    def counted(self: training.Trainer) -> None:
        with waits_counted() as found:
            step(self)
        waits.append(found)

    monkeypatch.setattr(training.Trainer, "step", counted)
    monkeypatch.setattr(training, "STEPS_BETWEEN_READINGS", 1000)
    scene = make_scene(tmp_path, alpha=True)
    # All steps from the 6th on, the first after a change.
    recipe = replace(CONFIG.recipe, surface=Surface(start=0.35, every=1))
    config = replace(CONFIG, strategy=strategy, background="random", recipe=recipe, surface=True)
    _, gaussians = events_of(train(scene, tmp_path / "run", config))
    assert gaussians.device.type == "cpu"
    for number, found in enumerate(waits, 1):
        # A photo comes once with its camera, and so do the weights that passers-by need.
        once = ("photo_store.py", "cameras.py", "passers_by.py")
        found = [w for w in found if not ("to the GPU" in w and any(o in w for o in once))]
        changes = number % 5 == 0
        seen_first = number % 5 == 1 or number == CONFIG.iterations
        assert bool(found) == (changes or seen_first), (number, found)
    behind = scene.background
    views = drain(load_views(scene.held_out_photos, CONFIG.picture_size, behind))
    shown = [drain(evaluate(gaussians, views, behind, backend=name)) for name in ("cuda", "cpu")]
    for got, expected in zip(*shown, strict=True):
        assert got.psnr == pytest.approx(expected.psnr, abs=0.02)
        assert got.ssim == pytest.approx(expected.ssim, abs=1e-3)


@pytest.mark.parametrize("factor", [1, 3])
@pytest.mark.parametrize("room", [10**9, 1])
def test_photos_come_to_the_gpu(tmp_path, gpu, factor, room):
    scene = make_scene(tmp_path, alpha=True)
    views = drain(load_views(scene.training_photos, CONFIG.picture_size, scene.background))
    store = PhotoStore(views, GPU, room).reduced(factor)
    assert store.fits == (room > 1)
    order = [0, 3, 3, 1, 0]
    for index, following in zip(order, [*order[1:], None], strict=True):
        view, expected = store.at(index, following), views[index].reduced(factor)
        assert view.image.device == view.camera.Ks.device == GPU
        assert view.alpha is not None
        assert view.alpha.device == GPU
        assert (view.image.cpu().int() - expected.image.int()).abs().max() <= 1
        torch.testing.assert_close(view.camera.Ks.cpu(), expected.camera.Ks)
