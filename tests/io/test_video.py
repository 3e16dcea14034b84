from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from splatkit.core import UsageError
from splatkit.io import video
from splatkit.io.video import find_encoder, write_video
from tests.chromium import chromium_page

WIDTH, HEIGHT, FRAMES = 320, 180, 45


def frame(index: int) -> np.ndarray:
    """Two ramps and a wave that moves; the upper left corner is dark, the lower right bright."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    wave = np.sin(columns / 20 + index / 5) * 100 + 128
    return np.stack((columns / WIDTH * 255, rows / HEIGHT * 255, wave), -1).astype(np.uint8)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with write_video(path, WIDTH, HEIGHT, 30) as add:
        for index in range(FRAMES):
            add(frame(index))
    return path


def test_frames_come_back_in_order_and_colour(film: Path) -> None:
    with av.open(str(film)) as container:
        frames = [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]
    assert len(frames) == FRAMES
    for index in (0, 20, FRAMES - 1):
        error = np.mean((frames[index].astype(float) - frame(index)) ** 2)
        assert 10 * np.log10(255**2 / error) >= 35


def test_players_learn_codec_colours_and_rate(film: Path) -> None:
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        bt709, limited = 1, 1
        assert context.colorspace == context.color_primaries == context.color_trc == bt709
        assert context.color_range == limited
        assert stream.average_rate == 30
    data = film.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "the index is not at the front"


@pytest.mark.parametrize(
    ("path", "size", "fps", "message"),
    [
        ("a.avi", (32, 32), 30, "a.avi: expected a file name ending in .mp4"),
        ("a.mp4", (33, 32), 30, "expected an even width and height, got 33x32"),
        ("a.mp4", (32, 0), 30, "expected an even width and height, got 32x0"),
        ("a.mp4", (32, 32), 0, "expected 0 to 1000 frames a second, got 0"),
    ],
)
def test_bad_use(tmp_path: Path, path: str, size: tuple, fps: float, message: str) -> None:
    with pytest.raises(UsageError, match=message), write_video(tmp_path / path, *size, fps):
        pass
    assert not list(tmp_path.iterdir())


def test_a_frame_of_another_size_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match=r"expected frames \[32, 32, 3\] of uint8"),
        write_video(tmp_path / "a.mp4", 32, 32, 30) as add,
    ):
        add(np.zeros((32, 30, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_another_encoder_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "ENCODERS", ("no_such_encoder", "mpeg4"))
    assert find_encoder() == "mpeg4"
    with write_video(tmp_path / "a.mp4", 64, 64, 24) as add:
        add(np.full((64, 64, 3), 200, np.uint8))
    assert (tmp_path / "a.mp4").stat().st_size > 500


@pytest.fixture
def site(film: Path) -> Iterator[str]:
    """A web server that shows the film on a page."""
    (film.parent / "index.html").write_text('<video src="film.mp4" muted></video>')
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=film.parent)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.mark.long
def test_chromium_plays_it(site: str) -> None:
    with chromium_page() as page:
        page.goto(site)
        page.evaluate("document.querySelector('video').play()")
        page.wait_for_function("document.querySelector('video').currentTime > 0.5", timeout=20000)
        page.wait_for_function("document.querySelector('video').ended", timeout=20000)
        size = page.evaluate(
            "(v => [v.videoWidth, v.videoHeight])(document.querySelector('video'))"
        )
        assert size == [WIDTH, HEIGHT]
        corners = page.evaluate(
            """() => {
                const video = document.querySelector('video');
                const canvas = document.createElement('canvas');
                [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
                const context = canvas.getContext('2d');
                context.drawImage(video, 0, 0);
                const at = (x, y) => [...context.getImageData(x, y, 1, 1).data].slice(0, 2);
                return [at(8, 8), at(310, 170)];
            }"""
        )
    shown = np.array(corners, dtype=float)
    last = frame(FRAMES - 1)[..., :2].astype(float)
    assert np.abs(shown - [last[8, 8], last[170, 310]]).max() < 12
