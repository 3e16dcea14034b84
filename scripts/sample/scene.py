"""The sample scene: a round table with a small still life, in a courtyard with four walls.

Parts are placed in a local frame (metres, x right, y up, z towards the viewer; the table top is
y = 0) and handed out in the world frame of the photo set: x right, y down, z forward.
"""

from dataclasses import dataclass, field

import numpy as np

from sample import shapes as sh
from sample import textures as tx

WORLD_FROM_LOCAL = np.diag([1.0, -1.0, -1.0])
FLOOR = -0.74
WALL = 2.3
SIGN_SIZE = (0.56, 0.25)
SIGN_PLACE = {"y": 0.185, "z": -0.26, "tilt": -8.0, "turn": 4.0}


@dataclass(frozen=True)
class Part:
    """A shape with its material."""

    shape: sh.Shape
    texture: np.ndarray
    """sRGB image [H, W, 3] in 0..1."""
    kind: str = "matte"
    """matte, glossy (dielectric coat over the texture) or metal (texture is its reflectance)."""
    roughness: float = 0.25

    def world(self) -> tuple[np.ndarray, np.ndarray]:
        """Return points and normals [V, 3] in the world frame."""
        return self.shape.points @ WORLD_FROM_LOCAL, self.shape.normals @ WORLD_FROM_LOCAL


@dataclass
class _Builder:
    seed: int
    parts: list[Part] = field(default_factory=list)

    def rng(self):
        """Return a fresh generator, so that editing one part leaves the others' texture alone."""
        return np.random.default_rng((self.seed, len(self.parts)))

    def add(self, shape, texture, kind="matte", roughness=0.25):
        self.parts.append(Part(shape, texture, kind, roughness))


def sign_corners() -> np.ndarray:
    """Return the sign board's corners [4, 3] in the world frame, as read: TL, TR, BR, BL."""
    face = sh.box(*SIGN_SIZE, 0.018).moved(**SIGN_PLACE)
    centre = np.array([0.0, SIGN_PLACE["y"], SIGN_PLACE["z"]])
    front = sh.panel(*SIGN_SIZE).moved(z=0.009).moved(**SIGN_PLACE)
    if not np.allclose(face.points.mean(0), centre, atol=1e-3):
        raise ValueError("the sign board is not where SIGN_PLACE says")
    return front.points[[2, 3, 1, 0]] @ WORLD_FROM_LOCAL


def build(seed: int) -> list[Part]:
    """Return every visible part of the scene, with textures made from `seed`."""
    b = _Builder(seed)
    _room(b)
    _background(b)
    _table(b)
    _sign(b)
    _pottery(b)
    _books_and_blocks(b)
    return b.parts


def _room(b):
    size, mid = 2 * WALL, (FLOOR + 2.3) / 2
    tall = 2.3 - FLOOR
    wall = sh.panel(size, tall)
    b.add(sh.panel(size, size).moved(y=FLOOR, tilt=-90), tx.cement_tiles(b.rng(), 2048, 2048))
    b.add(wall.moved(z=-WALL, y=mid), tx.bricks(b.rng(), 1200, 1800))
    paper = tx.wallpaper(b.rng(), 1200, 1800)
    b.add(wall.moved(x=-WALL, y=mid, turn=90), paper)
    b.add(wall.moved(x=WALL, y=mid, turn=-90), tx.boards(b.rng(), 1200, 1800))
    b.add(wall.moved(z=WALL, y=mid, turn=180), tx.bricks(b.rng(), 1200, 1800))
    skirting = tx.wood(b.rng(), 96, 2400, "3a2417", "7c5234", planks=1)
    for turn in (0, 90, 180, 270):
        board = sh.box(size - 0.05, 0.16, 0.03).moved(z=-WALL + 0.015)
        b.add(board.moved(y=FLOOR + 0.08, turn=turn), skirting)
    rug = ("27485a", "e2c48d", "8e2f2b", "f0e6d0", "5d7a5c")
    b.add(
        sh.box(2.5, 0.012, 1.9, 0.003).moved(y=FLOOR + 0.006, turn=-6),
        tx.kilim(b.rng(), 900, 1200, rug, bands=12),
    )


