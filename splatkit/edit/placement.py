"""Where a scene stands: which way is up, where the floor is, how large one unit is.

The world is RDF: up is -y, the floor is y = const.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from splatkit.core import Gaussians, Photo, SplatkitError, UsageError
from splatkit.core.bulk import bulk
from splatkit.core.similarity import transformed
from splatkit.ingest.frame import up_direction
from splatkit.render.paths import UP

AXES = {
    "x": (1, 0, 0), "neg-x": (-1, 0, 0), "y": (0, 1, 0), "neg-y": (0, -1, 0),
    "z": (0, 0, 1), "neg-z": (0, 0, -1),
}  # fmt: skip
"""Names of directions that people give."""
FLOOR_TRIES = 400
"""Planes through three random Gaussians that the search for a floor looks at."""
FLOOR_TILT = math.radians(30)
"""A plane that leans more than this is no floor."""
FLOOR_THICKNESS = 0.015
"""Half the thickness of a floor, in radii of the scene's bulk."""
FLOOR_SHARE = 0.03
"""Share of the Gaussians that a floor must have."""
_SAMPLE = 20_000
_BELOW_COUNTS = 2.0
"""What lies below a plane speaks against a floor so many times as much as what lies in it speaks
for it."""


def _eye() -> Tensor:
    return torch.eye(3, dtype=torch.float64)


@dataclass(frozen=True)
class Similarity:
    """x' = scale * rotation x + translation; the identity at first."""

    rotation: Tensor = field(default_factory=_eye)
    """[3,3] float64 orthogonal."""
    scale: float = 1.0
    translation: Tensor = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))
    """[3] float64, world units, applied last."""

    def then(self, later: Similarity) -> Similarity:
        """This one first, then the later one."""
        return Similarity(
            later.rotation @ self.rotation,
            later.scale * self.scale,
            later.point(self.translation),
        )

    def point(self, point: Tensor) -> Tensor:
        """[3] where a point [3] float64 comes to lie."""
        return self.scale * (self.rotation @ point) + self.translation

    def moved(self, gaussians: Gaussians) -> Gaussians:
        """The Gaussians there; the same object where nothing moves."""
        if self.is_identity:
            return gaussians
        return transformed(gaussians, self.rotation, self.scale, self.translation)

    def photo(self, photo: Photo) -> Photo:
        """A photo whose camera sees of the moved scene what it saw before."""
        viewmat = torch.eye(4, dtype=torch.float64)
        viewmat[:3, :3] = photo.viewmat[:3, :3] @ self.rotation.mT
        viewmat[:3, 3] = self.scale * photo.viewmat[:3, 3] - viewmat[:3, :3] @ self.translation
        return replace(photo, viewmat=viewmat)

    def matrix(self) -> Tensor:
        """[4,4] float64 moved_from_world."""
        matrix = torch.eye(4, dtype=torch.float64)
        matrix[:3, :3] = self.scale * self.rotation
        matrix[:3, 3] = self.translation
        return matrix

    @property
    def is_identity(self) -> bool:
        """Whether nothing moves."""
        return torch.equal(self.matrix(), torch.eye(4, dtype=torch.float64))


def about(point: Tensor, rotation: Tensor, scale: float = 1.0) -> Similarity:
    """A turn and a scale that leave a point [3] where it is."""
    return Similarity(rotation, scale, point - scale * (rotation @ point))


def turn_between(start: Sequence[float], goal: Sequence[float] = UP) -> Tensor:
    """[3,3] float64: the shortest turn of one direction onto another; a half turn is about x or z.

    Raises:
        UsageError: a direction has no length.
    """
    a, b = (torch.tensor(list(map(float, v)), dtype=torch.float64) for v in (start, goal))
    if not (a.norm() > 1e-12 and b.norm() > 1e-12):
        raise UsageError(f"direction: expected three numbers that are not all 0, got {list(start)}")
    a, b = a / a.norm(), b / b.norm()
    cosine = float(a @ b)
    if cosine < -1 + 1e-12:
        x_axis = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
        axis = x_axis - a * (x_axis @ a)
        if axis.norm() < 1e-6:
            axis = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
        axis = axis / axis.norm()
        return 2 * axis[:, None] * axis - _eye()
    x, y, z = torch.linalg.cross(a, b).tolist()
    skew = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    return _eye() + skew + skew @ skew / (1 + cosine)


