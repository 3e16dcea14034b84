"""Shape and dtype checks with one vocabulary of letters.

``check(means=(means, "N 3"), quats=(quats, "N 4"))`` binds ``N`` at its first
appearance and compares it at every later one, across tensors.
"""

from __future__ import annotations

import torch
from torch import Tensor

from splatkit.core.errors import SplatkitError


def check(*, floating: bool = True, **tensors: tuple[Tensor, str]) -> dict[str, int]:
    """Compare tensors with shapes written as words.

    Args:
        floating: require a floating-point dtype, the same one for all tensors.
        **tensors: ``name=(tensor, "N 3")``; a word is a number, a letter bound at its
            first appearance, or ``...`` (first place only) for any leading dimensions.

    Returns:
        The sizes bound to each letter.

    Raises:
        SplatkitError: a shape, dtype or device differs; the message names the tensor.
    """
    sizes: dict[str, int] = {}
    first: tuple[str, Tensor] | None = None
    for name, (tensor, spec) in tensors.items():
        words = spec.split()
        shape = tuple(tensor.shape)
        if words and words[0] == "...":
            words = words[1:]
            shape = shape[len(shape) - len(words) :] if len(shape) >= len(words) else shape
        if len(shape) != len(words):
            raise SplatkitError(f"{name}: expected shape [{spec}], got {list(tensor.shape)}")
        for word, size in zip(words, shape, strict=True):
            wanted = int(word) if word.isdigit() else sizes.setdefault(word, size)
            if size != wanted:
                meaning = "" if word.isdigit() else f" with {word}={wanted}"
                raise SplatkitError(
                    f"{name}: expected shape [{spec}]{meaning}, got {list(tensor.shape)}"
                )
        if floating:
            if not tensor.dtype.is_floating_point:
                raise SplatkitError(f"{name}: expected a floating-point tensor, got {tensor.dtype}")
            if first is None:
                first = (name, tensor)
            elif tensor.dtype != first[1].dtype or tensor.device != first[1].device:
                raise SplatkitError(
                    f"{name}: expected {first[1].dtype} on {first[1].device} like {first[0]}, "
                    f"got {tensor.dtype} on {tensor.device}"
                )
    return sizes


def all_finite(tensor: Tensor) -> bool:
    """Whether a tensor holds neither NaN nor infinity (true for an empty one)."""
    return bool(torch.isfinite(tensor).all())
