from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from splatkit.cli import main
from splatkit.viewer import Library
from tests.scenes import ring, write_run
from tests.viewer.browsers import FakeBrowser


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a POSIX signal")
def test_view_serves_until_ctrl_c(tmp_path: Path) -> None:
    run = write_run(tmp_path / "balls")
    process = subprocess.Popen(
        [sys.executable, "-m", "splatkit", "view", str(run), "--port", "0", "--no-open",
         "--host", "0.0.0.0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "SPLATKIT_CACHE": str(tmp_path / "cache")},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = re.fullmatch(
            r"balls is at http://localhost:(\d+)/s/(balls-\w+)   \(Ctrl-C ends\)\n", line
        )
        assert address, line
        browser = FakeBrowser(int(address[1]), scene=address[2])
        browser.look(ring())
        assert browser.picture().max() > 100
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0
    assert out == ""
    assert err.splitlines() == [
        "warning: listening at 0.0.0.0: whoever reaches this machine can look at the scenes and "
        "start trainings; --token auto asks for a word",
        "",
        "closed",
    ]
    kept = json.loads((tmp_path / "cache" / "recent.json").read_text())
    assert kept == [str(run.resolve())]


def test_nothing_but_the_name_opens_the_start_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from splatkit.cli import view
    from splatkit.viewer.recent import remember

    monkeypatch.setenv("SPLATKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    remember([write_run(tmp_path / "one"), tmp_path / "gone"])
    shown = []

    def instead(library: Library, serving: view.Serving, backend: str) -> None:
        shown.append([entry.name for entry in library.entries()])
        raise KeyboardInterrupt

    monkeypatch.setattr(view, "open_viewer", instead)
    assert main([]) == 130
    assert shown == [["one"]]
    assert "splatkit train PHOTOS" in capsys.readouterr().err
