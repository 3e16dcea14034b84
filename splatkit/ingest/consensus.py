"""Which reconstructions the others contradict.

The matches of two photos say nothing about how far apart they are. So a model can bend where few
points hold its parts together, and its matches agree with it all the same. But mappers begin
elsewhere and go another way: they bend in other places, and where they are right they agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from splatkit.ingest.alignment import camera_centers, residuals, similarity_of_points

MIN_COMMON = 6
"""Photos that two models have to share to say something about each other."""
FAR_OFF = 0.03
"""A camera this far from its place in another model, over the extent, is elsewhere in it."""
MANY_OFF = 0.15
"""Share of the common photos that are elsewhere where two models contradict each other."""

Places = Mapping[str, np.ndarray]
"""Photo name -> [4,4] camera_from_world of the photos that a model is trusted with."""


def outvoted(models: Sequence[Places], voters: Sequence[bool]) -> list[bool]:
    """Of each model, whether one that contradicts it has more of the voters on its side.

    Args:
        models: found by several mappers, each in a frame of its own.
        voters: which of them were found independently.

    Returns:
        At least one of those that have voters on their side at all is not outvoted.
    """
    count = len(models)
    opinions = np.zeros((count, count), int)
    for i in range(count):
        opinions[i, i] = 1
        for k in range(i):
            opinions[i, k] = opinions[k, i] = _opinion(models[i], models[k])
    sides = ((opinions == 1) & np.array(voters, bool)).sum(1)
    return [bool((sides[opinions[i] == -1] > sides[i]).any()) for i in range(count)]


def _opinion(one: Places, other: Places) -> int:
    """1 where two models agree, -1 where they contradict each other, 0 where none can say."""
    common = sorted(set(one) & set(other))
    if len(common) < MIN_COMMON:
        return 0
    ours, theirs = (camera_centers(np.stack([m[name] for name in common])) for m in (one, other))
    extent = float(np.linalg.norm(theirs - theirs.mean(0), axis=1).max())
    if extent == 0:
        return 0
    off = residuals(similarity_of_points(ours, theirs), ours, theirs) > FAR_OFF * extent
    return -1 if float(off.mean()) > MANY_OFF else 1