def _background(b):
    oak = tx.wood(b.rng(), 300, 1000, "5a3a22", "b07d4c", planks=3)
    bench = [sh.box(1.7, 0.05, 0.36).moved(y=-0.24)]
    bench += [sh.box(0.06, 0.5, 0.32).moved(x=x, y=-0.49) for x in (-0.75, 0.75)]
    bench += [sh.box(1.5, 0.03, 0.30).moved(y=-0.58)]
    for where in ({"z": -WALL + 0.24, "x": -0.15}, {"x": -WALL + 0.24, "z": -0.2, "turn": 90}):
        b.add(sh.join(bench).moved(**where), oak)
    titles = ["ATLAS", "FERNS", "RAYS", "SALT", "TIDES", "MOSS", "KILN", "LOOM", "SUN", "OAK"]
    covers = [("b5482f", "f0d9a8"), ("2f6470", "e8c87c"), ("d8a23a", "5b2a1e"),
              ("51663d", "ead9b0"), ("6b3d5c", "f0cfa0")]  # fmt: skip
    order = np.random.default_rng((b.seed, 1000))
    for where in ({"z": -WALL + 0.24, "x": -0.15}, {"x": -WALL + 0.24, "z": -0.2, "turn": 90}):
        x = -0.66
        for k in range(10):
            tall, thick = order.uniform(0.24, 0.36), order.uniform(0.045, 0.075)
            base, ink = covers[k % 5]
            picture = tx.cover(b.rng(), 240, 180, base, ink, titles[k], k % 3)
            book = sh.box(thick, tall, 0.22, 0.005).moved(x=x + thick / 2, y=-0.565 + tall / 2)
            if k in (3, 7):
                x += 0.05
            x += thick + 0.008
            b.add(book.moved(**where), picture)
        jar = sh.lathe([(0.0, 0), (0.10, 0.01), (0.15, 0.14), (0.13, 0.27), (0.07, 0.33),
                        (0.085, 0.37)])  # fmt: skip
        bands = ((0.12, 0.2, "8a3b2a"), (0.68, 0.74, "8a3b2a"))
        glaze = tx.glaze(
            b.rng(), 400, 800, "d9c9a3", "5b4636", bands, (0.45, 0.14, 10, "28505c"), 1.3
        )
        b.add(jar.moved(x=-0.5, y=-0.215).moved(**where), glaze, "glossy", 0.3)
        crate = tx.wood(b.rng(), 200, 300, "7a5a35", "d2a869", planks=4, gap=0.03)
        b.add(sh.box(0.36, 0.24, 0.26).moved(x=0.08, y=-0.095, turn=8).moved(**where), crate)
        pot = tx.glaze(b.rng(), 300, 600, "b6603c", "6a2f1d", ((0.7, 0.8, "e4c79a"),), density=1.2)
        _potted(b, {"x": 0.58, "y": -0.215}, 0.11, 0.20, 11, 0.42, pot, where)
    frame = tx.wood(b.rng(), 64, 512, "2b1c12", "6d4a2c", planks=1)
    # Kind, width, height, wall (90: left, 0: back, -90: right), position along it, height.
    places = [
        (0, 0.72, 0.58, 0, -1.15, 0.62), (1, 0.60, 0.74, 0, 1.35, 0.48),
        (2, 0.86, 0.60, 0, 0.35, 0.78), (1, 0.62, 0.62, 90, 0.95, 0.70),
        (0, 0.86, 0.60, 90, -0.35, 0.72), (2, 0.70, 0.56, -90, -1.2, 0.55),
        (0, 0.58, 0.74, -90, -0.1, 0.45), (1, 0.8, 0.6, -90, 1.1, 0.55),
        (2, 0.8, 0.6, 90, -1.5, 0.55),
    ]  # fmt: skip
    for kind, wide, high, wall, along, y in places:
        where = {"x": along, "y": y, "z": -WALL}
        art = tx.picture(b.rng(), round(high * 600), round(wide * 600), kind)
        hung = sh.panel(wide, high).moved(z=0.02).moved(**where).moved(turn=wall)
        b.add(hung, art)
        bars = [sh.box(wide + 0.08, 0.04, 0.04).moved(y=s * (high / 2 + 0.02)) for s in (-1, 1)]
        bars += [sh.box(0.04, high, 0.04).moved(x=s * (wide / 2 + 0.02)) for s in (-1, 1)]
        b.add(sh.join(bars).moved(z=0.02).moved(**where).moved(turn=wall), frame)
    planter = (((0.3, 0.42, "e9d9b5"),), (0.66, 0.14, 12, "e9d9b5"))
    corners = (("2e5f6b", -1.75, -1.75), ("a5502f", 1.7, -1.7), ("2e5f6b", 1.75, 1.75),
               ("a5502f", -1.8, 1.5))  # fmt: skip
    for base, x, z in corners:
        pot = tx.glaze(b.rng(), 400, 800, base, "2a2420", planter[0], planter[1], 1.2)
        _potted(b, {"x": x, "y": FLOOR, "z": z}, 0.23, 0.42, 26, 0.75, pot, {})

    chest = tx.wood(b.rng(), 300, 500, "5d3c24", "bd8a55", planks=4, gap=0.02)
    b.add(sh.box(0.5, 0.38, 0.9, 0.01).moved(x=2.0, y=FLOOR + 0.19, z=0.1, turn=3), chest)
    bands = ((0.2, 0.24, "f0e0bd"), (0.6, 0.64, "f0e0bd"))
    amber = tx.glaze(b.rng(), 400, 800, "c79a4a", "2a2420", bands, (0.42, 0.12, 12, "7a3420"), 1.3)
    urn = sh.lathe([(0.0, 0), (0.08, 0.01), (0.13, 0.12), (0.10, 0.24), (0.05, 0.28), (0.07, 0.32)])
    b.add(urn.moved(x=2.0, y=-0.36, z=-0.1), amber, "glossy", 0.3)
    b.add(urn.moved(x=1.98, y=-0.36, z=0.32, turn=70), amber, "glossy", 0.3)


