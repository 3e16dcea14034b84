"""Every launch of the CUDA backend fits the structs, sizes and geometry that its header states.

No kernel runs here: ``FakeDriver`` checks the calls. What kernels compute is tested in
``tests/simt``.
"""

from __future__ import annotations

import pytest
import torch

from splatkit.core import SplatkitError
from splatkit.render import render
from splatkit.render.backends import _cuda_later
from splatkit.render.backends._cuda_driver import fill
from splatkit.render.backends._cuda_later import REPEATS_BEFORE_CAPTURE, TRIALS, FormChooser
from splatkit.render.backends._cuda_params import interface
from splatkit.render.backends._cuda_plan import Choice, channel_passes
from splatkit.render.backends.base import (
    AdamState,
    DensityStatistics,
    ProjectOptions,
    UpdateOptions,
)
from splatkit.render.backends.cuda import CudaBackend
from splatkit.render.screen import ScreenSplats
from tests.render.cases import CASES, OUTPUTS, Case, cameras_around, random_gaussians
from tests.render.fake_driver import FakeDriver, capture_with
from tests.render.triangle_cases import TriangleCase, run

UPDATE = UpdateOptions(
    rates=dict.fromkeys(("means", "quats", "log_scales", "logit_opacities", "sh", "sh_rest"), 0.1)
)
STEP_KERNELS = {
    "prepare_cameras",
    "project",
    "sort_histogram",
    "sort_pass",
    "emit",
    "tile_ranges",
    "blend",
    "blend_adj",
    "finish",
}


SHAPES = ("odd size", "degree 0", "degree 4", "many channels", "one pixel")


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("case", [c for c in CASES if c.name in SHAPES], ids=lambda case: case.name)
def test_render_and_its_gradients(case: Case, deterministic: bool) -> None:
    driver = FakeDriver()
    gaussians = random_gaussians(case).to(torch.float32).map(lambda t: t.requires_grad_())
    cameras = cameras_around(case).to(torch.float32)
    cameras.viewmats.requires_grad_()
    features = torch.randn(case.count, case.features) if case.features else None
    rendered = render(
        gaussians,
        cameras,
        features=features,
        outputs=OUTPUTS,
        top_k=3,
        backend=CudaBackend(driver, deterministic),
    )
    rendered.rgb.sum().backward()
    ran = {launch.kernel for launch in driver.launches}
    assert ran == STEP_KERNELS - {"finish"} | {"project_adj", "view_adj"} | (
        {"gather_slots"} if deterministic else set()
    )
    parts = len(channel_passes(case.features + 4))
    assert len(driver.of("blend")) == len(driver.of("blend_adj")) == parts
    assert len(driver.checked) > 50
    assert gaussians.sh.grad is not None
    assert cameras.viewmats.grad is not None


