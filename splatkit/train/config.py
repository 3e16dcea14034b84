"""Everything a training run can be told, parsed by the command line and saved with the run."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from splatkit.core import UsageError
from splatkit.ingest import IngestConfig
from splatkit.train.free_space import FreeSpace
from splatkit.train.initialize import Initialization
from splatkit.train.open_space import OpenSpace
from splatkit.train.passers_by import PassersBy
from splatkit.train.photo_colors import PhotoColorFit
from splatkit.train.schedule import Coarse, Rates, most_steps
from splatkit.train.shell import Shell
from splatkit.train.strategies import BudgetedGrowth, Classic, Mcmc, Strategy
from splatkit.train.surface import Surface


@dataclass(frozen=True)
class Preset:
    """Effort that a name stands for."""

    iterations: int
    max_gaussians: int
    long_side: int
    """Long side of training pictures under ``--resize auto``, pixels."""


PRESETS = {
    "draft": Preset(iterations=5_000, max_gaussians=150_000, long_side=640),
    "standard": Preset(iterations=15_000, max_gaussians=200_000, long_side=640),
    "high": Preset(iterations=30_000, max_gaussians=400_000, long_side=1280),
}


@dataclass(frozen=True)
class Recipe:
    """How the loss is made and how the scene grows; the defaults are what measured best."""

    rates: Rates = field(default_factory=Rates)
    coarse: Coarse = field(default_factory=Coarse)
    budgeted: BudgetedGrowth = field(default_factory=BudgetedGrowth)
    mcmc: Mcmc = field(default_factory=Mcmc)
    classic: Classic = field(default_factory=Classic)
    initialization: Initialization = field(default_factory=Initialization)
    free_space: FreeSpace = field(default_factory=FreeSpace)
    open_space: OpenSpace = field(default_factory=OpenSpace)
    shell: Shell = field(default_factory=Shell)
    ssim_weight: float = 0.2
    """Share of 1 - SSIM in the loss; the rest is L1."""
    sh_grown_by: float = 0.4
    """Progress at which all harmonics are in use."""
    antialiased: bool = False
    """Compensate opacity for the screen-space low-pass."""
    steps_per_square: float = 10.0
    """With few photos training ends after this many steps times the square of their number, unless
    --iterations is another number than the preset's and there is no time limit; 0 lets it go on."""
    photo_colors: PhotoColorFit = field(default_factory=PhotoColorFit)
    passers_by: PassersBy = field(default_factory=PassersBy)
    surface: Surface = field(default_factory=Surface)


