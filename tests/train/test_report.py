"""The page of a run: what it holds, and what a browser makes of it."""

import json
import re

import numpy as np
import pytest

from splatkit.core import SplatkitError, UsageError
from splatkit.io.files import write_json
from splatkit.io.images import write_image
from splatkit.train.report import gather as gathering
from splatkit.train.report import write_report
from splatkit.train.report.gather import curves, error_picture, gather, measured, stages
from tests.chromium import chromium_page
from tests.scenes import write_run


def step(step, second, **values):
    usual = {"loss": 0.1, "num_gaussians": 10, "steps_per_second": 5.0, "memory_bytes": 1000}
    return record("StepDone", second, step=step, **usual | values)


def record(event, second, **values):
    return {"time": f"2030-01-01T00:00:{second:02d}+00:00", "event": event, **values}


def make_run(folder, psnr=20.0, name="photo <1> </script>.png", better="good.png"):
    """A run folder with two held-out photos and a log of two sessions."""
    photos = [
        {"name": n, "psnr": p, "ssim": 0.8, "psnr_cc": p + 1, "ssim_cc": 0.8, "lpips": None}
        for n, p in ((better, psnr + 5), (name, psnr))
    ]
    stats = {
        "scene": folder.name,
        "backend": "cpu",
        "iterations": 30,
        "seconds_train": 6.0,
        "num_gaussians": 12,
        "peak_memory_bytes": 2_000_000_000,
        "photos": {"found": 9, "registered": 9, "held_out": 2, "held_out_registered": 2},
        "mean": {"psnr": psnr + 2.5, "ssim": 0.8, "psnr_cc": psnr, "ssim_cc": 0.8, "lpips": None},
        "per_photo": photos,
        "machine": {"device": "a processor", "cores": 2},
        "version": "1",
    }
    write_json(folder / "eval" / "stats.json", stats)
    write_json(folder / "config.json", {"seed": int(psnr), "recipe": {"rates": {"means": 1e-3}}})
    both = np.zeros((20, 60, 3), np.uint8)
    both[:, 30:] = 51
    for photo in photos:
        write_image(folder / "renders" / gathering.picture_name(photo["name"]), both)
    log = [
        record("Note", 0, text="Photo 3 is blurred", warning=True),
        record("StageDone", 0, stage="Finding cameras", seconds=3.0, memory_bytes=500),
        record("Started", 0, resumed_step=0),
        step(10, 1),
        record("Measured", 1, step=10, psnr=15.0, photos=2),
        step(20, 2, memory_bytes=9000),
        record("Started", 20, resumed_step=10),
        step(20, 22),
        record("Measured", 22, step=20, psnr=17.0, photos=2),
        step(30, 24, loss=0.05),
        record("StageDone", 25, stage="Training", seconds=5.0, memory_bytes=7000),
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    return folder


def test_curves_join_the_sessions_of_a_run(tmp_path):
    log = gathering.read_log(make_run(tmp_path / "run") / "log.jsonl")
    found = curves(log)
    assert found["step"] == [10, 20, 30]
    assert found["seconds"] == [1, 3, 5]
    assert found["loss"] == [0.1, 0.1, 0.05]
    assert measured(log) == {"step": [10, 20], "psnr": [15.0, 17.0]}
    # Two seconds of the session that was stopped, and five of the one that ended.
    training = next(stage for stage in stages(log) if stage["stage"] == "Training")
    assert training == {"stage": "Training", "seconds": 7.0, "memory": 9000}


def test_a_run_begun_anew_leaves_nothing_of_the_old_one(tmp_path):
    log = gathering.read_log(make_run(tmp_path / "run") / "log.jsonl")
    log += [record("Started", 30, resumed_step=0), step(5, 31)]
    assert curves(log)["step"] == [5]
    assert measured(log)["step"] == []
    assert [(stage["stage"], stage["seconds"]) for stage in stages(log)] == [
        ("Finding cameras", 3.0), ("Training", 1.0)
    ]  # fmt: skip


def test_long_curves_are_thinned_and_keep_their_ends():
    log = [record("Started", 0, resumed_step=0), *(step(i, 1) for i in range(1, 5001))]
    found = curves(log)["step"]
    assert len(found) == gathering.MOST_POINTS
    assert (found[0], found[-1]) == (1, 5000)


def test_photos_come_worst_first_with_three_pictures(tmp_path):
    found = gather(make_run(tmp_path / "run"))
    assert [photo["psnr"] for photo in found["photos"]] == [20.0, 25.0]
    assert all(
        photo[kind].startswith("data:image/webp;base64,")
        for photo in found["photos"]
        for kind in ("truth", "render", "error")
    )
    assert found["settings"] == {"seed": 20, "recipe.rates.means": 1e-3}
    assert found["notes"] == ["Photo 3 is blurred"]


def test_only_the_worst_photos_have_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(gathering, "MOST_PHOTOS", 1)
    first, second = gather(make_run(tmp_path / "run"))["photos"]
    assert "truth" in first
    assert "truth" not in second


def test_error_pictures_are_dark_where_equal_and_bright_where_not():
    truth = np.zeros((2, 2, 3), np.uint8)
    render = truth.copy()
    render[0] = 255
    colours = error_picture(truth, render).astype(int).sum(-1)
    assert (colours[1] < 10).all()
    assert (colours[0] > 500).all()


def test_an_unfinished_run_is_one_clear_line(tmp_path):
    with pytest.raises(SplatkitError, match=r"expected the folder of a finished run") as caught:
        write_report([tmp_path], tmp_path / "report.html")
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="one or two run folders, got 3"):
        write_report([tmp_path] * 3, tmp_path / "report.html")