def _potted(b, place, radius, height, leaves, reach, glaze, where):
    """Add a pot of the given size with long leaves that rise and bend outward."""
    profile = [(0.0, 0), (0.62, 0.005), (0.78, 0.3), (0.97, 0.8), (1.0, 0.96), (0.97, 1.0),
               (0.9, 0.98), (0.88, 0.9)]  # fmt: skip
    pot = sh.lathe([(r * radius, y * height) for r, y in profile])
    b.add(pot.moved(**place).moved(**where), glaze, "glossy", 0.35)
    earth = sh.lathe([(0.89 * radius, 0), (0.5 * radius, 0.02), (0.0, 0.03)], rings=6, segments=24)
    disc = sh.Shape(
        earth.points, earth.normals, earth.points[:, [0, 2]] / radius / 2 + 0.5, earth.faces
    )
    b.add(disc.moved(y=0.88 * height).moved(**place).moved(**where), tx.soil(b.rng(), 200, 200))
    rng = b.rng()
    blades = []
    for k in range(leaves):
        length = reach * rng.uniform(0.7, 1.0) * (0.65 + 0.35 * k / leaves)
        blade = sh.leaf(length, length * 0.27, bend=rng.uniform(0.5, 1.3))
        lean = 50 - 38 * k / leaves + rng.uniform(-6, 6)
        blades.append(blade.moved(tilt=lean).moved(z=0.15 * radius).moved(turn=137.5 * k))
    green = ("3f7d4a", "a9c77f") if leaves % 2 else ("2f6a4f", "cfd98a")
    foliage = sh.join(blades).moved(y=0.86 * height).moved(**place).moved(**where)
    b.add(foliage, tx.leaf(b.rng(), 256, 128, *green))


