"""Training's plots in one browser."""

from __future__ import annotations

import threading

import numpy as np
import viser
from viser import uplot

from splatkit.viewer.panel import PHONE_WIDTH
from splatkit.viewer.training import Training

SECONDS_BETWEEN_PLOTS = 2.0
HEIGHT = 130
"""Of a plot, pixels."""
COLORS = {
    "Loss": "#408cff",
    "PSNR": "#ff9628",
    "Thousand Gaussians": "#5cc98b",
    "Memory": "#b48cff",
}


class Plots:
    """Draws loss, PSNR, count and memory anew every two seconds until it is stopped.

    Args:
        client: the browser.
        training: what to plot.
    """

    def __init__(self, client: viser.ClientHandle, training: Training) -> None:
        self._client = client
        self._training = training
        self._plots: dict[str, viser.GuiUplotHandle] = {}
        self._ended = threading.Event()
        gui = client.gui
        wide = client.camera.image_width > PHONE_WIDTH
        with gui.add_folder("Training", expand_by_default=wide) as self._folder:
            share = gui.add_slider(
                "Time for viewing",
                min=1,
                max=100,
                step=1,
                initial_value=round(100 * training.source.pace.share),
                hint="Per cent of the training's time that pictures may take, for all browsers.",
            )
        share.on_update(lambda _: setattr(training.source.pace, "share", share.value / 100))
        threading.Thread(target=self._run, name="viewer plots", daemon=True).start()

    def stop(self) -> None:
        """Draw no more."""
        self._ended.set()

    def _run(self) -> None:
        drawn = -1
        while not self._ended.wait(SECONDS_BETWEEN_PLOTS if drawn >= 0 else 0):
            history = self._training.history
            rows, psnr = list(history.rows), list(history.psnr)
            if len(rows) + len(psnr) == drawn:
                continue
            drawn = len(rows) + len(psnr)
            columns = np.array(rows).reshape(-1, 4).T
            self._draw("Loss", columns[0], columns[1])
            points = np.array(psnr).reshape(-1, 2).T
            self._draw("PSNR", points[0], points[1])
            self._draw("Thousand Gaussians", columns[0], columns[2])
            self._draw("Memory", columns[0], columns[3])

    def _draw(self, name: str, steps: np.ndarray, values: np.ndarray) -> None:
        if len(steps) < 2:
            return
        if name in self._plots:
            self._plots[name].data = (steps, values)
            return
        unit = {"PSNR": "PSNR of held-out photos, dB", "Memory": "Memory, MB"}.get(name, name)
        with self._folder:
            self._plots[name] = self._client.gui.add_uplot(
                (steps, values),
                (
                    uplot.Series(label="step"),
                    uplot.Series(label=name, stroke=COLORS[name], width=2),
                ),
                title=unit,
                scales={"x": uplot.Scale(time=False)},
                legend=uplot.Legend(show=False),
                height=HEIGHT,
            )
