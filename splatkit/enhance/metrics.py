"""How near an upscaled picture, or a film of them, comes to the plain one.

FLIP after Andersson et al. 2020, "FLIP: A Difference Evaluator for Alternating Images"; MS-SSIM
after Wang et al. 2003. Pictures are float [H,W,3], sRGB 0..1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, pad

from splatkit.core import Cameras, SplatkitError, check
from splatkit.enhance.grade import light_of
from splatkit.enhance.temporal import Past, follow, motion

PIXELS_PER_DEGREE = 67.0
"""Of an observer 0.7 m before a 0.7 m wide 4K monitor, FLIP's usual one."""
_XYZ_FROM_RGB = (
    (0.4123866, 0.3575915, 0.1804505),
    (0.2126368, 0.7151830, 0.0721802),
    (0.0193306, 0.1191972, 0.9503726),
)
_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_C1, _C2 = 0.01**2, 0.03**2


def ms_ssim(image: Tensor, truth: Tensor) -> float:
    """Structural similarity over five scales, mean of the channels; 1 is the same.

    Raises:
        SplatkitError: a side is shorter than 176 pixels, so that five scales do not fit.
    """
    check(image=(image, "H W 3"), truth=(truth, "H W 3"))
    if min(image.shape[:2]) < 176:
        raise SplatkitError(f"ms_ssim: expected at least 176x176 pixels, got {list(image.shape)}")
    x, y = (picture.permute(2, 0, 1)[:, None] for picture in (image, truth))
    taps = torch.exp(-(torch.arange(-5, 6, dtype=x.dtype).square()) / (2 * 1.5**2))
    taps = taps / taps.sum()

    def blurred(picture: Tensor) -> Tensor:
        return conv2d(conv2d(picture, taps.view(1, 1, 1, -1)), taps.view(1, 1, -1, 1))

    product = torch.ones(3, dtype=x.dtype)
    for index, exponent in enumerate(_SCALES):
        mean_x, mean_y = blurred(x), blurred(y)
        var_x = blurred(x * x) - mean_x.square()
        var_y = blurred(y * y) - mean_y.square()
        cov = blurred(x * y) - mean_x * mean_y
        contrast = (2 * cov + _C2) / (var_x + var_y + _C2)
        if index + 1 == len(_SCALES):
            light = (2 * mean_x * mean_y + _C1) / (mean_x.square() + mean_y.square() + _C1)
            contrast = contrast * light
        product = product * contrast.mean((1, 2, 3)).clamp_min(0) ** exponent
        x, y = avg_pool2d(x, 2), avg_pool2d(y, 2)
    return float(product.mean())


def flip(image: Tensor, truth: Tensor, pixels_per_degree: float = PIXELS_PER_DEGREE) -> float:
    """Mean difference that an observer sees when the pictures alternate, 0 to 1."""
    check(image=(image, "H W 3"), truth=(truth, "H W 3"))
    opponents = [_opponent(picture.clamp(0, 1)) for picture in (truth, image)]
    first, second = (_hunt_lab(_seen(picture, pixels_per_degree)) for picture in opponents)
    color = _hyab(first, second) ** 0.7
    corners = torch.tensor([[[0.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]]]).permute(0, 2, 1)[..., None]
    green, blue = (_hunt_lab(_xyz(corner)) for corner in corners)
    largest = float(_hyab(green, blue)) ** 0.7
    knee, share = 0.4 * largest, 0.95
    color = torch.where(
        color < knee,
        color * share / knee,
        share + (color - knee) / (largest - knee) * (1 - share),
    )
    edges, points = zip(*(_features(picture, pixels_per_degree) for picture in opponents),
                        strict=True)  # fmt: skip
    difference = torch.maximum((edges[0] - edges[1]).abs(), (points[0] - points[1]).abs())
    feature = (difference / math.sqrt(2)).sqrt()
    return float((color ** (1 - feature)).mean())


def warping_error(
    shown: Tensor,
    before: Tensor,
    camera: Cameras,
    camera_before: Cameras,
    inverse_depths: tuple[Tensor, Tensor],
    alphas: tuple[Tensor, Tensor],
) -> float:
    """How much a picture differs from the one before, followed along the true motion.

    Args:
        shown: [H,W,3] picture.
        before: [H,W,3] the one before.
        camera: of the picture.
        camera_before: of the one before.
        inverse_depths: [H,W] true ones, of the picture and of the one before.
        alphas: [H,W] true coverage of both.

    Returns:
        Root of the mean square difference where the same surface is seen; 0 where none is.
    """
    past = Past(
        before,
        torch.ones_like(alphas[1]),
        inverse_depths[1],
        alphas[1],
        (1.0, 0.5, 0.5),
        camera_before,
        None,
    )
    moved = motion(camera, camera_before)
    followed, weight = follow(past, moved, inverse_depths[0], alphas[0], 1.0)
    same = weight > 0
    return float((shown - followed)[same].square().mean().sqrt()) if bool(same.any()) else 0.0


