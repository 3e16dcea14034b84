"""A scene as 3D Gaussians: the stored parameters and what they mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from splatkit.core.checks import check
from splatkit.core.errors import SplatkitError
from splatkit.core.sh import degree_from_count


@dataclass
class Gaussians:
    """N anisotropic 3D Gaussians with view-dependent colour.

    The stored values are the optimised ones; ``scales`` and ``opacities`` are their
    activations. All tensors share one float dtype and one device.
    """

    means: Tensor
    """[N,3] centres, world units, world frame."""
    quats: Tensor
    """[N,4] rotations of the principal axes, wxyz, of any non-zero length."""
    log_scales: Tensor
    """[N,3] natural logarithm of the standard deviations, world units."""
    logit_opacities: Tensor
    """[N] logit of the opacity at the centre."""
    sh: Tensor
    """[N,K,3] spherical-harmonic coefficients, K = (degree + 1)^2; colour = SH + 0.5, sRGB."""
    extra: dict[str, Tensor] = field(default_factory=dict)
    """Further tensors [N, ...] that follow every selection (materials, ids)."""
    antialiased: bool = False
    """Whether opacity is compensated for the screen-space low-pass (Mip-Splatting's 2D filter)."""

    def __post_init__(self) -> None:
        check(
            means=(self.means, "N 3"),
            quats=(self.quats, "N 4"),
            log_scales=(self.log_scales, "N 3"),
            logit_opacities=(self.logit_opacities, "N"),
            sh=(self.sh, "N K 3"),
        )
        degree_from_count(self.sh.shape[1])
        for name, tensor in self.extra.items():
            if tensor.shape[:1] != self.means.shape[:1]:
                raise SplatkitError(
                    f"extra[{name!r}]: expected {len(self)} rows, got {list(tensor.shape)}"
                )

    def __len__(self) -> int:
        return self.means.shape[0]

    @property
    def scales(self) -> Tensor:
        """[N,3] standard deviations along the principal axes, world units."""
        return self.log_scales.exp()

    @property
    def opacities(self) -> Tensor:
        """[N] opacity at the centre, in (0, 1)."""
        return self.logit_opacities.sigmoid()

    @property
    def sh_degree(self) -> int:
        """Degree of the stored spherical harmonics, 0 to 4."""
        return degree_from_count(self.sh.shape[1])

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return self.means.device

    def parameters(self) -> dict[str, Tensor]:
        """The optimised tensors by name, in their fixed order."""
        return {name: getattr(self, name) for name in PARAMETER_NAMES}

    def map(self, function: Callable[[Tensor], Tensor]) -> Gaussians:
        """A copy with ``function`` applied to every tensor, ``extra`` included."""
        tensors = {name: function(tensor) for name, tensor in self.parameters().items()}
        extra = {name: function(tensor) for name, tensor in self.extra.items()}
        return Gaussians(**tensors, extra=extra, antialiased=self.antialiased)

    def __getitem__(self, index: Tensor | slice) -> Gaussians:
        """The Gaussians that a mask [N], an index tensor or a slice selects."""
        return self.map(lambda tensor: tensor[index])

    def to(self, target: torch.device | torch.dtype | str) -> Gaussians:
        """A copy on another device or with another float dtype (``extra`` keeps integers)."""
        if isinstance(target, torch.dtype):
            return self.map(lambda t: t.to(target) if t.dtype.is_floating_point else t)
        return self.map(lambda t: t.to(target))

    def detach(self) -> Gaussians:
        """The same values without gradient history."""
        return self.map(Tensor.detach)

    def clone(self) -> Gaussians:
        """A deep copy."""
        return self.map(Tensor.clone)

    def finite_mask(self) -> Tensor:
        """[N] bool: which Gaussians have only finite parameters."""
        good = torch.ones(len(self), dtype=torch.bool, device=self.device)
        for tensor in self.parameters().values():
            good &= (
                torch.isfinite(tensor).flatten(1).all(1)
                if tensor.ndim > 1
                else torch.isfinite(tensor)
            )
        return good

    @staticmethod
    def concatenate(parts: list[Gaussians]) -> Gaussians:
        """Several sets behind one another; ``extra`` keeps the names that all have."""
        names = set.intersection(*(set(part.extra) for part in parts))
        tensors = {
            name: torch.cat([getattr(part, name) for part in parts]) for name in PARAMETER_NAMES
        }
        extra = {name: torch.cat([part.extra[name] for part in parts]) for name in sorted(names)}
        return Gaussians(**tensors, extra=extra, antialiased=parts[0].antialiased)


PARAMETER_NAMES: tuple[str, ...] = tuple(
    f.name for f in fields(Gaussians) if f.name not in ("extra", "antialiased")
)
