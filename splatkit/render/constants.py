"""Thresholds of projection and blending; ``cuda/include/splatkit/blend.h`` holds the same values.

A test compares the two, so that no backend can clamp elsewhere than the reference.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class BlendConstants:
    """Where blending clamps, cuts and stops (Kerbl et al. 2023, section 6 and appendix C)."""

    alpha_max: float = 0.99
    """Alpha is clamped to this; its gradient is 0 where it was."""
    alpha_min: float = 1.0 / 255.0
    """A splat whose alpha at a pixel is below this is skipped there."""
    transmittance_min: float = 1e-4
    """A splat that would take the transmittance to this or below ends the pixel unblended."""
    frustum_margin: float = 0.3
    """The Jacobian's x/z and y/z are clamped this many tan(fov/2) beyond each image border."""
    reach: float = math.inf
    """Standard deviations from its centre at which a splat ends, if not before by ``alpha_min``;
    here it never does, in some viewers it does."""


DEFAULT_CONSTANTS = BlendConstants()
