"""Work on rows of Gaussians and on photos that stays on the GPU: draw, order, split, shrink."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from splatkit.core import PARAMETER_NAMES, Gaussians, check
from splatkit.core.errors import SplatkitError
from splatkit.render.backends._cuda_driver import Driver
from splatkit.render.backends._cuda_params import divided
from splatkit.render.backends._cuda_sort import DIGIT_BITS, SortScratch, sort
from splatkit.render.backends.base import AdamState

_THREADS = 256
_SPLIT_THREADS = 128
_KEY_PASSES = 32 // DIGIT_BITS
"""Keys of up to 32 bits."""
_NOTHING = [None] * len(PARAMETER_NAMES)


class RowKernels:
    """The kernels of ``densify.cu`` and ``image.cu``; nothing here waits for the GPU.

    Args:
        driver: launches.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._device = driver.device

    def sample(self, weights: Tensor, count: int, seed: int) -> Tensor:
        """Draw without putting back.

        Args:
            weights: [N] float32; chances are in proportion. At least ``count`` of them are above 0.
            count: how many to draw.
            seed: the same one draws the same.

        Returns:
            [count] int64 different indices.
        """
        check(weights=(weights, "N"))
        keys = self._keys(len(weights))
        self._driver.launch(
            "sample_keys",
            (),
            divided(len(weights), _THREADS),
            _THREADS,
            {
                "weights": weights.contiguous(),
                "keys": keys,
                "seed": seed % 2**64,
                "count": len(weights),
            },
        )
        return self._sorted(keys)[:count].long()

    def morton_order(self, points: Tensor) -> Tensor:
        """[N] int32 order of points [N,3] along a Z-curve of 20 bits an axis."""
        return self._morton_order(points.contiguous())

    def split(
        self, gaussians: Gaussians, adam: AdamState, alive: Tensor, chosen: Tensor
    ) -> tuple[Gaussians, AdamState]:
        """The rows ``alive``, those at ``alive[chosen]`` split in two, in Morton order.

        Each row is read and written once, from the old tensors to the final ones.

        Args:
            gaussians: N Gaussians.
            adam: their moments; those of split ones start at zero.
            alive: [A] int64 rows to keep.
            chosen: [S] int64 places in ``alive``, each once.
        """
        count = len(alive) + len(chosen)
        source = torch.cat((alive, alive[chosen])).int()
        side = torch.zeros(count, dtype=torch.int8, device=self._device)
        side[chosen] = 1
        side[len(alive) :] = -1
        old = [tensor.detach().contiguous() for tensor in gaussians.parameters().values()]
        given = {
            "value": old,
            "first": [adam.first[name] for name in PARAMETER_NAMES],
            "second": [adam.second[name] for name in PARAMETER_NAMES],
            "source": source,
            "side": side,
            "count": count,
            "num_bases": gaussians.sh.shape[1],
        }
        means = torch.empty(count, 3, device=self._device)
        self._split_rows(given, order=None, out_value=[means])
        order = self._morton_order(means)
        new = [[torch.empty(count, *t.shape[1:], device=self._device) for t in old] for _ in "pfs"]
        self._split_rows(given, order, *new)
        value, first, second = (dict(zip(PARAMETER_NAMES, each, strict=True)) for each in new)
        rows = source[order.long()].long()
        extra = {name: tensor[rows] for name, tensor in gaussians.extra.items()}
        return replace(gaussians, **value, extra=extra), AdamState(first, second, adam.step)

    def disturb(
        self,
        gaussians: Gaussians,
        strength: float,
        opacity_floor: float,
        steepness: float,
        seed: int,
    ) -> None:
        """Move the centres by chance, in place: normal steps shaped by each covariance.

        Args:
            gaussians: N Gaussians, contiguous.
            strength: standard deviation of a step of a Gaussian of unit variance, world units.
            opacity_floor: opacity at which a step is held back by half.
            steepness: of holding back, over opacity.
            seed: the same one takes the same steps.
        """
        self._driver.launch(
            "disturb_means",
            (),
            divided(len(gaussians), _THREADS),
            _THREADS,
            {
                "means": gaussians.means,
                "quats": gaussians.quats,
                "log_scales": gaussians.log_scales,
                "logit_opacities": gaussians.logit_opacities,
                "seed": seed % 2**64,
                "count": len(gaussians),
                "strength": strength,
                "opacity_floor": opacity_floor,
                "steepness": steepness,
            },
        )

    def shrink(self, picture: Tensor, width: int, height: int) -> Tensor:
        """[height,width,...] uint8 area average of a picture [H,W] or [H,W,1 to 4], uint8.

        Raises:
            SplatkitError: it would grow.
        """
        rows, columns, *channels = picture.shape
        if width > columns or height > rows:
            raise SplatkitError(
                f"picture: expected at least {width}x{height} pixels to shrink to that, got "
                f"{columns}x{rows}"
            )
        small = torch.empty(height, width, *channels, dtype=torch.uint8, device=self._device)
        self._driver.launch(
            "shrink_image",
            (),
            divided(width * height, _THREADS),
            _THREADS,
            {
                "from": picture.contiguous(),
                "to": small,
                "from_width": columns,
                "from_height": rows,
                "width": width,
                "height": height,
                "channels": channels[0] if channels else 1,
            },
        )
        return small

    def _keys(self, count: int) -> Tensor:
        return torch.empty(count, dtype=torch.int32, device=self._device)

    def _morton_order(self, points: Tensor) -> Tensor:
        if len(points) == 0:
            return self._keys(0)
        bounds = torch.stack((points.amin(0), points.amax(0)))
        order = None
        # 60 bits: by the low half first, then, stably, by the high one.
        for high in (0, 1):
            keys = self._keys(len(points))
            self._driver.launch(
                "morton_keys",
                (),
                divided(len(points), _THREADS),
                _THREADS,
                {
                    "points": points,
                    "bounds": bounds,
                    "order": order,
                    "keys": keys,
                    "count": len(points),
                    "high": high,
                },
            )
            order = self._sorted(keys, order)
        assert order is not None
        return order

    def _sorted(self, keys: Tensor, values: Tensor | None = None) -> Tensor:
        """``values`` (places, when None) in the order of their keys."""
        if len(keys) == 0:
            return keys
        sizes = SortScratch.sizes(_KEY_PASSES, len(keys))
        memory = torch.zeros(sum(sizes), dtype=torch.int32, device=self._device)
        count = torch.full((1,), len(keys), dtype=torch.int32, device=self._device)
        _, order = sort(
            self._driver,
            (keys, self._keys(len(keys))),
            (self._keys(len(keys)) if values is None else values, self._keys(len(keys))),
            SortScratch.of(memory.split(sizes)),
            count,
            values_given=values is not None,
        )
        return order

    def _split_rows(
        self,
        given: dict[str, Any],
        order: Tensor | None,
        out_value: list[Tensor],
        out_first: list[Tensor] | None = None,
        out_second: list[Tensor] | None = None,
    ) -> None:
        """Means alone, or whole rows."""
        outputs = {
            "out_value": [*out_value, *_NOTHING][: len(_NOTHING)],
            "out_first": out_first or _NOTHING,
            "out_second": out_second or _NOTHING,
        }
        self._driver.launch(
            "split_rows",
            (),
            divided(given["count"], _SPLIT_THREADS),
            _SPLIT_THREADS,
            given | outputs | {"order": order},
        )
