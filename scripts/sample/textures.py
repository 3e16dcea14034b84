"""Procedural textures of the sample scene.

Every function returns an sRGB image, float64 [H, W, 3] in 0..1, row 0 at the top. Detail is kept at
a few pixels of the finished photos and more, so that features are found but nothing aliases.
`rng` is a numpy Generator; the same generator state gives the same texture.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Rgb = tuple[float, float, float]


def rgb(code: str) -> np.ndarray:
    """Return a colour like "c0392b" as float64 [3] in 0..1."""
    return np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)]) / 255.0


def noise(rng, height: int, width: int, cell_y: float, cell_x: float, octaves: int = 4):
    """Return multi-octave value noise [H, W] with mean 0 and about unit range.

    Args:
        cell_y, cell_x: size in pixels of the coarsest octave's cells; each octave halves it.
    """
    total = np.zeros((height, width))
    weight = 1.0
    for _ in range(octaves):
        rows, cols = max(2, round(height / cell_y) + 1), max(2, round(width / cell_x) + 1)
        grid = Image.fromarray(rng.uniform(-1, 1, (rows, cols)).astype(np.float32))
        total += weight * np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC))
        weight *= 0.5
        cell_y, cell_x = max(2.0, cell_y / 2), max(2.0, cell_x / 2)
    return total / 1.6


def mix(a, b, t):
    """Blend colours or images: a where t is 0, b where t is 1 (t [H, W])."""
    t = np.clip(t, 0, 1)[..., None]
    return np.asarray(a) * (1 - t) + np.asarray(b) * t


def grid(height: int, width: int):
    """Return pixel-centre coordinates (u, v) in 0..1, v downward."""
    return np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)


def edge(distance, softness):
    """Return 1 inside (distance < 0) and 0 outside, with a soft border of the given width."""
    return np.clip(0.5 - distance / softness, 0, 1)


def stain(rng, image, amount=0.12, cell=60):
    """Multiply an image by broad and fine noise, as wear and dirt do."""
    h, w = image.shape[:2]
    factor = 1 + amount * noise(rng, h, w, cell, cell, 5)
    return np.clip(image * factor[..., None], 0, 1)


def wood(rng, height, width, dark="6b3f22", light="c58a52", planks=6, gap=0.012):
    """Planks that run along u, each with its own tone, stretched grain and knots."""
    u, v = grid(height, width)
    row = np.floor(v * planks).astype(int)
    shift = rng.uniform(0, 1, planks)
    warp = noise(rng, height, width, height / planks / 1.5, width / 4, 3)
    grain = noise(rng, height, width, 14, width / 5, 3)
    fine = noise(rng, height, width, 6, width / 14, 2)
    rings = np.sin(2 * np.pi * (v * planks * 2.6 + 1.3 * warp + 3 * shift[row]))
    pores = noise(rng, height, width, 5, 26, 2)
    tone = 0.55 + 0.26 * rings * (0.6 + 0.4 * warp) + 0.36 * grain + 0.24 * fine + 0.2 * pores
    tone += (shift[row] - 0.5) * 0.45
    image = mix(rgb(dark), rgb(light), tone)
    for _ in range(planks * 2):
        ku, kv = rng.uniform(0, 1), (rng.integers(planks) + rng.uniform(0.3, 0.7)) / planks
        r = np.hypot((u - ku) * width, (v - kv) * height * 1.6) / rng.uniform(8, 16)
        ring = np.exp(-r) * (0.75 + 0.25 * np.cos(r * 4))
        image = mix(image, rgb(dark) * 0.55, ring)
    seam = np.abs((v * planks + 0.5) % 1 - 0.5) / planks
    return mix(image, rgb("20120a"), 0.85 * edge(seam - gap / planks * 2, 0.6 / height * 4))


def bricks(rng, height, width, rows=30, cols=16):
    """A warm brick wall in running bond with uneven bricks and pale mortar."""
    u, v = grid(height, width)
    wobble = noise(rng, height, width, 40, 40, 3) * 0.0016
    v2 = np.clip(v + wobble, 0, 0.9999)
    row = np.floor(v2 * rows).astype(int)
    x = (u + wobble) * cols + 0.5 * (row % 2)
    col = np.floor(x).astype(int)
    tones = np.array([rgb(c) for c in ("a9573b", "8f4530", "bd6e4b", "99604a", "c98a63", "7c4437")])
    pick = rng.integers(0, len(tones), (rows, cols + 2))
    level = rng.uniform(0.82, 1.15, (rows, cols + 2))
    image = tones[pick[row, col % (cols + 2)]] * level[row, col % (cols + 2)][..., None]
    image = stain(rng, image, 0.26, 26)
    dx = np.abs((x % 1) - 0.5) * width / cols
    dy = np.abs((v2 * rows % 1) - 0.5) * height / rows
    inside = np.maximum(dx - width / cols / 2, dy - height / rows / 2) + 2.6
    mortar = stain(rng, np.broadcast_to(rgb("d3c7b2"), image.shape), 0.16, 16)
    return np.clip(mix(image, mortar, 1 - edge(inside, 2.0)), 0, 1)


def cement_tiles(rng, height, width, count=11):
    """A floor of square patterned tiles: rings, petals and corner arcs in three glazes."""
    u, v = grid(height, width)
    x, y = u * count, v * count
    i, j = np.floor(x).astype(int), np.floor(y).astype(int)
    a, b = x % 1 - 0.5, y % 1 - 0.5
    soft = count / width * 3
    corner = np.hypot(0.5 - np.abs(a), 0.5 - np.abs(b))
    r, angle = np.hypot(a, b), np.arctan2(b, a)
    image = np.broadcast_to(rgb("e5d8c0"), (height, width, 3))
    image = mix(image, rgb("3d6b78"), edge(np.abs(corner - 0.34) - 0.055, soft))
    image = mix(image, rgb("c77f4a"), edge(corner - 0.17, soft))
    image = mix(image, rgb("2d4956"), edge(r - 0.13 - 0.10 * np.abs(np.cos(2 * angle)), soft))
    image = mix(image, rgb("e3b565"), edge(r - 0.075, soft))
    level = rng.uniform(0.84, 1.1, (count + 1, count + 1))[j, i]
    image = stain(rng, image * level[..., None], 0.24, 50)
    joint = 0.5 - np.maximum(np.abs(a), np.abs(b))
    return mix(image, rgb("8d8372"), edge(joint - 0.015, soft))


def kilim(rng, height, width, palette=("8e2f2b", "e2c48d", "27485a", "d98d3f", "f0e6d0"), bands=9):
    """A woven cloth: bands of diamonds, zigzags and teeth across u, with a border and weave."""
    u, v = grid(height, width)
    colours = [rgb(c) for c in palette]
    image = np.broadcast_to(colours[0], (height, width, 3)).copy()
    band = np.minimum((u * bands).astype(int), bands - 1)
    local = u * bands % 1
    soft = 0.05
    for k in range(bands):
        here = band == k
        base, ink, dot = (colours[(k + s) % len(colours)] for s in (0, 1, 2))
        repeat = (4, 6, 3)[k % 3]
        t = np.abs((v * repeat + 0.25 * (k % 2)) % 1 - 0.5) * 2
        s = np.abs(local - 0.5) * 2
        if k % 3 == 0:
            field = mix(base, ink, edge(s + t - 0.9, soft))
            field = mix(field, dot, edge(s + t - 0.55, soft))
            field = mix(field, base, edge(s + t - 0.25, soft))
        elif k % 3 == 1:
            zig = np.abs(local - 0.25 - 0.5 * t)
            field = mix(base, ink, edge(zig - 0.16, soft))
            field = mix(field, dot, edge(zig - 0.06, soft))
        else:
            field = mix(base, ink, edge(np.maximum(s, t) - 0.66, soft))
            field = mix(field, dot, edge(np.hypot(s, t) - 0.42, soft))
        field = mix(field, colours[(k + 3) % len(colours)], edge(0.94 - s, soft))
        image[here] = field[here]
    border = np.minimum(np.minimum(u, 1 - u) * width, np.minimum(v, 1 - v) * height) / height
    image = mix(image, colours[2], edge(border - 0.06, 0.01))
    image = mix(image, colours[1], edge(np.abs(border - 0.035) - 0.010, 0.01))
    weave = noise(rng, height, width, 8, 5, 2)
    return np.clip(image * (1 + 0.14 * weave[..., None]), 0, 1)


def wallpaper(rng, height, width, base="2f5d62", ink="e9d8a6", accent="d58b52", columns=9):
    """Sprigs of leaves and round flowers on coloured paper, every second column shifted."""
    image = np.broadcast_to(rgb(base), (height, width, 3))
    image = stain(rng, image, 0.18, 40)
    cell = width / columns
    u, v = grid(height, width)
    x, y = u * columns, v * height / cell
    col = np.floor(x)
    a, b = (x % 1 - 0.5), ((y + 0.5 * (col % 2)) % 1 - 0.5)
    soft = 2.2 / cell
    image = mix(image, rgb(ink), edge(np.abs(a - 0.05 * np.sin(6.28 * b)) - 0.012, soft))
    for k in range(6):
        oy = -0.36 + 0.13 * k
        side = 1 if k % 2 else -1
        dx, dy = (a - side * 0.14), (b - oy)
        p, q = dx * 0.8 - side * dy * 0.6, side * dx * 0.6 + dy * 0.8
        image = mix(image, rgb(ink), edge(np.hypot(p / 0.12, q / 0.045) - 1, soft * 12))
    r, angle = np.hypot(a, b - 0.42), np.arctan2(b - 0.42, a)
    image = mix(image, rgb(accent), edge(r - 0.085 - 0.03 * np.cos(5 * angle), soft))
    image = mix(image, rgb(ink), edge(r - 0.035, soft))
    return stain(rng, image, 0.10, 90)


def boards(rng, height, width, base="7f9a8c", count=18):
    """Vertical painted boards with worn paint, each with its own tone, and dark gaps."""
    u, v = grid(height, width)
    col = np.minimum((u * count).astype(int), count - 1)
    image = rgb(base) * rng.uniform(0.8, 1.15, (count, 1))[col]
    worn = noise(rng, height, width, 90, 16, 4) + 0.4 * noise(rng, height, width, 24, 6, 2)
    image = mix(image, rgb("c9b48e"), edge(0.52 - worn, 0.12))
    image = image * (1 + 0.14 * noise(rng, height, width, 120, 8, 3))[..., None]
    gap = np.abs((u * count + 0.5) % 1 - 0.5) * width / count
    image = mix(np.clip(image, 0, 1), rgb("2a2a26"), edge(gap - 2.0, 1.5))
    nails = np.hypot((u * count % 1 - 0.5) * width / count, (v * 6 % 1 - 0.5) * height / 6)
    return mix(image, rgb("3a332c"), edge(nails - 3.5, 2))


def glaze(rng, height, width, base="e9e1cf", specks="5b4636", bands=(), motif=None, density=1.0):
    """Speckled ceramic glaze with optional bands (v from, v to, colour) and a painted motif.

    Args:
        motif: (v centre, v half height, count around, colour) draws a row of petals.
    """
    u, v = grid(height, width)
    image = np.broadcast_to(rgb(base), (height, width, 3))
    image = stain(rng, image, 0.12, 60)
    wobble = 0.004 * noise(rng, height, width, 40, 40, 2)
    for low, high, colour in bands:
        centre, half = (low + high) / 2, (high - low) / 2
        image = mix(image, rgb(colour), edge(np.abs(v + wobble - centre) - half, 4 / height))
    if motif is not None:
        centre, half, count, colour = motif
        t, s = (u * count % 1 - 0.5) * 2, (v + wobble - centre) / half
        image = mix(image, rgb(colour), edge(np.abs(t) ** 1.3 + np.abs(s) - 0.85, 0.12))
        image = mix(image, rgb(base), edge(np.abs(t) ** 1.3 + np.abs(s) - 0.45, 0.12))
        image = mix(image, rgb(colour), edge(np.hypot(t, s) - 0.2, 0.1))
    dots = noise(rng, height, width, 9, 9, 1) + 0.35 * noise(rng, height, width, 60, 60, 2)
    image = mix(image, rgb(specks), 0.8 * edge(0.62 / density - dots, 0.12))
    return np.clip(image, 0, 1)


def marble(rng, height, width, base="f1ebe0", vein="34495e", second="b5651d"):
    """Veined stone: sharp ridges of warped noise in two colours."""
    warp = noise(rng, height, width, height / 3, width / 5, 5)
    other = noise(rng, height, width, height / 4, width / 7, 4)
    image = mix(rgb(base), rgb(vein), np.exp(-np.abs(warp) * 9))
    image = mix(image, rgb(second), 0.8 * np.exp(-np.abs(other - 0.15) * 12))
    return stain(rng, image, 0.12, 30)


def stripes(rng, height, width, palette=("c0392b", "f4ead5", "2e6f8e", "e8b04a"), count=12):
    """Meridian stripes for balls and candles, slightly twisted."""
    u, v = grid(height, width)
    k = (u + 0.12 * v) * count
    colours = np.array([rgb(c) for c in palette])
    image = colours[np.floor(k).astype(int) % len(palette)]
    image = mix(image, rgb("2b2320"), edge(np.abs(k % 1 - 0.5) * -1 + 0.46, 0.05))
    return stain(rng, image, 0.16, 24)


def metal(rng, height, width, base, patina):
    """Hammered metal: cells of slightly different reflectance and spots of patina."""
    spots = noise(rng, height, width, 26, 26, 3)
    image = rgb(base) * (1 + 0.16 * noise(rng, height, width, 12, 12, 2))[..., None]
    return np.clip(mix(image, rgb(patina), edge(0.35 - spots, 0.35)), 0, 1)


def peel(rng, height, width, base="f0912e", second="e0641a"):
    """Citrus peel: soft mottling and small pits."""
    image = mix(rgb(base), rgb(second), 0.5 + 0.6 * noise(rng, height, width, 50, 50, 3))
    pits = noise(rng, height, width, 7, 7, 1)
    return np.clip(image * (1 - 0.28 * edge(0.35 - pits, 0.3))[..., None], 0, 1)


def leaf(rng, height, width, base="3f7d4a", vein="a9c77f"):
    """A leaf that grows along v (stem at the bottom): mid rib, side veins, mottling."""
    u, v = grid(height, width)
    side = np.abs(u - 0.5)
    image = rgb(base) * (1 + 0.28 * noise(rng, height, width, 22, 22, 3))[..., None]
    ribs = np.abs((v + side * 0.9) * 7 % 1 - 0.5)
    image = mix(image, rgb(vein), 0.7 * edge(ribs - 0.07, 0.08))
    return np.clip(mix(image, rgb(vein), edge(side - 0.025, 0.02)), 0, 1)


def pages(rng, height, width):
    """The cut edge of a book's pages: bundles of slightly different paper."""
    lines = noise(rng, height, width, 5, width, 2)
    return np.clip(rgb("e8dcc2") * (0.92 + 0.18 * lines)[..., None], 0, 1)