def test_the_page_needs_nothing_but_itself(tmp_path):
    path = write_report([make_run(tmp_path / "run")], tmp_path / "report.html")
    text = path.read_text()
    links = re.findall(r"""(?:src|href)=["']([^"']*)""", text) + re.findall(r"url\(([^)]*)", text)
    assert all(link.startswith("data:") for link in links)
    assert re.findall(r"https?://[^\"\s]*", text) == ["http://www.w3.org/2000/svg"]
    assert "/*" not in text.split("<script")[1]


def test_a_browser_draws_one_run_and_compares_it_with_another(tmp_path):
    first = write_report([make_run(tmp_path / "first")], tmp_path / "first.html")
    second = write_report([make_run(tmp_path / "second", 22.0)], tmp_path / "second.html")
    with chromium_page(1280, 900) as page:
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(first.as_uri())
        assert page.locator("h1").inner_text() == "first"
        assert page.locator(".tile b").first.inner_text() == "22.50dB"
        assert page.locator(".photo h3").first.inner_text().startswith("photo <1> </script>.png")
        assert page.locator(".photo img").count() == 6
        assert page.locator(".chart").count() >= 4
        assert "Photo 3 is blurred" in page.inner_text(".notes")
        widths = page.evaluate(
            "Promise.all([...document.images].map((i) => "
            "{ i.loading = 'eager'; return i.decode().then(() => i.naturalWidth); }))"
        )
        assert widths == [30] * 6
        page.locator(".photo img").first.click()
        assert page.locator("#lens img").is_visible()
        page.keyboard.press("Escape")

        page.set_input_files("input[type=file]", str(second))
        page.wait_for_function("document.querySelectorAll('h1 .dot').length === 2")
        assert page.locator("h1").inner_text().split() == ["first", "and", "second"]
        assert "+2.00" in page.locator(".tile").first.inner_text()
        assert page.locator(".photo").first.locator("img").count() == 5
        assert page.locator("tr.differs").first.inner_text().split() == ["seed", "20", "22"]
        assert "No photo was held out in both" not in page.inner_text("body")

        strange = make_run(tmp_path / "strange", name="other.png", better="another.png")
        page.goto(write_report([tmp_path / "first", strange], tmp_path / "both.html").as_uri())
        assert page.locator(".photo").count() == 4
        assert page.locator(".photo img").count() == 12
        assert "No photo was held out in both runs" in page.inner_text("p.warning")
        assert complaints == []


def test_two_runs_in_one_page(tmp_path):
    runs = [make_run(tmp_path / "first"), make_run(tmp_path / "second")]
    text = write_report(runs, tmp_path / "both.html").read_text()
    data = text.split('id="runs">')[1].split("</script>")[0]
    assert [run["name"] for run in json.loads(data)] == ["first", "second"]


def test_the_page_of_one_run_tells_of_its_cameras(tmp_path):
    run = make_run(write_run(tmp_path / "run"))
    text = write_report([run], tmp_path / "report.html").read_text()
    assert "8 of 8 photos" in text
    assert text.count("<polygon") == 8
    other = make_run(write_run(tmp_path / "other"))
    both = write_report([run, other], tmp_path / "both.html").read_text()
    assert "<polygon" not in both
