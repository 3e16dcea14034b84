"""The pictures of the viewer in README and docs: Chromium looks at the page of a run.

``python scripts/make_viewer_pictures.py RUN`` writes ``docs/pictures/viewer.jpg`` and
``viewer-edit.jpg``. It needs playwright and Chromium.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from splatkit.viewer import Library, Viewer  # noqa: E402
from tests.chromium import chromium_page  # noqa: E402

FOLDER = ROOT / "docs" / "pictures"
WIDTH, HEIGHT = 1440, 900
SHOWN_WIDTH = 1000
"""Of the picture, pixels."""
HIDE_NOTICES = """body => {
  const style = document.createElement("style");
  style.textContent = ".mantine-Notification-root { display: none }";
  body.append(style);
}"""
PATIENCE = 300_000
"""Milliseconds to wait for the page; a busy machine needs them."""
SECONDS_TO_SETTLE = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    arguments = parser.parse_args()
    library = Library([arguments.run])
    with Viewer(library, port=0) as viewer, chromium_page(WIDTH, HEIGHT) as page:
        page.set_default_timeout(PATIENCE)
        page.goto(viewer.url_of(library.entries()[0].id) + "?fixedDpr=1")
        frame = page.frame_locator("iframe")
        frame.get_by_role("button", name="Reset view", exact=True).wait_for()
        # Without a GPU the page says so in a corner; that is no part of the picture.
        frame.locator("body").evaluate(HIDE_NOTICES)
        keep(page, "viewer")
        frame.get_by_role("tab", name="Edit").click()
        frame.get_by_label("Select by", exact=True).click()
        frame.get_by_role("option", name="Ball", exact=True).click()
        time.sleep(1)
        frame.get_by_role("button", name="Select", exact=True).click()
        keep(page, "viewer-edit")


def keep(page: Any, name: str) -> None:
    """Write what the page shows once it has settled."""
    time.sleep(SECONDS_TO_SETTLE)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    image.thumbnail((SHOWN_WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    target = FOLDER / f"{name}.jpg"
    image.save(target, quality=82)
    print(f"{target}: {image.width}x{image.height}, {target.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
