"""Triangle shapes of the sample scene, in a local frame: metres, x right, y up, z to the viewer.

Texture coordinates have v up (the image's bottom row is v = 0). Triangles are counter-clockwise
seen from outside.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Shape:
    """Triangles with per-vertex normals and texture coordinates."""

    points: np.ndarray
    """[V, 3] metres."""
    normals: np.ndarray
    """[V, 3] unit."""
    uvs: np.ndarray
    """[V, 2]."""
    faces: np.ndarray
    """[F, 3] int."""

    def moved(self, x=0.0, y=0.0, z=0.0, turn=0.0, tilt=0.0, roll=0.0) -> "Shape":
        """Return the shape rolled about z, tilted about x, turned about y (degrees), then moved."""
        matrix = rotation(1, turn) @ rotation(0, tilt) @ rotation(2, roll)
        points, normals = self.points @ matrix.T + (x, y, z), self.normals @ matrix.T
        return Shape(points, normals, self.uvs, self.faces)


def rotation(axis: int, degrees: float) -> np.ndarray:
    """Return the right-handed rotation [3, 3] about coordinate axis 0, 1 or 2."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = ((1, 2), (2, 0), (0, 1))[axis]
    matrix = np.eye(3)
    matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = c, -s, s, c
    return matrix


def join(shapes) -> Shape:
    """Return one shape made of several."""
    offsets = np.cumsum([0] + [len(s.points) for s in shapes[:-1]])
    return Shape(
        np.concatenate([s.points for s in shapes]),
        np.concatenate([s.normals for s in shapes]),
        np.concatenate([s.uvs for s in shapes]),
        np.concatenate([s.faces + o for s, o in zip(shapes, offsets, strict=True)]),
    )


def surface(points: np.ndarray, uvs: np.ndarray) -> Shape:
    """Return a smooth grid [R, C, 3] as triangles; outside is (d/dcolumn) x (d/drow)."""
    rows, cols = points.shape[:2]
    normals = np.cross(_slope(points, 1), _slope(points, 0))
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    normals = normals / np.maximum(length, 1e-12)
    index = np.arange(rows * cols).reshape(rows, cols)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)]).reshape(-1, 3)
    return Shape(points.reshape(-1, 3), normals.reshape(-1, 3), uvs.reshape(-1, 2), faces)


def _slope(points, axis):
    """Return central differences along an axis; where the grid closes, across the seam."""
    first, last = points.take(0, axis), points.take(-1, axis)
    if np.allclose(first, last):
        inner = np.take(points, range(points.shape[axis] - 1), axis)
        slope = np.roll(inner, -1, axis) - np.roll(inner, 1, axis)
        return np.concatenate([slope, np.take(slope, [0], axis)], axis)
    return np.gradient(points, axis=axis)


def smooth(knots, count: int) -> np.ndarray:
    """Return `count` points of the Catmull-Rom curve through the knots [K, D]."""
    knots = np.asarray(knots, float)
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    t = np.linspace(0, len(knots) - 1, count)
    k = np.minimum(t.astype(int), len(knots) - 2)
    f = (t - k)[:, None]
    p0, p1, p2, p3 = (padded[k + n] for n in range(4))
    return 0.5 * (
        2 * p1 + (p2 - p0) * f + (2 * p0 - 5 * p1 + 4 * p2 - p3) * f**2
        + (3 * p1 - p0 - 3 * p2 + p3) * f**3
    )  # fmt: skip


def lathe(profile, rings=32, segments=48, repeat=1, curved=True) -> Shape:
    """Return a body of revolution about y. `profile` is (radius, height) from bottom to top."""
    profile = smooth(profile, rings) if curved else np.asarray(profile, float)
    radius = np.maximum(profile[:, 0], 1e-4)[:, None]
    angle = np.linspace(0, 2 * np.pi, segments + 1)[None]
    height = np.broadcast_to(profile[:, 1:], (len(profile), segments + 1))
    points = np.stack([radius * np.sin(angle), height, radius * np.cos(angle)], -1)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1))])
    v = np.broadcast_to((length / length[-1])[:, None], height.shape)
    u = np.broadcast_to(angle / (2 * np.pi) * repeat, height.shape)
    return surface(points, np.stack([u, v], -1))


def ball(radius, squash=1.0, rings=20, segments=36) -> Shape:
    """Return a sphere (or ellipsoid of revolution) about the origin."""
    t = np.linspace(-np.pi / 2, np.pi / 2, rings)
    profile = np.stack([radius * np.cos(t), radius * squash * np.sin(t)], -1)
    return lathe(profile, segments=segments, curved=False)