def _table(b):
    r = 0.62
    rim = [(0.0, -0.04), (r - 0.03, -0.04), (r - 0.006, -0.036), (r, -0.02), (r - 0.004, -0.004),
           (r - 0.014, 0.0), (r * 0.5, 0.0), (0.0, 0.0)]  # fmt: skip
    top = sh.lathe(rim, segments=128, curved=False)
    planar = top.points[:, [0, 2]] * (1, -1) / (2 * r + 0.04) + 0.5
    oak = tx.wood(b.rng(), 1024, 1024, "6e4122", "d9a063", planks=8)
    b.add(sh.Shape(top.points, top.normals, planar, top.faces), oak, "glossy", 0.32)
    leg = sh.lathe([(0.30, FLOOR), (0.30, FLOOR + 0.03), (0.12, FLOOR + 0.08), (0.06, FLOOR + 0.2),
                    (0.09, -0.35), (0.05, -0.2), (0.08, -0.1), (0.22, -0.045)],
                   rings=40)  # fmt: skip
    b.add(leg, tx.wood(b.rng(), 600, 400, "4a2a16", "9a6437", planks=2), "glossy", 0.3)
    cloth = sh.box(1.02, 0.005, 0.44, 0.002).moved(y=0.0025, z=0.03, turn=5)
    b.add(cloth, tx.kilim(b.rng(), 480, 1100))
    fringe = [
        sh.box(0.035, 0.004, 0.010, 0.001).moved(x=s * 0.526, y=0.002, z=-0.205 + 0.0186 * k)
        for s in (-1, 1) for k in range(23)
    ]  # fmt: skip
    b.add(sh.join(fringe).moved(z=0.03, turn=5), tx.pages(b.rng(), 32, 64))


def _sign(b):
    wide, high = SIGN_SIZE
    back = tx.wood(b.rng(), 300, 640, "5a3a22", "b98a58", planks=4)
    board = sh.box(wide, high, 0.018, 0.003)
    b.add(board.moved(**SIGN_PLACE), back)
    face = sh.panel(wide - 0.006, high - 0.006).moved(z=0.0093)
    b.add(face.moved(**SIGN_PLACE), tx.sign(b.rng()), "glossy", 0.4)
    post = tx.wood(b.rng(), 64, 300, "4a2c17", "a87444", planks=1)
    legs = [sh.box(0.036, 0.36, 0.024).moved(x=x, y=-0.005, z=-0.021) for x in (-0.2, 0.2)]
    b.add(sh.join(legs).moved(**SIGN_PLACE), post)
    feet = [sh.box(0.05, 0.022, 0.20).moved(x=x, y=0.011, z=-0.02) for x in (-0.2, 0.2)]
    place = {"z": SIGN_PLACE["z"], "turn": SIGN_PLACE["turn"]}
    b.add(sh.join(feet).moved(**place), post)


