"""``splatkit enhance train SCENE``: the upscaling network, fitted to one scene."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from splatkit.cli._progress import follow
from splatkit.core.errors import UsageError


@dataclass(frozen=True)
class Command:
    """Go on training the network of --upscale neural on the views of a scene.

    It is kept where it is better on held-out views.
    """

    scene: Positional[Annotated[Path, arg(metavar="RUN")]]
    """A run folder with photos."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="FILE")] = None
    """Default: RUN/enhance/network.safetensors."""
    network: Annotated[str, arg(metavar="NAME|FILE")] = "s"
    """What to begin with: s, m (larger), or a file that this command wrote."""
    target: Literal["render", "photos"] = "render"
    """Learn to look like the plain render, or like the photos."""
    iterations: Annotated[int, arg(aliases=["-i"])] = 500
    """Steps of training."""
    seed: int = 0
    """Other numbers give another order of what is learned."""
    threads: int = 0
    """0 uses all cores."""
    backend: str = "auto"
    """Rasterizer: auto, cpu, cuda, torch_ref."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> None:
        """Train, and print what came of it."""
        from splatkit.enhance.per_scene import SceneTraining, train_for_scene
        from splatkit.export import open_scene
        from splatkit.render import set_threads

        if self.iterations < 1:
            raise UsageError(f"--iterations: expected at least 1, got {self.iterations}")
        set_threads(self.threads)
        options = SceneTraining(
            target=self.target,
            start=self.network,
            iterations=self.iterations,
            seed=self.seed,
            backend=self.backend,
        )
        result = follow(train_for_scene(open_scene(self.scene), self.output, options))
        if self.json:
            print(json.dumps(result, indent=1))
            return
        psnr = result["psnr"]
        print(
            f"held-out views: hermite {psnr['hermite']:.2f} dB, {self.network} "
            f"{psnr['start']:.2f} dB, trained {psnr['trained']:.2f} dB"
        )
        if result["kept"]:
            print(result["file"])
