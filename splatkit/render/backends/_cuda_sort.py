"""The radix sort on the GPU, and the memory that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from splatkit.render.backends._cuda_compile import Options, options_of
from splatkit.render.backends._cuda_driver import Driver
from splatkit.render.backends._cuda_params import constant, divided

DIGIT_BITS = 8
"""Of a key, in one pass."""
_MOST_HISTOGRAM_BLOCKS = 512


@dataclass(frozen=True)
class SortScratch:
    """Zeroed memory of one sort."""

    histograms: Tensor
    tickets: Tensor
    lookbacks: Sequence[Tensor]
    """One a pass."""

    @staticmethod
    def sizes(passes: int, capacity: int) -> list[int]:
        """Numbers of each part, in order; ``of`` takes the parts."""
        digits = constant("SORT_DIGITS")
        blocks = divided(capacity, constant("SORT_BLOCK_ITEMS"))
        return [passes * digits, passes, *[blocks * digits] * passes]

    @staticmethod
    def of(parts: Sequence[Tensor]) -> SortScratch:
        """From int32 tensors of ``sizes``."""
        return SortScratch(parts[0], parts[1], parts[2:])


def sort_options(key_bits: int) -> Options:
    """Macros of ``sort.cu``."""
    return options_of({"SK_KEY_BITS": key_bits})


def sort(
    driver: Driver,
    keys: tuple[Tensor, Tensor],
    values: tuple[Tensor, Tensor],
    scratch: SortScratch,
    count: Tensor,
    values_given: bool,
) -> tuple[Tensor, Tensor]:
    """Stable radix sort of the pairs in ``keys[0]``, ``values[0]``; the other two are room.

    Args:
        driver: launches.
        keys: what to sort by, int32 or int16 read as unsigned, and as much room.
        values: int32, likewise.
        scratch: zeroed; it has as many passes as there are digits to sort by.
        count: [1] int32 how many there are.
        values_given: False where the values are 0, 1, 2 and so on, not yet written.

    Returns:
        The sorted keys and values.
    """
    capacity = len(keys[0])
    options = sort_options(8 * keys[0].element_size())
    passes = len(scratch.lookbacks)
    given = {
        "histograms": scratch.histograms,
        "tickets": scratch.tickets,
        "count": count,
        "passes": passes,
    }
    threads = constant("SORT_THREADS")
    histogram_blocks = divided(capacity, constant("SORT_HISTOGRAM_ITEMS"))
    blocks = divided(capacity, constant("SORT_BLOCK_ITEMS"))
    for index in range(passes):
        arguments = given | {
            "keys_in": keys[0],
            "keys_out": keys[1],
            "values_in": values[0] if values_given or index else None,
            "values_out": values[1],
            "lookback": scratch.lookbacks[index],
            "pass": index,
        }
        if index == 0:
            driver.launch(
                "sort_histogram",
                options,
                min(_MOST_HISTOGRAM_BLOCKS, histogram_blocks),
                threads,
                arguments,
            )
        driver.launch("sort_pass", options, blocks, threads, arguments)
        keys, values = (keys[1], keys[0]), (values[1], values[0])
    return keys[0], values[0]