def _pottery(b):
    vase = sh.lathe([(0.0, 0), (0.05, 0.004), (0.085, 0.05), (0.098, 0.12), (0.075, 0.19),
                     (0.042, 0.235), (0.040, 0.26), (0.055, 0.28), (0.048, 0.276), (0.034, 0.25)],
                    rings=48, segments=64)  # fmt: skip
    bands = ((0.10, 0.13, "d9a441"), (0.18, 0.24, "1f4f5f"), (0.56, 0.60, "1f4f5f"),
             (0.66, 0.68, "d9a441"))  # fmt: skip
    blue = tx.glaze(b.rng(), 500, 1000, "efe6d2", "3b4a55", bands, (0.40, 0.13, 12, "1f4f5f"), 1.2)
    place = {"x": -0.38, "z": -0.16}
    b.add(vase.moved(**place), blue, "glossy", 0.16)
    rng = b.rng()
    stems, foliage = [], []
    for k in range(9):
        turn, lean = 40 * k + rng.uniform(-9, 9), rng.uniform(0.05, 0.17)
        top = rng.uniform(0.42, 0.6)
        path = np.array([[0, 0.2, 0], [0, 0.29, 0.03], [0, 0.5 * (0.29 + top), 0.5 * lean + 0.025],
                         [0, top, lean + 0.03]])  # fmt: skip
        stem = sh.tube(path, [0.004, 0.003, 0.002], segments=6)
        stems.append(stem.moved(turn=turn))
        curve = sh.smooth(path[1:], 9)
        for n, point in enumerate(curve[1:]):
            size = rng.uniform(0.058, 0.08) * (1.1 - 0.04 * n)
            each = sh.leaf(size, size * 0.62, bend=0.7).moved(tilt=rng.uniform(35, 65))
            each = each.moved(turn=137.5 * (n + k) + rng.uniform(-15, 15))
            foliage.append(each.moved(*point).moved(turn=turn))
    b.add(sh.join(stems).moved(**place), tx.soil(b.rng(), 64, 64))
    b.add(sh.join(foliage).moved(**place), tx.leaf(b.rng(), 128, 80, "5d8f63", "d4e0a8"))

    turquoise = {"bands": ((0.42, 0.46, "f3e7cc"), (0.50, 0.53, "7a3420")), "density": 1.25}
    glaze = tx.glaze(
        b.rng(), 400, 900, "2b8c8c", "0d3238", motif=(0.25, 0.1, 14, "f3e7cc"), **turquoise
    )
    pot = sh.lathe([(0.0, 0), (0.05, 0.003), (0.058, 0.008), (0.088, 0.045), (0.092, 0.075),
                    (0.072, 0.112), (0.045, 0.126), (0.040, 0.130)],
                   rings=40, segments=64)  # fmt: skip
    lid = sh.lathe([(0.046, 0.126), (0.044, 0.133), (0.022, 0.143), (0.009, 0.148), (0.008, 0.155),
                    (0.015, 0.163), (0.013, 0.172), (0.0, 0.176)], rings=28)  # fmt: skip
    spout = sh.tube([(0.07, 0.05, 0), (0.11, 0.062, 0), (0.135, 0.10, 0), (0.165, 0.128, 0)],
                    [0.026, 0.019, 0.013, 0.011])  # fmt: skip
    handle = sh.tube([(-0.075, 0.105, 0), (-0.12, 0.118, 0), (-0.145, 0.08, 0), (-0.12, 0.045, 0),
                      (-0.082, 0.038, 0)], [0.010, 0.009, 0.010], count=24)  # fmt: skip
    teapot = {"x": -0.24, "z": 0.15, "y": 0.005, "turn": 38}
    b.add(pot.moved(**teapot), glaze, "glossy", 0.14)
    plain = tx.glaze(b.rng(), 200, 300, "2b8c8c", "0d3238", ((0.4, 0.5, "f3e7cc"),), density=1.4)
    b.add(sh.join([lid, spout, handle]).moved(**teapot), plain, "glossy", 0.14)

    bowl = sh.lathe([(0.0, 0), (0.05, 0.002), (0.055, 0.012), (0.10, 0.04), (0.128, 0.075),
                     (0.130, 0.078), (0.124, 0.076), (0.09, 0.042), (0.04, 0.022), (0.0, 0.018)],
                    rings=48, segments=64)  # fmt: skip
    bands = ((0.30, 0.34, "a83e2c"), (0.46, 0.50, "a83e2c"))
    cream = tx.glaze(b.rng(), 400, 900, "f0e4c8", "7b5a3a", bands, (0.40, 0.05, 22, "1f4f5f"), 1.2)
    bowl_place = {"x": 0.26, "z": 0.13, "y": 0.005}
    b.add(bowl.moved(**bowl_place), cream, "glossy", 0.18)
    fruits = [(0.045, 0.058, 0.03, 0), (-0.045, 0.058, 0.028, 1), (0.0, 0.058, -0.052, 0),
              (0.0, 0.112, 0.004, 2)]  # fmt: skip
    skins = (("f59a32", "e8751f"), ("f3d24a", "dcae28"), ("d9482e", "a83222"))
    for x, y, z, skin in fruits:
        fruit = sh.ball(0.042, 0.94).moved(turn=60 * skin, tilt=25).moved(x=x, y=y, z=z)
        b.add(fruit.moved(**bowl_place), tx.peel(b.rng(), 200, 400, *skins[skin]), "glossy", 0.3)

    b.add(sh.ball(0.052, rings=32, segments=56).moved(x=0.03, y=0.057, z=0.05, tilt=30),
          tx.marble(b.rng(), 300, 600), "glossy", 0.12)  # fmt: skip
    b.add(sh.ball(0.034, rings=28, segments=48).moved(x=-0.105, y=0.034, z=0.325, tilt=50, turn=30),
          tx.stripes(b.rng(), 256, 512), "glossy", 0.12)  # fmt: skip

    stick = sh.lathe([(0.0, 0), (0.055, 0.002), (0.058, 0.012), (0.022, 0.03), (0.012, 0.06),
                      (0.022, 0.09), (0.011, 0.12), (0.014, 0.16), (0.036, 0.175), (0.034, 0.18),
                      (0.016, 0.178)], rings=56)  # fmt: skip
    brass = tx.metal(b.rng(), 300, 300, "e2b45c", "7a5a2c")
    candle_place = {"x": 0.40, "z": -0.36}
    b.add(stick.moved(**candle_place), brass, "metal", 0.28)
    candle = sh.lathe(
        [(0.015, 0.175), (0.0145, 0.25), (0.014, 0.315), (0.010, 0.322), (0.0, 0.323)]
    )
    wax = tx.stripes(b.rng(), 300, 128, ("f2e3c2", "b8442f", "f2e3c2", "d9a441"), 6)
    b.add(candle.moved(**candle_place), wax)
    _small_pottery(b)


