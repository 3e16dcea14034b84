"""Upscaling and grading in the page: what can be asked for, and its controls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from viser import GuiApi, GuiSliderHandle, Icon

from splatkit.core import SplatkitError
from splatkit.enhance import RATIOS, UpscaleOptions
from splatkit.enhance.network import network_of
from splatkit.enhance.options import LARGEST_RATIO, SMALLEST_RATIO, Grade

MODE_NAMES = {
    "Off": "off",
    "Bilinear": "bilinear",
    "Bicubic": "bicubic",
    "FSR 1": "fsr1",
    "Hermite": "hermite",
    "Hermite, exact at rest": "temporal",
    "Network": "neural",
}
"""What the page calls the modes."""
PLACE_NAMES = {"Everywhere": "everywhere", "What is marked": "inside", "All else": "outside"}
NETWORK_NAMES = {"Small": "s", "Medium (for GPUs)": "m"}
OWN_NETWORK = "This scene's own"


@dataclass(frozen=True)
class Enhancing:
    """What a browser asks for."""

    options: UpscaleOptions = field(default_factory=UpscaleOptions)
    pictures_per_second: float = 0.0
    """In motion; the ratio follows from it. 0 keeps the ratio."""

    @property
    def is_on(self) -> bool:
        """Whether anything differs from a plain render."""
        return self.options != UpscaleOptions(ratio=self.options.ratio)


class EnhancingPanel:
    """The folder of controls.

    Args:
        gui: of the browser.
        changed: is told when a control has moved.
        mark: remembers the selection, and tells how many Gaussians that are.
        run: the scene's run folder, which may have a network of its own.
    """

    def __init__(
        self,
        gui: GuiApi,
        changed: Callable[[], None],
        mark: Callable[[], int],
        run: Path | None = None,
    ) -> None:
        self._networks = dict(NETWORK_NAMES)
        if run is not None and network_of(run).is_file():
            self._networks[OWN_NETWORK] = str(network_of(run))
        with gui.add_folder("Upscaling and colour", expand_by_default=False):
            self._mode = gui.add_dropdown(
                "Upscaling",
                tuple(MODE_NAMES),
                hint="Fewer pixels are rendered and the rest reconstructed: faster in large "
                "windows. Compare it with the plain render under Compare.",
            )
            names = ", ".join(f"{name} {ratio:g}" for name, ratio in RATIOS.items())
            self._ratio = gui.add_slider(
                "Ratio", min=SMALLEST_RATIO, max=LARGEST_RATIO, step=0.05,
                initial_value=RATIOS["performance"], visible=False,
                marks=tuple((ratio, f"{ratio:g}") for ratio in RATIOS.values()),
                hint=f"Pixels of the picture a rendered pixel, each way: {names}.",
            )  # fmt: skip
            self._speed = gui.add_slider(
                "Pictures a second", min=0, max=60, step=5, initial_value=0, visible=False,
                hint="While the view moves the ratio follows from this; 0 keeps the ratio.",
            )  # fmt: skip
            self._network = gui.add_dropdown("Network", tuple(self._networks), visible=False)
            self._strength = gui.add_slider(
                "Network's strength", min=0, max=1, step=0.05, initial_value=1, visible=False
            )
            self._memory = gui.add_slider(
                "Earlier pictures", min=0, max=1, step=0.05, initial_value=1, visible=False,
                hint="How much they count while the view moves.",
            )  # fmt: skip
            self._sharpness = gui.add_slider("Sharpness", min=0, max=1, step=0.05, initial_value=0)
            self._exposure = gui.add_slider(
                "Exposure", min=-4, max=4, step=0.1, initial_value=0, hint="Stops."
            )
            factors = {"Contrast": (0, 2), "Saturation": (0, 2), "Gamma": (0.3, 3)}
            self._contrast, self._saturation, self._gamma = (
                gui.add_slider(name, min=low, max=high, step=0.05, initial_value=1)
                for name, (low, high) in factors.items()
            )
            self._where = gui.add_dropdown(
                "Where", tuple(PLACE_NAMES), visible=False,
                hint="The network, sharpening and colours work there alone.",
            )  # fmt: skip
            button = gui.add_button(
                "Mark the selection", icon=Icon.LASSO,
                hint="What is selected under Edit can be the only part that is enhanced, or none.",
            )  # fmt: skip
            told = gui.add_markdown("")
            told.visible = False

        @button.on_click
        def marked(_: object) -> None:
            try:
                told.content = f"{mark():,} Gaussians are marked."
            except SplatkitError as error:
                told.content = str(error)
            else:
                if not self._where.visible:
                    self._where.visible, self._where.value = True, "What is marked"
            told.visible = True
            changed()

        def moved(_: object) -> None:
            mode = MODE_NAMES[self._mode.value]
            for control in (self._ratio, self._speed):
                control.visible = mode != "off"
            for control in (self._network, self._strength):
                control.visible = mode == "neural"
            self._memory.visible = mode == "temporal"
            changed()

        for control in (
            self._mode, self._ratio, self._speed, self._network, self._strength, self._memory,
            self._sharpness, self._exposure, self._contrast, self._saturation, self._gamma,
            self._where,
        ):  # fmt: skip
            control.on_update(moved)

    def wish(self) -> Enhancing:
        """What the controls say."""
        sliders = (self._exposure, self._contrast, self._saturation, self._gamma)
        grade = Grade(*(_within(slider) for slider in sliders))
        options = UpscaleOptions(
            mode=MODE_NAMES[self._mode.value],
            ratio=_within(self._ratio),
            sharpness=_within(self._sharpness),
            strength=_within(self._strength),
            network=self._networks[self._network.value],
            temporal_weight=_within(self._memory),
            grade=grade,
            where=PLACE_NAMES[self._where.value],
        )
        return Enhancing(options, self._speed.value)


def _within(slider: GuiSliderHandle[float]) -> float:
    """The value, inside its range: a number that is being typed goes through others."""
    return min(max(slider.value, slider.min), slider.max)