def soil(rng, height, width):
    """Potting soil: crumbs of brown with a few pale stones."""
    crumbs = noise(rng, height, width, 16, 16, 3)
    image = mix(rgb("3b2a1e"), rgb("6f5238"), 0.5 + crumbs)
    return mix(image, rgb("b8a98e"), edge(0.7 - crumbs, 0.1))


def _text_layer(size, lines):
    """Draw lines of text; returns coverage [H, W] 0..1. Each line: (text, x, y, height, stroke)."""
    scale = 3
    layer = Image.new("L", (size[0] * scale, size[1] * scale), 0)
    draw = ImageDraw.Draw(layer)
    for text, x, y, points, stroke in lines:
        draw.text(
            (x * scale, y * scale), text, 255, ImageFont.load_default(points * scale),
            anchor="mm", stroke_width=round(stroke * scale),
        )  # fmt: skip
    return np.asarray(layer.resize(size, Image.Resampling.LANCZOS)) / 255.0


def sign(rng, height=384, width=860):
    """The painted board: SPLATKIT and a second line, cream on teal planks, gold lines."""
    u, v = grid(height, width)
    image = wood(rng, height, width, "123c45", "2a7480", planks=4, gap=0.01)
    border = np.minimum(np.minimum(u, 1 - u) * width, np.minimum(v, 1 - v) * height)
    image = mix(image, rgb("e0a84e"), edge(np.abs(border - 20) - 4, 2))
    image = mix(image, rgb("e0a84e"), edge(np.abs(border - 32) - 1.5, 2))
    big = _text_layer((width, height), [("SPLATKIT", width / 2, height * 0.42, 150, 5)])
    small = _text_layer(
        (width, height), [("photos in, splats out", width / 2, height * 0.77, 60, 1.2)]
    )
    shade = np.roll(big, (5, 5), (0, 1))
    chip = 1 - 0.35 * edge(0.72 - noise(rng, height, width, 26, 26, 4), 0.3)
    image = mix(image, rgb("0b2329"), shade * 0.8)
    image = mix(image, rgb("f6ead0"), big * chip)
    image = mix(image, rgb("f2c46d"), small)
    return stain(rng, image, 0.08, 60)