def _small_pottery(b):
    """Add a cup on its saucer in front, a jug and a little plant behind the sign."""
    cup = sh.lathe([(0.0, 0.006), (0.026, 0.008), (0.03, 0.014), (0.042, 0.04), (0.045, 0.07),
                    (0.047, 0.074), (0.042, 0.072), (0.037, 0.045), (0.0, 0.03)],
                   rings=36)  # fmt: skip
    ear = sh.tube([(0.043, 0.058, 0), (0.066, 0.06, 0), (0.07, 0.04, 0), (0.04, 0.026, 0)], [0.005])
    saucer = sh.lathe([(0.0, 0.0), (0.04, 0.001), (0.072, 0.013), (0.076, 0.016), (0.07, 0.016),
                       (0.035, 0.007), (0.0, 0.006)], rings=28)  # fmt: skip
    ochre = {
        "bands": ((0.44, 0.47, "7a3420"),),
        "motif": (0.28, 0.11, 12, "7a3420"),
        "density": 1.2,
    }
    place = {"x": -0.335, "z": 0.37, "turn": -30}
    yolk = tx.glaze(b.rng(), 300, 800, "e3ab45", "4f3420", **ochre)
    b.add(sh.join([cup, ear]).moved(**place), yolk, "glossy", 0.16)
    rings = {"bands": ((0.30, 0.34, "7a3420"), (0.62, 0.66, "7a3420")), "density": 1.2}
    dish = tx.glaze(b.rng(), 300, 800, "efe0be", "6b4a30", **rings)
    b.add(saucer.moved(**place), dish, "glossy", 0.18)
    jug = sh.lathe([(0.0, 0), (0.04, 0.003), (0.062, 0.04), (0.056, 0.09), (0.034, 0.125),
                    (0.036, 0.15), (0.044, 0.165), (0.039, 0.164), (0.028, 0.13)],
                   rings=40)  # fmt: skip
    grip = sh.tube(
        [(0.036, 0.148, 0), (0.075, 0.145, 0), (0.085, 0.10, 0), (0.056, 0.07, 0)], [0.007]
    )
    rust = {"bands": ((0.14, 0.18, "f0e0bd"), (0.66, 0.7, "f0e0bd")), "density": 1.3}
    red = tx.glaze(b.rng(), 300, 600, "b4472f", "3a1a12", motif=(0.42, 0.14, 9, "f0e0bd"), **rust)
    b.add(sh.join([jug, grip]).moved(x=0.12, z=-0.47, turn=70), red, "glossy", 0.16)
    pot = tx.glaze(b.rng(), 240, 500, "3b6f9c", "14293d", ((0.36, 0.46, "f0e4c8"),), density=1.3)
    _potted(b, {"x": -0.12, "z": -0.48}, 0.05, 0.075, 15, 0.14, pot, {})


