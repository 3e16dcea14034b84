"""Launches of the backward pass of blending."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from splatkit.core.errors import SplatkitError
from splatkit.render.backends._cuda_bin import Binned
from splatkit.render.backends._cuda_blend import Kept, shared_arguments
from splatkit.render.backends._cuda_compile import Options, options_of
from splatkit.render.backends._cuda_params import constant, divided
from splatkit.render.backends._cuda_plan import ChannelPass, Frame, channel_passes
from splatkit.render.backends._cuda_project import Records
from splatkit.render.backends._cuda_work import Work
from splatkit.render.screen import RECORD_SIZE, Blended


@dataclass
class Gradients:
    """Of what was blended."""

    records: Tensor
    channels: Tensor | None
    score_sums: Tensor | None
    """[M,2] weight times score, and weight."""


def blend_adj_options(frame: Frame, channels: ChannelPass, scores: bool) -> Options:
    """Macros of ``blend_adj.cu``; scores are summed in the first pass."""
    choice = frame.choice
    return options_of(
        {
            "SK_TILE_WIDTH": choice.tile_width,
            "SK_TILE_HEIGHT": choice.tile_height,
            "SK_DETERMINISTIC": int(choice.deterministic),
            "SK_COLORS": channels.colors,
            "SK_VALUES": channels.values,
            "SK_BUCKET": choice.bucket,
            "SK_SCORES": int(scores and channels.colors > 0),
            "SK_ADJ_FORM": choice.adj_form,
            "SK_ADJ_PIXELS": channels.adj_pixels,
        }
    )


@dataclass(frozen=True)
class ImageGradients:
    """Of the loss with respect to images, and scores to be weighed with the splats' weights."""

    v_rgb: Tensor
    """[C,H,W,3]."""
    v_alpha: Tensor | None = None
    """[C,H,W]."""
    v_channels: Tensor | None = None
    """[C,H,W,F]."""
    scores: Tensor | None = None
    """[C,H,W]."""


def blend_adj(
    work: Work,
    splats: Records,
    binned: Binned,
    kept: list[Kept],
    blended: Blended,
    given: ImageGradients,
    channels: Tensor | None = None,
) -> Gradients:
    """Gradients of records and channels of what ``blend`` blended.

    Raises:
        SplatkitError: the records are packed ones.
    """
    frame, capacity = work.frame, work.capacity
    if frame.choice.half_records:
        raise SplatkitError("blend: packed records are for rendering only, they have no gradient")
    count = 0 if channels is None else channels.shape[1]
    result = Gradients(
        work.allocate("v_records", capacity.records, RECORD_SIZE),
        None if channels is None else work.allocate("v_channels", capacity.records, count),
        None if given.scores is None else work.allocate("score_sums", capacity.records, 2),
    )
    sums = {
        "v_records": result.records,
        "v_channels": result.channels,
        "score_sums": result.score_sums,
    }
    exact = frame.choice.deterministic
    # Gradients of channels flow on to whom the rows name, those behind the last record included.
    for tensor in (result.channels,) if exact else sums.values():
        if tensor is not None:
            tensor.zero_()
    for part, memory in zip(channel_passes(count), kept, strict=True):
        # Scores are summed in the first pass.
        first = part.colors > 0
        wanted = sums if first else sums | {"score_sums": None}
        options = blend_adj_options(frame, part, given.scores is not None)
        parts = frame.adj_parts(part)
        slots = None
        if exact:
            floats = divided(constant("SLOT_FLOATS") + part.values - part.colors, 4) * 4
            slots = work.allocate("slots", capacity.instances, parts, floats)
        items = (frame.tiles + frame.checkpoints(capacity)) * parts
        work.driver.launch(
            "blend_adj",
            options,
            divided(items, constant("BLEND_ADJ_WARPS")),
            constant("BLEND_ADJ_THREADS"),
            shared_arguments(frame, splats, binned, memory, channels, part)
            | (dict.fromkeys(wanted) if exact else wanted)
            | {
                "rgb": blended.rgb,
                "alpha": blended.alpha,
                "channel_image": blended.channels,
                "v_rgb": given.v_rgb,
                "v_alpha": given.v_alpha,
                "v_channel_image": given.v_channels,
                "scores": given.scores if first else None,
                "slots": slots,
                "tiles": frame.tiles,
            },
        )
        if slots is not None:
            work.driver.launch(
                "gather_slots",
                options,
                divided(capacity.records, constant("GATHER_ROWS")),
                constant("GATHER_THREADS"),
                wanted
                | part.channel_range(channels)
                | {
                    "slots": slots,
                    "order": binned.order,
                    "first_instance": binned.first_instance,
                    "counters": work.scratch.counters,
                },
            )
    return result
