"""Which specialisations of the kernels a training run will ask for, before it does."""

from __future__ import annotations

from dataclasses import replace

from splatkit.core.sh import count_from_degree
from splatkit.render.backends._cuda_blend import ONLY_COLORS, blend_options
from splatkit.render.backends._cuda_blend_adj import blend_adj_options
from splatkit.render.backends._cuda_compile import Options, options_of
from splatkit.render.backends._cuda_plan import DEPTH_KEY_BITS, Choice, Frame, channel_passes
from splatkit.render.backends._cuda_project import project_options
from splatkit.render.backends._cuda_sort import sort_options
from splatkit.render.backends._cuda_update import finish_options, project_adj_options

SURFACE_CHANNELS = 4
"""Depth and normal, which steps that make surfaces blend beside colours of degree 0."""


def forms(base: Choice) -> list[Choice]:
    """The forms of blending's backward pass that training tries, with what they share."""
    if base.deterministic:
        return [base]
    return [base, replace(base, adj_form=1), replace(base, bucket=0)]


def training_set(frame: Frame, sh_degree: int, stored_degree: int) -> list[tuple[str, Options]]:
    """Files and macros in the order in which steps need them.

    Args:
        frame: size of the pictures, and the first form.
        sh_degree: degree in use at the first step; it grows to the stored one.
        stored_degree: of the Gaussians' harmonics.
    """
    (colors,) = channel_passes(0)
    bases = count_from_degree(stored_degree)
    degrees = range(sh_degree, stored_degree + 1)
    wanted = [
        ("project.cu", project_options(sh_degree, bases, False)),
        ("sort.cu", sort_options(DEPTH_KEY_BITS)),
        ("bin.cu", frame.bin_options),
        ("sort.cu", sort_options(frame.key_bits)),
    ]
    for scores in (True, False):
        for choice in forms(frame.choice):
            tried = replace(frame, choice=choice)
            wanted.append(("blend.cu", blend_options(tried, colors, ONLY_COLORS)))
            adj = blend_adj_options(tried, colors, scores)
            wanted.append(("blend_adj.cu", adj))
            if choice.deterministic:
                wanted.append(("gather_slots.cu", adj))
        if scores:
            wanted.append(("loss.cu", ()))
            moving = count_from_degree(sh_degree)
            wanted.append(("finish.cu", finish_options(sh_degree, bases, moving, frame.cameras)))
    for degree in degrees[1:]:
        moving = count_from_degree(degree)
        wanted.append(("project.cu", project_options(degree, bases, False)))
        wanted.append(("finish.cu", finish_options(degree, bases, moving, frame.cameras)))
    wanted += [("densify.cu", options_of({})), ("image.cu", options_of({}))]
    wanted += _surface_set(frame, bases)
    return list(dict.fromkeys(wanted))


def _surface_set(frame: Frame, bases: int) -> list[tuple[str, Options]]:
    """What pictures of depth and normals need, which come later and in some trainings only."""
    (channels,) = channel_passes(SURFACE_CHANNELS)
    adj = blend_adj_options(frame, channels, False)
    wanted = [
        ("project.cu", project_options(0, bases, False)),
        ("blend.cu", blend_options(frame, channels, ONLY_COLORS)),
        ("blend_adj.cu", adj),
        ("project_adj.cu", project_adj_options(0, bases, 1, False)),
    ]
    return [*wanted, ("gather_slots.cu", adj)] if frame.choice.deterministic else wanted