def _books_and_blocks(b):
    books = [("7d2e2a", "e6c27a", "GAUSS", 0.24, 0.17, 0.034, 8),
             ("2a5a66", "efdcae", "LIGHT FIELDS", 0.225, 0.16, 0.028, -9),
             ("cf9a35", "4a2418", "SPHERICAL HARMONICS", 0.20, 0.15, 0.024, 17)]  # fmt: skip
    y = 0.0
    for k, (base, ink, title, wide, deep, thick, turn) in enumerate(books):
        place = {"x": 0.41, "z": -0.12, "turn": turn}
        picture = tx.cover(b.rng(), 330, 480, base, ink, title, k)
        spine_text = tx.cover(b.rng(), 90, 480, base, ink, title, k)
        boards = [sh.box(wide, 0.004, deep, 0.0015).moved(y=y + s) for s in (0.002, thick - 0.002)]
        b.add(sh.join(boards).moved(**place), picture, "glossy", 0.35)
        spine = sh.box(wide, thick, 0.006, 0.002).moved(y=y + thick / 2, z=deep / 2)
        b.add(spine.moved(**place), spine_text, "glossy", 0.35)
        block = sh.box(wide - 0.012, thick - 0.008, deep - 0.010, 0.0).moved(y=y + thick / 2)
        b.add(block.moved(**place), tx.pages(b.rng(), 64, 256))
        y += thick
    kettle = sh.lathe([(0.0, 0), (0.042, 0.002), (0.058, 0.02), (0.062, 0.045), (0.048, 0.072),
                       (0.030, 0.086), (0.028, 0.10), (0.040, 0.112), (0.037, 0.111),
                       (0.022, 0.09)], rings=48, segments=56)  # fmt: skip
    copper = tx.metal(b.rng(), 300, 600, "e08a62", "8a4632")
    b.add(kettle.moved(x=0.41, z=-0.13, y=y), copper, "metal", 0.25)
    rng = b.rng()
    colours = ("b5382a", "1f5f78", "c98a1e", "3d6b38", "6a3a6a", "b5532a")
    letters = ("GASD3R", "3RAGDS", "SADRGA", "D3ARSG")
    spots = [(-0.035, 0.36, -12), (0.045, 0.352, 9), (0.124, 0.366, -5), (0.203, 0.35, 14)]
    for k, (x, z, turn) in enumerate(spots):
        faces = tx.letter_faces(rng, letters[k], np.roll(colours, k))
        cube = sh.box(0.066, 0.066, 0.066, 0.004, atlas=True)
        b.add(cube.moved(x=x, y=0.033, z=z, turn=turn), faces, "glossy", 0.35)
