from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from splatkit.core import Progress, SplatkitError, UsageError, drain
from splatkit.export import RenderOptions, open_scene, render_scene
from splatkit.io import write_gaussians
from splatkit.render import render
from splatkit.render.paths import orbit
from tests.scenes import ball_over_floor, write_run


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "balls")


def test_videos_hold_the_renders_frame_by_frame(run: Path) -> None:
    options = RenderOptions(frames=6, width=144, paths=("orbit",))
    scene = open_scene(run)
    (video,) = drain(render_scene(scene, None, options))
    assert video == run / "renders" / "orbit.mp4"
    views = scene.cameras(144, 96)
    assert views is not None
    path = orbit(views, 6, 144, 96).to(torch.float32)
    truth = (render(scene.gaussians, path).rgb.clamp(0, 1) * 255).numpy()
    with av.open(str(video)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 30
    assert len(frames) == 6
    for frame, wanted in zip(frames, truth, strict=True):
        assert psnr(frame, wanted) >= 30
    assert psnr(frames[0], truth[3]) < 25, "the orbit stands still"


def test_every_output_has_its_folder_of_pictures(run: Path, tmp_path: Path) -> None:
    options = RenderOptions(frames=3, format="png", width=33, outputs=("rgb", "depth", "normal"))
    work = render_scene(open_scene(run), tmp_path / "out", options)
    events = []
    try:
        while True:
            events.append(next(work))
    except StopIteration as stop:
        written = stop.value
    names = ["orbit", "orbit-depth", "orbit-normal", "captured", "captured-depth",
             "captured-normal"]  # fmt: skip
    assert [path.name for path in written] == names
    for folder in written:
        files = sorted(folder.iterdir())
        assert [file.name for file in files] == ["00000.png", "00001.png", "00002.png"]
        assert Image.open(files[0]).size == (33, 22)
    progress = [event for event in events if isinstance(event, Progress)]
    assert [(event.done, event.total) for event in progress[:4]] == [(i, 3) for i in range(4)]


def test_stopping_leaves_what_was_there(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    target.write_bytes(b"before")
    options = RenderOptions(frames=50, paths=("orbit",))
    work = render_scene(open_scene(run), target, options)
    for _ in range(3):
        next(work)
    work.close()
    assert target.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == ["film.mp4"]


def test_a_folder_with_other_files_is_not_replaced(run: Path, tmp_path: Path) -> None:
    precious = tmp_path / "orbit" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")
    options = RenderOptions(frames=1, format="png", paths=("orbit",))
    with pytest.raises(UsageError, match="other files"):
        drain(render_scene(open_scene(run), tmp_path, options))
    assert precious.read_text() == "years of work"


def test_each_path_has_a_painter_of_its_own(run: Path, tmp_path: Path) -> None:
    made: list[int] = []

    def painter():
        made.append(0)

        def paint(gaussians, camera, background):
            made[-1] += 1
            return torch.zeros(camera.height, camera.width, 3)

        return paint

    options = RenderOptions(frames=3, width=32, format="png")
    drain(render_scene(open_scene(run), tmp_path / "out", options, painter))
    assert made == [3, 3]


def test_a_scene_file_alone_is_circled(tmp_path: Path) -> None:
    file = tmp_path / "balls.ply"
    write_gaussians(ball_over_floor(), file)
    options = RenderOptions(frames=2, width=64, paths=("orbit",))
    (video,) = drain(render_scene(open_scene(file), None, options))
    assert video == tmp_path / "balls-renders" / "orbit.mp4"
    with av.open(str(video)) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert frame.shape == (36, 64, 3)
    assert frame[8:28, 16:48].max() > 100, "the scene is not in the middle of the picture"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"paths": ("spiral",)}, "--path: expected any of orbit, captured, got 'spiral'"),
        ({"outputs": ("rgb", "heat")}, "--outputs: expected any of"),
        ({"width": 0}, "--width: expected 1 to 100000, got 0"),
        ({"frames": -1}, "--frames: expected 1 to 100000, got -1"),
    ],
)
def test_options_are_checked(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RenderOptions(**options)


def test_one_file_takes_one_path(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one path and one output"):
        drain(render_scene(open_scene(run), tmp_path / "a.mp4", RenderOptions(frames=1)))


def test_a_run_without_scene_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SplatkitError, match="splatkit train PHOTOS -o RUN"):
        open_scene(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step").touch()
    with pytest.raises(SplatkitError, match="--resume"):
        open_scene(tmp_path)