def cover(rng, height, width, base, ink, title, style):
    """A book cover: a frame, a pattern (0 rays, 1 circles, 2 diamonds) and a title."""
    u, v = grid(height, width)
    x, y = (u - 0.5) * width / height, v - 0.5
    image = np.broadcast_to(rgb(base), (height, width, 3))
    r, angle = np.hypot(x, y), np.arctan2(y, x)
    pattern = (
        np.cos(angle * 14) * edge(r - 0.42, 0.01),
        np.cos(r * 60),
        np.cos(x * 38) + np.cos(y * 38) - 0.4,
    )[style]
    image = mix(image, rgb(ink), 0.85 * edge(0.3 - pattern, 0.3))
    border = np.minimum(np.minimum(u, 1 - u) * width, np.minimum(v, 1 - v) * height) / height
    image = mix(image, rgb(base), edge(border - 0.09, 0.01))
    image = mix(image, rgb(ink), edge(np.abs(border - 0.06) - 0.012, 0.01))
    plate = np.maximum(np.abs(x) - 0.42, np.abs(y) - 0.12)
    image = mix(image, rgb(base) * 0.8, edge(plate, 0.01))
    text = _text_layer((width, height), [(title, width / 2, height / 2, height * 0.13, 1)])
    return stain(rng, mix(image, rgb("f5ecd8"), text), 0.14, 40)