def up_of_photos(photos: list[Photo]) -> Tensor:
    """[3] float64 unit vector upwards, from the photos' horizons.

    Raises:
        SplatkitError: there are no photos.
    """
    if not photos:
        raise SplatkitError(
            "up: expected a scene with photos to find it from; name an axis (neg-y, z, ...) instead"
        )
    rotations = torch.stack([photo.viewmat[:3, :3] for photo in photos])
    return torch.from_numpy(up_direction(rotations.numpy()))


@dataclass(frozen=True)
class Floor:
    """A plane with a scene above it."""

    up: Tensor
    """[3] float64 unit vector, away from the floor, upwards."""
    point: Tensor
    """[3] float64 a point of it, below the middle of the scene."""
    share: float
    """Share of the scene's opaque Gaussians that lie in it."""

    def levelled(self) -> Similarity:
        """What makes the floor level and puts it at y = 0."""
        turn = turn_between(self.up.tolist())
        height = float((turn @ self.point)[1])
        return Similarity(turn, 1.0, torch.tensor([0.0, -height, 0.0], dtype=torch.float64))


def find_floor(gaussians: Gaussians, seed: int = 0) -> Floor:
    """The level plane that holds most Gaussians and has least below it (RANSAC).

    Args:
        gaussians: roughly upright.
        seed: of the planes that are tried.

    Raises:
        SplatkitError: there is no such plane.
    """
    middle, radius = bulk(gaussians)
    means = gaussians.means.detach().double().cpu()[gaussians.opacities.detach().cpu() > 0.3]
    means = means[(means - middle).norm(dim=1) < 3 * radius]
    if len(means) < 10:
        raise SplatkitError("floor: expected a scene with opaque Gaussians, found too few")
    chance = torch.Generator().manual_seed(seed)
    points = means[torch.randperm(len(means), generator=chance)[:_SAMPLE]]
    up = torch.tensor(UP, dtype=torch.float64)
    thickness = FLOOR_THICKNESS * radius
    best, best_score, kept = None, -math.inf, 0
    for _ in range(FLOOR_TRIES):
        a, b, c = points[torch.randint(len(points), (3,), generator=chance)]
        normal = torch.linalg.cross(b - a, c - a)
        if not normal.norm() > 1e-12:
            continue
        normal = normal / normal.norm()
        normal = normal if float(normal @ up) > 0 else -normal
        if float(normal @ up) < math.cos(FLOOR_TILT):
            continue
        heights = (points - a) @ normal
        inside = int((heights.abs() <= thickness).sum())
        score = inside - _BELOW_COUNTS * int((heights < -thickness).sum())
        if score > best_score:
            best, best_score, kept = (a, normal), score, inside
    if best is None or kept < FLOOR_SHARE * len(points):
        raise SplatkitError(
            "floor: found no level plane with enough of the scene in it; turn the scene upright "
            "first, or choose three points of the floor"
        )
    anchor, normal = best
    inliers = means[((means - anchor) @ normal).abs() <= thickness]
    center = inliers.mean(0)
    # The direction in which the floor's own Gaussians spread least is its normal.
    normal_fit = torch.linalg.eigh((inliers - center).T @ (inliers - center)).eigenvectors[:, 0]
    normal = normal_fit if float(normal_fit @ normal) > 0 else -normal_fit
    below = middle - normal * float((middle - center) @ normal)
    return Floor(normal, below, len(inliers) / len(means))


def floor_of_points(points: Sequence[Tensor]) -> Floor:
    """The floor through three points [3] that somebody chose.

    Raises:
        UsageError: they lie on a line.
    """
    a, b, c = (point.double() for point in points)
    normal = torch.linalg.cross(b - a, c - a)
    if not normal.norm() > 1e-9 * max(float((b - a).norm() * (c - a).norm()), 1e-30):
        raise UsageError("floor: expected three points that are not on one line")
    normal = normal / normal.norm()
    normal = normal if float(normal @ torch.tensor(UP).double()) >= 0 else -normal
    return Floor(normal, (a + b + c) / 3, 0.0)


def scale_to(first: Tensor, second: Tensor, distance: float) -> float:
    """Factor after which two points [3] are ``distance`` apart.

    Raises:
        UsageError: the points are the same, or the distance is not a positive number.
    """
    now = float((first.double() - second.double()).norm())
    if not (math.isfinite(distance) and distance > 0):
        raise UsageError(f"distance: expected a positive number, got {distance}")
    if not now > 0:
        raise UsageError("distance: expected two points apart from one another")
    return distance / now
