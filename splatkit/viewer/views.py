"""Between viser's cameras and ours."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import viser
from torch import Tensor

from splatkit.core import Cameras, Gaussians, Photo
from splatkit.core.bulk import bulk
from splatkit.core.transforms import look_at, quat_from_rotation, rotation_from_quat
from splatkit.render.paths import UP, circle, focus_of


@dataclass(frozen=True)
class View:
    """Where a browser looks from; the world is RDF, so is the camera."""

    wxyz: tuple[float, float, float, float]
    """Rotation world_from_camera."""
    position: tuple[float, float, float]
    fov: float
    """Vertical field of view, radians."""

    def camera(self, width: int, height: int) -> Cameras:
        """A batch of one float32 camera for a picture of that size."""
        rotation = rotation_from_quat(torch.tensor(self.wxyz, dtype=torch.float64)).T
        viewmat = torch.eye(4, dtype=torch.float64)
        viewmat[:3, :3] = rotation
        viewmat[:3, 3] = -rotation @ torch.tensor(self.position, dtype=torch.float64)
        focal = 0.5 * height / math.tan(0.5 * self.fov)
        K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        return Cameras(viewmat.float()[None], K.float()[None], width, height)


def view_of(camera: viser.CameraHandle) -> tuple[View, int, int]:
    """Where a browser looks from, and the width and height of its view, pixels."""
    w, x, y, z = (float(value) for value in camera.wxyz)
    px, py, pz = (float(value) for value in camera.position)
    view = View((w, x, y, z), (px, py, pz), camera.fov)
    return view, camera.image_width, camera.image_height


@dataclass(frozen=True)
class Place:
    """A camera as viser's orbit control wants it."""

    position: np.ndarray
    """[3] world frame."""
    look_at: np.ndarray
    """[3] point that turning the view turns about."""
    fov: float
    """Vertical field of view, radians."""


def place_of_photo(photo: Photo, focus: Tensor, aspect: float | None = None) -> Place:
    """The place that a photo was taken from, facing as it did.

    Args:
        photo: has the camera.
        focus: [3] middle of the scene; the view turns about the point of the optical axis that
            is nearest to it.
        aspect: width over height of the page's view; the whole photo then fits into it.
    """
    rotation, translation = photo.viewmat[:3, :3], photo.viewmat[:3, 3]
    position = -rotation.T @ translation
    forward = rotation[2]
    offset = focus - position
    along = max(float(offset @ forward), 0.1 * float(offset.norm()), 1e-3)
    tangent = 0.5 * photo.height / float(photo.K[1, 1])
    if aspect is not None:
        tangent = max(tangent, 0.5 * photo.width / float(photo.K[0, 0]) / aspect)
    return Place(position.numpy(), (position + along * forward).numpy(), 2 * math.atan(tangent))


def place_of_camera(camera: Cameras, reach: float) -> Place:
    """The place of the first of these cameras; the view turns about a point ``reach`` ahead."""
    position, forward = camera.positions[0].double(), camera.viewmats[0, 2, :3].double()
    fov = 2 * math.atan(0.5 * camera.height / float(camera.Ks[0, 1, 1]))
    return Place(position.numpy(), (position + reach * forward).numpy(), fov)


def first_place(photos: list[Photo], gaussians: Gaussians) -> Place:
    """Where a visitor begins: at a training photo, or in front of a scene without photos."""
    taken = [photo for photo in photos if not photo.held_out] or photos
    if taken:
        # Who walks around something takes the middle of the photos from the middle of the way.
        return place_of_photo(taken[len(taken) // 2], middle(photos, gaussians))
    view = circle(gaussians, 1, 16, 9)
    focus, _ = bulk(gaussians)
    fov = 2 * math.atan(0.5 * 9 / float(view.Ks[0, 1, 1]))
    # The circle starts behind the scene (+z); an RDF scene faces -z.
    position = 2 * focus - view.positions[0]
    position[1] = view.positions[0, 1]
    return Place(position.numpy(), focus.numpy(), fov)


def middle(photos: list[Photo], gaussians: Gaussians) -> Tensor:
    """[3] float64 point that the scene is about, world frame."""
    if len(photos) < 2:
        return bulk(gaussians)[0]
    viewmats = torch.stack([photo.viewmat for photo in photos])
    Ks = torch.stack([photo.K for photo in photos])
    return focus_of(Cameras(viewmats, Ks, photos[0].width, photos[0].height))


def wxyz_of_photo(photo: Photo) -> np.ndarray:
    """[4] rotation world_from_camera of a photo, as viser's nodes want it."""
    return quat_from_rotation(photo.viewmat[:3, :3].T).numpy()


def view_of_place(place: Place) -> View:
    """The view that viser's orbit control has at a place."""
    up = torch.tensor(UP, dtype=torch.float64)
    viewmat = look_at(torch.tensor(place.position), torch.tensor(place.look_at), up)
    w, x, y, z = quat_from_rotation(viewmat[:3, :3].T).tolist()
    px, py, pz = place.position.tolist()
    return View((w, x, y, z), (px, py, pz), place.fov)


def up_direction() -> tuple[float, float, float]:
    """World direction that is up on the page."""
    return UP