def tube(path, radii, count=16, segments=12) -> Shape:
    """Return a tube around the smooth curve through `path`, with radii along it."""
    centre = smooth(path, count)
    radius = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(radii)), radii)
    along = np.gradient(centre, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    side = np.cross(along, (0.21, 0.34, 0.92))
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(along, side)
    angle = np.linspace(0, 2 * np.pi, segments + 1)[None, :, None]
    ring = np.cos(angle) * side[:, None] + np.sin(angle) * up[:, None]
    points = centre[:, None] + ring * radius[:, None, None]
    u, v = np.meshgrid(np.linspace(0, 1, segments + 1), np.linspace(0, 1, count))
    return surface(points, np.stack([u, v], -1))


def panel(width, height) -> Shape:
    """Return a rectangle in the xy plane about the origin that faces +z."""
    x, y = np.array([-1, 1]) * width / 2, np.array([-1, 1]) * height / 2
    points = np.array([[[x[i], y[j], 0.0] for i in (0, 1)] for j in (0, 1)])
    return surface(points, np.array([[[0.0, 0], [1, 0]], [[0, 1], [1, 1]]]))


# Outward normal and the direction that is up in the face's texture: +x, -x, +y, -y, +z, -z.
_BOX = ((0, 1, 1), (0, -1, 1), (1, 1, 2), (1, -1, 2), (2, 1, 1), (2, -1, 1))


def box(width, height, depth, bevel=0.004, atlas=False) -> Shape:
    """Return a box about the origin with rounded-looking edges.

    Every face shows the whole texture, or with `atlas` its own cell of a 3 x 2 grid
    (+x -x +y in the upper row, -y +z -z in the lower).
    """
    half = np.array([width, height, depth]) / 2
    points, normals, uvs, faces = [], [], [], []

    def add(corners, corner_normals, corner_uvs):
        corners = np.array(corners)
        outward = np.cross(corners[1] - corners[0], corners[2] - corners[0])
        order = list(range(len(corners)))
        if outward @ corners.mean(0) < 0:
            order.reverse()
        start = sum(len(p) for p in points)
        points.append(corners[order])
        normals.append(np.array(corner_normals)[order])
        uvs.append(np.array(corner_uvs)[order])
        faces.extend([start, start + k, start + k + 1] for k in range(1, len(order) - 1))

    def corner(face, signs):
        axis, sign, _ = _BOX[face]
        inset = np.array(half) - bevel
        inset[axis] = half[axis]
        return inset * signs, np.eye(3)[axis] * sign

    def coordinate(face, signs):
        axis, sign, up_axis = _BOX[face]
        up = np.eye(3)[up_axis] * (-sign if axis == 1 else 1)
        right = np.cross(up, np.eye(3)[axis] * sign)
        u, v = 0.5 + 0.5 * right @ signs, 0.5 + 0.5 * up @ signs
        return ((face % 3 + u) / 3, (1 - face // 3 + v) / 2) if atlas else (u, v)

    signs = [np.array([i, j, k]) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]
    for face, (axis, sign, _) in enumerate(_BOX):
        b, c = (axis + 1) % 3, (axis + 2) % 3
        loop = []
        for s, t in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            each = np.zeros(3)
            each[[axis, b, c]] = sign, s, t
            loop.append(each)
        add(*zip(*[(*corner(face, s), coordinate(face, s)) for s in loop], strict=True))
    if bevel <= 0:
        return Shape(*(np.concatenate(a) for a in (points, normals, uvs)), np.array(faces))
    for one in range(6):
        for other in range(one + 1, 6):
            (a, sa, _), (b, sb, _) = _BOX[one], _BOX[other]
            if a == b:
                continue
            ends = [s for s in signs if s[a] == sa and s[b] == sb]
            loop = [(one, ends[0]), (one, ends[1]), (other, ends[1]), (other, ends[0])]
            add(*zip(*[(*corner(f, s), coordinate(one, s)) for f, s in loop], strict=True))
    for s in signs:
        near = [f for f, (a, sa, _) in enumerate(_BOX) if s[a] == sa]
        add(*zip(*[(*corner(f, s), coordinate(near[0], s)) for f in near], strict=True))
    return Shape(*(np.concatenate(a) for a in (points, normals, uvs)), np.array(faces))


def leaf(length, width, bend=0.5, fold=0.25, rows=7) -> Shape:
    """Return a leaf that starts at the origin and grows along +y, bending towards +z."""
    t = np.linspace(0, 1, rows)
    half = width / 2 * np.sin(np.pi * t**0.75) ** 0.8
    angle = bend * t
    y = np.cumsum(np.cos(angle)) * length / rows
    z = np.cumsum(np.sin(angle)) * length / rows
    s = np.array([-1, -0.5, 0, 0.5, 1])
    points = np.stack(
        [half[:, None] * s, np.broadcast_to(y[:, None], (rows, 5)),
         z[:, None] + fold * np.abs(s) * half[:, None]], -1,
    )  # fmt: skip
    u, v = np.meshgrid(0.5 + 0.5 * s, t)
    return surface(points, np.stack([u, v], -1))