@dataclass(frozen=True)
class TrainConfig:
    """Options of a training run."""

    preset: Literal["draft", "standard", "high"] = "standard"
    """Effort: sets iterations, Gaussians and picture size where they are not given."""
    iterations: Annotated[int | None, tyro.conf.arg(aliases=("-i",))] = None
    """Training steps."""
    max_gaussians: int | None = None
    """Gaussians of the finished scene."""
    strategy: Literal["budgeted", "mcmc", "classic"] = "budgeted"
    """How Gaussians are added and removed."""
    sh_degree: int = 3
    """Degree of the spherical harmonics, 0 to 4."""
    resize: int | Literal["auto"] = "auto"
    """Divisor 1, 2, 4, 8, or long side in pixels from 16 on."""
    test_every: int = 8
    """Hold out every n-th photo for evaluation; 0 holds out none."""
    split: Path | None = None
    """File with the names of the photos to hold out, one a line."""
    model: Path | None = None
    """COLMAP model folder of these photos; else they are placed."""
    time_limit: str | None = None
    """For training alone, which ends on time with a finished schedule: 90s, 10m, 1.5h."""
    memory_budget: str | None = None
    """Memory to stay within: 800M, 4G."""
    exposure: Literal["same", "varies"] = "same"
    """Of the photos; what varies is found out."""
    passers_by: bool = False
    """Leave out what only some photos show."""
    surface: bool = False
    """Make depth and normals better, for meshes."""
    masks: Literal["ignore", "transparent"] = "ignore"
    """Masked pixels are unknown, or empty."""
    background: str = "auto"
    """Behind the scene: auto, random, or a colour R,G,B."""
    start: Path | None = None
    """Scene file to start from."""
    tensorboard: bool = False
    """Write RUN/tensorboard as well."""
    resume: bool = False
    """Go on from the newest checkpoint in the run folder."""
    seed: int = 0
    """Seed of everything that is random."""
    threads: int = 0
    """Threads to use; 0 takes all."""
    backend: str = "auto"
    """Rasterizer: auto, cpu, cuda, gsplat, torch_ref."""
    recipe: Recipe = field(default_factory=Recipe)

    def __post_init__(self) -> None:
        for name, least in (("iterations", 1), ("max_gaussians", 1), ("threads", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(
                    f"--{name.replace('_', '-')}: expected at least {least}, got {value}"
                )
        if not 0 <= self.sh_degree <= 4:
            raise UsageError(f"--sh-degree: expected 0 to 4, got {self.sh_degree}")
        if self.test_every < 0 or self.test_every == 1:
            raise UsageError(
                f"--test-every: expected 0 (none) or at least 2, got {self.test_every}"
            )
        if self.resize != "auto" and self.resize not in (1, 2, 4, 8) and self.resize < 16:
            raise UsageError(
                f"--resize: expected auto, 1, 2, 4, 8 or a long side of at least 16 pixels, "
                f"got {self.resize}"
            )
        if self.background not in ("auto", "random"):
            color_from_text(self.background)
        if self.time_limit is not None:
            seconds_from_text(self.time_limit)
        if self.memory_budget is not None:
            bytes_from_text(self.memory_budget)

    @property
    def ingest(self) -> IngestConfig:
        """What ingest has to know."""
        return IngestConfig(
            test_every=self.test_every,
            split=self.split,
            model=self.model,
            threads=self.threads,
            seed=self.seed,
        )

    @property
    def steps(self) -> int:
        """Training steps, from the preset where not given."""
        return self.iterations or PRESETS[self.preset].iterations

    def most_steps(self, photos: int) -> int | None:
        """Steps that so many photos are good for; None where they do not bound training.

        Of a run's options nobody can tell whether the preset's number was given.
        """
        usual = (None, PRESETS[self.preset].iterations)
        given = self.time_limit is None and self.iterations not in usual
        each = self.recipe.steps_per_square
        return None if given or each <= 0 else most_steps(photos, each)

    def makes_surfaces(self, photos: int) -> bool:
        """Whether depth and normals are looked after, with so many photos to train on."""
        return self.surface or photos < self.recipe.surface.few_photos

    @property
    def budget(self) -> int:
        """Gaussians to grow to, from the preset where not given."""
        return self.max_gaussians or PRESETS[self.preset].max_gaussians

    @property
    def growth(self) -> Strategy:
        """What adds and removes Gaussians."""
        return getattr(self.recipe, self.strategy)

    @property
    def given_background(self) -> tuple[float, float, float] | None:
        """The background's sRGB colour where one is given."""
        named = self.background in ("auto", "random")
        return None if named else color_from_text(self.background)

    @property
    def seconds(self) -> float | None:
        """The time limit in seconds."""
        return None if self.time_limit is None else seconds_from_text(self.time_limit)

    @property
    def memory_bytes(self) -> float | None:
        """The memory budget in bytes."""
        return None if self.memory_budget is None else bytes_from_text(self.memory_budget)

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        """Training size of a photo of that size, pixels; photos are never enlarged."""
        if self.resize in (1, 2, 4, 8):
            share = 1.0 / int(self.resize)
        else:
            side = PRESETS[self.preset].long_side if self.resize == "auto" else self.resize
            share = min(1.0, side / max(width, height))
        return max(1, round(width * share)), max(1, round(height * share))


def plain(config: TrainConfig) -> dict[str, Any]:
    """The options in values that JSON can hold."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in asdict(config).items()
    }


def config_of(told: dict[str, Any]) -> TrainConfig:
    """How a finished training took its photos and looked after surfaces; all else as by default.

    Args:
        told: its options, as ``plain`` gave them; of older versions some may be missing.
    """
    names = ("preset", "resize", "masks", "background", "exposure", "surface")
    return TrainConfig(**{name: told[name] for name in names if name in told})


def flattened(options: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested options as one level, their names joined by dots."""
    result: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, dict):
            result |= flattened(value, f"{prefix}{name}.")
        else:
            result[prefix + name] = value
    return result


def seconds_from_text(text: str) -> float:
    """Seconds of ``90s``, ``10m``, ``1.5h``; a bare number is seconds.

    Raises:
        UsageError: it is none of these, or not positive.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    seconds = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if seconds <= 0:
        raise UsageError(f"--time-limit: expected a time like 90s, 10m or 1.5h, got {text!r}")
    return seconds


def color_from_text(text: str) -> tuple[float, float, float]:
    """sRGB 0..1 of ``1,1,1``.

    Raises:
        UsageError: these are not three numbers from 0 to 1.
    """
    try:
        red, green, blue = (float(word) for word in text.split(","))
        if all(0 <= value <= 1 for value in (red, green, blue)):
            return red, green, blue
    except ValueError:
        pass
    raise UsageError(
        f"--background: expected auto, random, or three numbers in 0..1 like 1,1,1, got {text!r}"
    )


def bytes_from_text(text: str) -> float:
    """Bytes of ``800M``, ``4G``, ``1.5 GB``; a bare number is bytes.

    Raises:
        UsageError: it is none of these, or not positive.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", text.strip().lower())
    factors = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
    size = float(match[1]) * factors[match[2]] if match else 0.0
    if size <= 0:
        raise UsageError(f"--memory-budget: expected a size like 800M or 4G, got {text!r}")
    return size
