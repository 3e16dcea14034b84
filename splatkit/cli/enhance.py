"""``splatkit enhance train SCENE`` and ``splatkit enhance onnx``: the upscaling network."""

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
    """Fit the network of --upscale neural to a scene, or write it for other programs."""

    what: Positional[Annotated[Literal["train", "onnx"], arg(metavar="train|onnx")]]
    """train: go on training it on a scene's views, and keep it if it is better on held-out ones.
    onnx: write it as an ONNX file."""
    scene: Positional[Annotated[Path | None, arg(metavar="SCENE")]] = None
    """Of train: a run folder with photos."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="FILE")] = None
    """Default of train: RUN/enhance/network.safetensors; of onnx: upscale.onnx."""
    network: str = "s"
    """What to begin with, or to write: s, or a file that train wrote."""
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
        """Train or write, and print what came of it."""
        from splatkit.enhance.inference import write_onnx
        from splatkit.enhance.network import load_network
        from splatkit.enhance.per_scene import SceneTraining, train_for_scene
        from splatkit.export import open_scene
        from splatkit.render import set_threads

        set_threads(self.threads)
        if self.what == "onnx":
            file = self.output or Path("upscale.onnx")
            write_onnx(load_network(self.network), file)
            print(json.dumps({"file": str(file)}) if self.json else file)
            return
        if self.scene is None:
            raise UsageError("expected a run folder behind: splatkit enhance train, got none")
        if self.iterations < 1:
            raise UsageError(f"--iterations: expected at least 1, got {self.iterations}")
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