def test_channels_are_blended_in_as_few_passes_as_possible() -> None:
    for count in range(60):
        passes = channel_passes(count)
        assert [p.colors for p in passes] == [3] + [0] * (len(passes) - 1)
        assert sum(p.count for p in passes) == count
        assert [p.begin for p in passes] == [
            sum(q.count for q in passes[:i]) for i in range(len(passes))
        ]
        assert all(p.colors + p.count <= p.values for p in passes)
        assert len(passes) == 1 + max(0, -(-(count - 13) // 16))


def step_once(
    step, driver: FakeDriver, count: int = 40, width: int = 61, scores: bool = False, model=None
):
    case = Case("step", count=count, width=width, cameras=1)
    gaussians, adam = model or (random_gaussians(case).to(torch.float32), None)
    adam = adam or AdamState.zeros_like(gaussians)
    cameras = cameras_around(case).to(torch.float32)
    rgb, alpha = step.forward(gaussians, cameras, torch.zeros(1, 3), ProjectOptions(sh_degree=2))
    weights = torch.ones_like(alpha) if scores else None
    step.backward(torch.zeros_like(rgb), torch.zeros_like(alpha), weights)
    step.finish(gaussians, adam, UPDATE, DensityStatistics.zeros(count))
    return gaussians, adam


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("scores", [False, True])
def test_training_step(deterministic: bool, scores: bool) -> None:
    driver = FakeDriver()
    step = CudaBackend(driver, deterministic).training_step()
    _, adam = step_once(step, driver, scores=scores)
    assert adam.step == 1
    kernels = [launch.kernel for launch in driver.launches]
    assert set(kernels) == STEP_KERNELS | ({"gather_slots"} if deterministic else set())
    assert kernels[-1] == "finish"
    assert dict(driver.of("finish")[0].options) == {
        "SK_SH_DEGREE": 2,
        "SK_BASES": 16,
        "SK_MOVING_BASES": 9,
        "SK_MANY_CAMERAS": 0,
    }
    given = driver.read(driver.of("finish")[0])
    assert given.inverse_bias1 == pytest.approx(10.0)
    assert given.rest2 == pytest.approx(0.001)
    assert bool(given.score_sums) == scores


def test_room_for_instances_grows_until_all_fit() -> None:
    driver = FakeDriver(instances=300_000)
    step = CudaBackend(driver).training_step()
    model = step_once(step, driver)
    room = [driver.read(launch).instance_capacity for launch in driver.of("emit")]
    assert len(room) == 2
    assert room[0] < 300_000 <= room[1]
    # One step later it is known without waiting, and grows before it is too small.
    driver.instances = int(0.95 * room[1])
    for _ in range(3):
        step_once(step, driver, model=model)
    room = [driver.read(launch).instance_capacity for launch in driver.of("emit")]
    assert len(room) == 5
    assert room[-1] > 1.1 * driver.instances


def test_rendering_repeats_what_did_not_fit() -> None:
    driver = FakeDriver(instances=500_000)
    case = Case("room", count=30, cameras=1)
    render(
        random_gaussians(case).to(torch.float32),
        cameras_around(case).to(torch.float32),
        backend=CudaBackend(driver),
    )
    room = [driver.read(launch).instance_capacity for launch in driver.of("emit")]
    assert room[0] < 500_000 <= room[1]
    assert len(driver.of("blend")) == 1
    driver.instances = 2**30 - 1
    with pytest.raises(SplatkitError, match="fewer cameras"):
        render(
            random_gaussians(case).to(torch.float32),
            cameras_around(case).to(torch.float32),
            backend=CudaBackend(driver),
        )


def test_who_runs_ahead_counts_the_first_picture_only() -> None:
    driver = FakeDriver(instances=300_000)
    ahead = CudaBackend(driver).ahead()

    def draw(count: int, width: int) -> list[int]:
        before = len(driver.of("emit"))
        case = Case("ahead", count=count, width=width, cameras=1)
        gaussians = random_gaussians(case).to(torch.float32).map(lambda t: t.requires_grad_())
        cameras = cameras_around(case).to(torch.float32)
        rendered = render(gaussians, cameras, outputs=("depth", "normal"), backend=ahead)
        assert rendered.normal is not None
        rendered.normal.sum().backward()
        emits = [driver.read(launch) for launch in driver.of("emit")[before:]]
        return [emit.instance_capacity for emit in emits]

    small, room = draw(40, 61)
    assert small < 300_000 <= room
    # Another number of Gaussians is not counted; what did not fit once is known one picture later.
    driver.instances = 2 * room
    assert draw(20, 61) == [room]
    (grown,) = draw(20, 61)
    assert grown > driver.instances
    driver.instances = 2 * grown
    assert len(draw(20, 90)) == 2
    # Twice as many will need twice the room, however few of them were seen.
    (more,) = draw(40, 90)
    assert 3 * driver.instances > more > 2 * driver.instances


def test_who_runs_ahead_takes_its_own_splats() -> None:
    case = Case("ahead", count=9, cameras=1)
    backend = CudaBackend(FakeDriver())
    given = (random_gaussians(case).to(torch.float32), cameras_around(case).to(torch.float32))
    splats = backend.project(*given, ProjectOptions())
    splats.records = splats.records.clone()
    with pytest.raises(SplatkitError, match="as they were projected"):
        backend.ahead().blend(splats, torch.zeros(1, 3))


@pytest.mark.parametrize("deterministic", [False, True])
def test_all_that_a_training_launches_was_foreseen(deterministic: bool) -> None:
    """What was not is compiled behind all that was, and the first step waits for it."""
    driver = FakeDriver()
    backend = CudaBackend(driver, deterministic)
    step, ahead = backend.training_step(), backend.ahead()
    case = Case("foreseen", count=40, cameras=1, antialiased=True)
    gaussians, cameras = random_gaussians(case).to(torch.float32), cameras_around(case)
    adam, cameras = AdamState.zeros_like(gaussians), cameras.to(torch.float32)
    photo = torch.zeros(1, case.height, case.width, 3, dtype=torch.uint8)
    for index in range(24):
        options = ProjectOptions(sh_degree=index // 6)
        rgb, alpha = step.forward(gaussians, cameras, torch.zeros(1, 3), options)
        _, v_rgb = backend.l1_ssim(rgb, photo, 0.2)
        step.backward(v_rgb, None, alpha if index % 2 else None)
        seen = gaussians.map(lambda t: t.detach().requires_grad_(t.ndim < 3))
        rendered = render(seen, cameras, sh_degree=0, outputs=("depth", "normal"), backend=ahead)
        assert rendered.normal is not None
        rendered.normal.sum().backward()
        step.finish(gaussians, adam, UPDATE, DensityStatistics.zeros(40))
    files = {(interface().kernels[x.kernel].file, x.options) for x in driver.launches}
    assert files <= driver.prepared
    assert {file for file, _ in files} >= {"project.cu", "project_adj.cu", "loss.cu", "finish.cu"}


def test_waiting_for_times_spoils_none(monkeypatch: pytest.MonkeyPatch) -> None:
    ready = False
    marks: dict[int, int] = {}

    class Watch:
        def __init__(self, device: torch.device) -> None:
            self.number = len(marks)
            marks[self.number] = 0

        def mark(self) -> None:
            marks[self.number] += 1

        @property
        def milliseconds(self) -> float | None:
            return float(10 - self.number) if ready else None

    monkeypatch.setattr(_cuda_later, "Stopwatch", Watch)
    forms = [Choice(), Choice(adj_form=1)]
    chooser = FormChooser(torch.device("cpu"), forms)
    for number in range(2 * TRIALS + 5):
        ready = number == 2 * TRIALS + 4
        expected = forms[min(1, number // TRIALS) if number < 2 * TRIALS or ready else 0]
        assert chooser.next() is expected
        chooser.mark()
        chooser.mark()
    assert chooser.done
    assert list(marks.values()) == [2] * 2 * TRIALS


def test_all_backward_forms_are_tried_and_one_stays() -> None:
    driver = FakeDriver()
    step = CudaBackend(driver).training_step()
    model = None
    for _ in range(3 * TRIALS + 5):
        model = step_once(step, driver, model=model)
    forms = [
        (dict(launch.options)["SK_ADJ_FORM"], dict(launch.options)["SK_BUCKET"])
        for launch in driver.of("blend_adj")
    ]
    tried = [(0, 128)] * TRIALS + [(1, 128)] * TRIALS + [(0, 0)] * TRIALS
    assert forms[: 3 * TRIALS] == tried
    assert len(set(forms[3 * TRIALS :])) == 1


def test_launches_are_replayed_where_nothing_moved() -> None:
    driver = FakeDriver()
    backend = CudaBackend(driver, deterministic=True, capture=capture_with(driver))
    step = backend.training_step()
    case = Case("replay", count=40, cameras=1)
    gaussians, cameras = random_gaussians(case).to(torch.float32), cameras_around(case)
    adam, cameras = AdamState.zeros_like(gaussians), cameras.to(torch.float32)
    v_rgb = torch.zeros(1, case.height, case.width, 3)
    sizes = []
    for index in range(REPEATS_BEFORE_CAPTURE + 4):
        before = len(driver.launches)
        step.forward(gaussians, cameras, torch.full((1, 3), 0.1 * index), ProjectOptions())
        step.backward(v_rgb)
        step.finish(gaussians, adam, UPDATE)
        sizes.append(driver.launches[before:])
    # The same launches with the same arguments, replayed or not, except for finish's step count.
    for launches in sizes[1:]:
        assert launches[:-1] == sizes[0][:-1]
    assert len({launches[-1].arguments for launches in sizes}) == len(sizes)
    # A new model is new work.
    other = gaussians.clone()
    before = len(driver.launches)
    step.forward(other, cameras, torch.zeros(1, 3), ProjectOptions())
    projected = driver.read(next(x for x in driver.launches[before:] if x.kernel == "project"))
    assert projected.means == other.means.data_ptr()


def test_image_loss() -> None:
    driver = FakeDriver()
    rgb = torch.rand(2, 40, 70, 3)
    photo = torch.zeros(2, 40, 70, 3, dtype=torch.uint8)
    backend = CudaBackend(driver)
    loss, gradient = backend.l1_ssim(rgb, photo, 0.2, torch.ones(2, 40, 70, dtype=torch.bool))
    assert loss.shape == ()
    assert gradient.shape == rgb.shape
    assert [launch.kernel for launch in driver.launches] == ["image_loss", "image_loss_sum"]
    with pytest.raises(SplatkitError, match="uint8"):
        backend.l1_ssim(rgb, rgb, 0.2)


@pytest.mark.parametrize("cameras", [1, 3])
def test_nothing_to_draw(cameras: int) -> None:
    driver = FakeDriver(visible=0, instances=0)
    case = Case("empty", count=0, cameras=cameras)
    gaussians = random_gaussians(case).to(torch.float32).map(lambda t: t.requires_grad_())
    rendered = render(
        gaussians, cameras_around(case).to(torch.float32), backend=CudaBackend(driver)
    )
    rendered.rgb.sum().backward()
    assert {launch.kernel for launch in driver.launches if launch.blocks} <= {
        "prepare_cameras",
        "sort_histogram",
        "sort_pass",
        "tile_ranges",
        "blend",
        "blend_adj",
    }


@pytest.mark.parametrize("softness", [0.0, 0.5])
def test_triangles_and_their_gradients(softness: float) -> None:
    driver = FakeDriver()
    run(TriangleCase("launched", softness), CudaBackend(driver), torch.float32)
    assert {launch.kernel for launch in driver.launches} == {
        "triangle_bin",
        "sort_histogram",
        "sort_pass",
        "tile_ranges",
        "triangle_blend",
        "triangle_blend_adj",
        "triangle_gather",
        "triangle_view_adj",
    }
    assert ("triangle_blend_adj", "sums") in driver.checked
    given = driver.read(driver.of("triangle_blend")[0])
    assert bool(given.opacities) == (softness > 0)
    assert given.softness == softness


def test_wrong_calls_are_refused() -> None:
    driver = FakeDriver()
    case = Case("refused", count=9, cameras=1)
    gaussians, cameras = random_gaussians(case), cameras_around(case)
    backend = CudaBackend(driver)
    with pytest.raises(SplatkitError, match="means: expected float32"):
        render(gaussians, cameras, backend=backend)
    step = backend.training_step()
    with pytest.raises(SplatkitError, match="needs a forward"):
        step.backward(torch.zeros(1, 45, 61, 3))
    ids = torch.full((2,), 9, dtype=torch.int32)
    splats = ScreenSplats(torch.zeros(2, 12), ids, torch.zeros_like(ids), 9, 1, 61, 45)
    with pytest.raises(SplatkitError, match="gaussian_ids: expected values of 0 to 8"):
        backend.blend(splats, torch.zeros(1, 3))


def test_a_wrong_struct_is_noticed() -> None:
    good = {
        "tile_keys": torch.zeros(3, dtype=torch.int16),
        "counters": torch.zeros(8, dtype=torch.int32),
        "tile_begin": torch.zeros(5, dtype=torch.int32),
        "tiles": 4,
    }
    cpu = torch.device("cpu")
    assert fill("RangesParams", good, cpu).tiles == 4
    with pytest.raises(SplatkitError, match=r"RangesParams: .* check tiles"):
        fill("RangesParams", {k: v for k, v in good.items() if k != "tiles"}, cpu)
    with pytest.raises(SplatkitError, match=r"RangesParams.counters: expected contiguous"):
        fill("RangesParams", good | {"counters": torch.zeros(8)}, cpu)
    with pytest.raises(SplatkitError, match=r"RangesParams.tile_begin: expected contiguous"):
        fill("RangesParams", good | {"tile_begin": good["counters"][::2]}, cpu)
    with pytest.raises(AssertionError, match="tile_begin: 4 values"):
        FakeDriver().launch(
            "tile_ranges", (), 1, 256, good | {"tile_begin": torch.zeros(4, dtype=torch.int32)}
        )
    with pytest.raises(AssertionError, match="2 blocks"):
        FakeDriver().launch("tile_ranges", (), 2, 256, good)