def letter_faces(rng, letters, colours, cell=160):
    """A 3 x 2 atlas of block faces: a letter in a coloured frame on pale wood."""
    atlas = np.zeros((2 * cell, 3 * cell, 3))
    for k in range(6):
        face = wood(rng, cell, cell, "d9b986", "f0dcb4", planks=1, gap=0.0)
        u, v = grid(cell, cell)
        border = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v))
        ink = rgb(colours[k % len(colours)])
        face = mix(face, ink, edge(np.abs(border - 0.09) - 0.045, 0.02))
        text = _text_layer((cell, cell), [(letters[k], cell / 2, cell / 2, cell * 0.6, 4)])
        face = stain(rng, mix(face, ink, text), 0.12, 24)
        row, col = divmod(k, 3)
        atlas[row * cell : (row + 1) * cell, col * cell : (col + 1) * cell] = face
    return atlas


def picture(rng, height, width, kind):
    """A framed print: 0 hills at dusk, 1 overlapping discs, 2 a still life of vases."""
    u, v = grid(height, width)
    if kind == 0:
        image = mix(rgb("f4c46f"), rgb("d96f4f"), v * 1.2)
        image = mix(image, rgb("fbeec9"), edge(np.hypot(u - 0.66, (v - 0.34)) - 0.13, 0.01))
        for k, code in enumerate(("7d5a74", "4d5a78", "2f5561", "234047", "16292f")):
            line = noise(rng, 2, width, 2, width / (3 + k), 3)[0]
            image = mix(image, rgb(code), edge(0.42 + 0.12 * k + 0.09 * line[None] - v, 0.01))
    elif kind == 1:
        image = np.broadcast_to(rgb("efe4cd"), (height, width, 3))
        for _ in range(16):
            cu, cv, r = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9), rng.uniform(0.08, 0.22)
            code = ("c8553d", "2e6f8e", "e3a73f", "3f7d4a", "d98d3f")[rng.integers(5)]
            ring = np.hypot(u - cu, (v - cv) * height / width)
            image = mix(image, rgb(code), 0.85 * edge(ring - r, 0.01) * (np.sin(ring * 160) > -0.4))
    else:
        image = mix(rgb("d8c3a0"), rgb("8aa39b"), edge(v - 0.6, 0.01))
        for k in range(7):
            cu, r = 0.1 + 0.13 * k, rng.uniform(0.05, 0.09)
            code = ("a2492f", "28505c", "d79b3c", "5d6f3a")[k % 4]
            neck = r * (0.45 + 0.55 * np.sin(np.clip((v - 0.3) * 6, 0, 3.1)))
            image = mix(image, rgb(code), edge(np.maximum(np.abs(u - cu) - neck, 0.3 - v), 0.01)
                        * (v < 0.8))  # fmt: skip
    return stain(rng, image, 0.14, 30)