def _xyz(light: Tensor) -> Tensor:
    """[3,H,W] XYZ of linear RGB."""
    return torch.einsum("ij,jhw->ihw", light.new_tensor(_XYZ_FROM_RGB), light)


def _white(like: Tensor) -> Tensor:
    return like.new_tensor(_XYZ_FROM_RGB).sum(1)[:, None, None]


def _opponent(picture: Tensor) -> Tensor:
    """[3,H,W] YCxCz, a linear opponent space, of an sRGB picture [H,W,3]."""
    xyz = _xyz(light_of(picture.permute(2, 0, 1)))
    x, y, z = xyz / _white(xyz)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)))


def _blurred(plane: Tensor, taps_x: Tensor, taps_y: Tensor) -> Tensor:
    """[H,W] filtered along both axes, the border repeated."""
    reach = len(taps_x) // 2
    padded = pad(plane[None, None], (reach, reach, reach, reach), mode="replicate")
    return conv2d(conv2d(padded, taps_x.view(1, 1, 1, -1)), taps_y.view(1, 1, -1, 1))[0, 0]


def _seen(opponent: Tensor, pixels_per_degree: float) -> Tensor:
    """[3,H,W] XYZ of what is left after the eye's contrast sensitivity."""
    reach = math.ceil(3 * math.sqrt(0.04 / (2 * math.pi**2)) * pixels_per_degree)
    places = torch.arange(-reach, reach + 1) / pixels_per_degree
    planes = []
    for plane, parts in zip(
        opponent, (((1, 0.0047),), ((1, 0.0053),), ((34.1, 0.04), (13.5, 0.025))), strict=True
    ):
        # A sum of Gaussians is not separable, its parts are.
        total, filtered = 0.0, torch.zeros_like(plane)
        for amplitude, b in parts:
            taps = torch.exp(-(math.pi**2) * places.square() / b)
            scale = amplitude * math.sqrt(math.pi / b)
            total += scale * float(taps.sum()) ** 2
            filtered += scale * _blurred(plane, taps, taps)
        planes.append(filtered / total)
    y = (planes[0] + 16) / 116
    xyz = torch.stack((planes[1] / 500 + y, y, y - planes[2] / 200)) * _white(opponent)
    rgb = torch.einsum(
        "ij,jhw->ihw", torch.linalg.inv(opponent.new_tensor(_XYZ_FROM_RGB)), xyz
    ).clamp(0, 1)
    return _xyz(rgb)


def _hunt_lab(xyz: Tensor) -> Tensor:
    """[3,H,W] L*a*b*, colourfulness reduced in the dark (Hunt's effect)."""
    ratio = xyz / _white(xyz)
    limit = 6 / 29
    curved = torch.where(
        ratio > limit**3, ratio.clamp_min(1e-9) ** (1 / 3), ratio / (3 * limit**2) + 4 / 29
    )
    x, y, z = curved
    light = 116 * y - 16
    return torch.stack((light, 0.01 * light * 500 * (x - y), 0.01 * light * 200 * (y - z)))


def _hyab(first: Tensor, second: Tensor) -> Tensor:
    """[H,W] distance of colours: city-block between light and colour."""
    light, a, b = first - second
    return light.abs() + (a.square() + b.square()).sqrt()


def _features(opponent: Tensor, pixels_per_degree: float) -> tuple[Tensor, Tensor]:
    """[H,W] strength of edges and of points in the achromatic plane."""
    plane = (opponent[0] + 16) / 116
    deviation = 0.5 * 0.082 * pixels_per_degree
    reach = math.ceil(3 * deviation)
    places = torch.arange(-reach, reach + 1, dtype=plane.dtype)
    smooth = torch.exp(-places.square() / (2 * deviation**2))
    strengths = []
    for shape in (-places * smooth, (places.square() / deviation**2 - 1) * smooth):
        # Scaled in two dimensions, as the paper has it: what is above 0 sums to 1, the rest to -1.
        whole = shape[None, :] * smooth[:, None]
        positive, negative = whole.clamp_min(0).sum(), -whole.clamp_max(0).sum()
        taps = torch.where(shape > 0, shape / positive, shape / negative)
        x, y = _blurred(plane, taps, smooth), _blurred(plane, smooth, taps)
        strengths.append((x.square() + y.square()).sqrt())
    return strengths[0], strengths[1]
