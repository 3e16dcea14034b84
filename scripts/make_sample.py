"""Make the sample photo set in data/sample: photos, true cameras, depth and mesh.

The scene is the project's own (scripts/sample/), path-traced with Mitsuba 3. This is a development
tool; splatkit itself does not need it. It needs

    pip install mitsuba mitsuba-oidn numpy pillow plyfile tyro

and LLVM's shared library (Debian: apt-get install libllvm19; elsewhere set DRJIT_LIBLLVM_PATH).
Photos that exist are kept, so a stopped run goes on where it was; delete a photo to make it again.

Frames: the world is x right, y down, z forward, metres, the table top at y = 0. Cameras are
world-to-camera with OpenCV axes; Mitsuba's own camera looks along +z with x LEFT and y UP.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import mitsuba as mi
import numpy as np
import tyro
from PIL import Image
from plyfile import PlyData, PlyElement

mi.set_variant("llvm_ad_rgb")

import mitsuba_oidn as oidn  # noqa: E402  (needs the variant's library to be loaded)
from sample import scene as sample_scene  # noqa: E402

FOCAL_35MM = 35
DEPTH_DIVISOR = 3
EXPOSURE = 1.5
TARGET = np.array([0.0, -0.12, 0.0])
STEPS_BACK = ((104, 24, 1.95, 0.0), (45, 50, 2.2, 0.3), (-45, 50, 2.2, 0.3), (-104, 24, 1.95, 0.0))
"""Azimuth and elevation in degrees, distance, and y of the point looked at."""


@dataclass(frozen=True)
class Options:
    """What to make and where."""

    out: Path = Path(__file__).resolve().parents[1] / "data" / "sample"
    """Folder that receives photos/ and truth/."""
    spp: int = 12
    """Samples per pixel, before denoising."""
    size: int = 1008
    """Width of the photos in pixels; the height is two thirds of it."""
    photos: int = 36
    """Number of photos on the arc; four that step back follow."""
    only: tuple[int, ...] = ()
    """Numbers of the photos to make (1 is the first); all when empty."""
    quality: int = 80
    """JPEG quality."""
    seed: int = 7
    """Seed of textures, camera jitter and sampling."""


def camera_path(count: int, seed: int) -> list[np.ndarray]:
    """Return world-to-camera matrices [4, 4] on an arc of 220 degrees at three heights."""
    rng = np.random.default_rng(seed)
    views = []
    for k in range(count):
        azimuth = np.radians(np.linspace(-110, 110, count)[k] + rng.uniform(-1, 1))
        elevation = np.radians((13, 23, 34)[(0, 1, 2, 1)[k % 4]] + rng.uniform(-1.5, 1.5))
        distance = 1.52 + rng.uniform(-0.04, 0.04)
        target = TARGET + rng.uniform(-0.02, 0.02, 3)
        away = np.array([np.sin(azimuth) * np.cos(elevation), -np.sin(elevation),
                         -np.cos(azimuth) * np.cos(elevation)])  # fmt: skip
        views.append(look_at(target + distance * away, target))
    return views


def steps_back() -> list[np.ndarray]:
    """Return world-to-camera matrices [4, 4] of the four photos that show what lies around.

    Photos from one distance see the floor and the walls beside the table only at their edges,
    each piece in one or two of them: too few to place it. One step back at both ends of the arc
    and two looks from above give every such piece more views.
    """
    views = []
    for azimuth, elevation, distance, below in STEPS_BACK:
        a, e = np.radians((azimuth, elevation))
        away = np.array([np.sin(a) * np.cos(e), -np.sin(e), -np.cos(a) * np.cos(e)])
        target = np.array([0.0, below, 0.0])
        views.append(look_at(target + distance * away, target))
    return views


def stands(count: int) -> list[int]:
    """Return the place on the arc of each photo, in the order of their names.

    The walk begins at the third place from the right and takes the two at the right end last:
    with 36 photos every 8th, the first included, then stands at the middle height between others.
    """
    return [(count - 3 - k) % count for k in range(count)]


def look_at(eye, target) -> np.ndarray:
    """Return the level world-to-camera matrix [4, 4] of a camera at `eye` (up is -y)."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross((0.0, 1.0, 0.0), forward)
    right /= np.linalg.norm(right)
    view = np.eye(4)
    view[:3, :3] = right, np.cross(forward, right), forward
    view[:3, 3] = -view[:3, :3] @ eye
    return view


def focal_pixels(width: int) -> float:
    """Return the focal length in pixels: 36 mm are the photo's width."""
    return width * FOCAL_35MM / 36


def mitsuba_scene(parts: list[sample_scene.Part]):
    """Return the Mitsuba scene of the parts and the lights above the courtyard."""
    world = {"type": "scene"}
    for k, part in enumerate(parts):
        world[f"part{k}"] = _mesh(f"part{k}", part)
    up = mi.ScalarTransform4f
    panes = np.full((60, 60, 3), (15.0, 12.6, 9.6), np.float32)
    panes[27:33] = panes[:, 17:23] = panes[:, 37:43] = 0.3
    world["window"] = {
        "type": "rectangle",
        "to_world": up().look_at([-1.2, -2.5, -1.5], [0, 0, 0], [0, 0, 1]) @ up().scale(0.75),
        "emitter": {"type": "area", "radiance": {
            "type": "bitmap", "bitmap": mi.Bitmap(panes), "raw": True}},
    }  # fmt: skip
    world["sky"] = {
        "type": "rectangle",
        "to_world": up().look_at([0, -2.9, 0], [0, 0, 0], [0, 0, 1]) @ up().scale(2.3),
        "emitter": {"type": "area", "radiance": {"type": "rgb", "value": [1.05, 1.25, 1.5]}},
    }
    return mi.load_dict(world)


def _mesh(name: str, part: sample_scene.Part):
    image = mi.Bitmap(np.round(part.texture * 255).astype(np.uint8))
    texture = {"type": "bitmap", "bitmap": image, "wrap_mode": "repeat"}
    bsdf = {
        "matte": {"type": "diffuse", "reflectance": texture},
        "glossy": {"type": "roughplastic", "diffuse_reflectance": texture,
                   "alpha": part.roughness, "nonlinear": True},
        "metal": {"type": "roughconductor", "specular_reflectance": texture,
                  "alpha": part.roughness, "material": "none"},
    }[part.kind]  # fmt: skip
    props = mi.Properties()
    props["bsdf"] = mi.load_dict({"type": "twosided", "bsdf": bsdf})
    points, normals = part.world()
    mesh = mi.Mesh(name, len(points), len(part.shape.faces), props, True, True)
    params = mi.traverse(mesh)
    uvs = part.shape.uvs * (1, -1) + (0, 1)
    params["vertex_positions"] = points.astype(np.float32).ravel()
    params["vertex_normals"] = normals.astype(np.float32).ravel()
    params["vertex_texcoords"] = uvs.astype(np.float32).ravel()
    params["faces"] = part.shape.faces.astype(np.uint32).ravel()
    params.update()
    return mesh


def render_photo(scene, view: np.ndarray, options: Options, seed: int) -> np.ndarray:
    """Return the denoised photo, sRGB uint8 [H, W, 3]."""
    width, height = options.size, options.size * 2 // 3
    pose = np.linalg.inv(view) @ np.diag([-1.0, -1.0, 1.0, 1.0])
    sensor = mi.load_dict({
        "type": "perspective", "fov_axis": "x", "near_clip": 0.05, "far_clip": 20.0,
        "fov": float(np.degrees(2 * np.arctan(0.5 * width / focal_pixels(width)))),
        "to_world": mi.ScalarTransform4f(pose),
        "film": {"type": "hdrfilm", "width": width, "height": height, "rfilter": {"type": "box"},
                 "pixel_format": "rgb", "component_format": "float32"},
        "sampler": {"type": "independent"},
    })  # fmt: skip
    integrator = mi.load_dict({
        "type": "aov", "aovs": "albedo:albedo,normal:sh_normal",
        "path": {"type": "path", "max_depth": 5, "rr_depth": 4},
    })  # fmt: skip
    film = mi.render(scene, sensor=sensor, integrator=integrator, spp=options.spp, seed=seed)
    colour, albedo, normal = (
        np.ascontiguousarray(np.array(film)[..., k : k + 3]) for k in (0, 3, 6)
    )
    colour, albedo, normal = colour.clip(0), albedo.clip(0, 1), normal.clip(-1, 1)
    return tone_map(np.asarray(oidn.denoise(colour, albedo, normal, hdr=True)))


def tone_map(linear: np.ndarray) -> np.ndarray:
    """Return sRGB uint8 of linear radiance: one exposure for all photos and the sRGB curve."""
    x = np.clip(linear * EXPOSURE, 0, 1)
    curve = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    return np.round(curve * 255).astype(np.uint8)


def render_depth(scene, view: np.ndarray, size: int) -> np.ndarray:
    """Return camera-z depth in metres at the pixel centres of the reduced photo."""
    width, height = size // DEPTH_DIVISOR, size * 2 // 3 // DEPTH_DIVISOR
    focal = focal_pixels(width)
    x, y = np.meshgrid((np.arange(width) + 0.5 - width / 2) / focal,
                       (np.arange(height) + 0.5 - height / 2) / focal)  # fmt: skip
    local = np.stack([x, y, np.ones_like(x)], -1).reshape(-1, 3)
    direction = local @ view[:3, :3]
    eye = -view[:3, :3].T @ view[:3, 3]
    ray = mi.Ray3f(mi.Point3f(*[float(e) for e in eye]),
                   mi.Vector3f(np.ascontiguousarray(direction.T.astype(np.float32))))  # fmt: skip
    return np.array(scene.ray_intersect_preliminary(ray).t).reshape(height, width)


def save_photo(pixels: np.ndarray, path: Path, quality: int) -> None:
    """Write a JPEG with the focal length in its EXIF data."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "splatkit", "virtual camera"
    exif.get_ifd(0x8769).update({0x920A: float(FOCAL_35MM), 0xA405: FOCAL_35MM})
    partial = path.with_suffix(".partial")
    image = Image.fromarray(pixels)
    image.save(partial, "JPEG", quality=quality, subsampling="4:2:0", optimize=True,
               progressive=True, exif=exif)  # fmt: skip
    partial.replace(path)


def save_mesh(parts: list[sample_scene.Part], path: Path) -> None:
    """Write all parts as one binary little-endian PLY in the world frame."""
    points = np.concatenate([p.world()[0] for p in parts])
    offsets = np.cumsum([0] + [len(p.shape.points) for p in parts[:-1]])
    faces = np.concatenate([p.shape.faces + o for p, o in zip(parts, offsets, strict=True)])
    vertex = np.array([tuple(p) for p in points], [(c, "<f4") for c in "xyz"])
    face = np.empty(len(faces), [("vertex_indices", "<i4", (3,))])
    face["vertex_indices"] = faces
    elements = [PlyElement.describe(vertex, "vertex"), PlyElement.describe(face, "face")]
    comments = ["splatkit sample scene, metres, y down"]
    PlyData(elements, byte_order="<", comments=comments).write(path)


def save_cameras(views: list[np.ndarray], options: Options, path: Path) -> None:
    """Write the true cameras and what is needed to read the other files."""
    width, height = options.size, options.size * 2 // 3
    focal = focal_pixels(width)
    about = {
        "world": "x right, y down, z forward, metres; table top y = 0, floor y = 0.74",
        "camera": "pinhole, no distortion, world-to-camera, OpenCV axes; "
                  "the first pixel's centre is (0.5, 0.5)",
        "background": "none: four walls close the scene, every pixel sees a surface",
        "width": width, "height": height, "fx": focal, "fy": focal,
        "cx": width / 2, "cy": height / 2,
        "depth": {"unit_metres": 0.001, "divisor": DEPTH_DIVISOR,
                  "meaning": "camera z at the centres of the reduced pixels"},
        "sign_corners": sample_scene.sign_corners().round(6).tolist(),
        "sign_corners_order": "top left, top right, bottom right, bottom left, as read",
    }  # fmt: skip
    frames = [{"name": name(k), "viewmat": v.round(9).tolist()} for k, v in enumerate(views)]
    text = json.dumps(about, indent=1)[:-2] + ',\n "frames": [\n  '
    path.write_text(text + ",\n  ".join(json.dumps(f) for f in frames) + "\n ]\n}\n")


def name(index: int) -> str:
    """Return the file name of a photo."""
    return f"photo_{index + 1:03d}.jpg"


def main(options: Options) -> None:
    """Make what is missing."""
    photos, depth = options.out / "photos", options.out / "truth" / "depth"
    photos.mkdir(parents=True, exist_ok=True)
    depth.mkdir(parents=True, exist_ok=True)
    parts = sample_scene.build(options.seed)
    arc = camera_path(options.photos, options.seed)
    order = stands(options.photos)
    seeds = [options.seed + k for k in (*order, *range(len(arc), len(arc) + len(STEPS_BACK)))]
    views = [arc[place] for place in order] + steps_back()
    save_mesh(parts, options.out / "truth" / "mesh.ply")
    save_cameras(views, options, options.out / "truth" / "cameras.json")
    scene = mitsuba_scene(parts)
    wanted = [k - 1 for k in options.only] or range(len(views))
    for k in wanted:
        started = time.perf_counter()
        path = photos / name(k)
        if not path.exists():
            pixels = render_photo(scene, views[k], options, seeds[k])
            save_photo(pixels, path, options.quality)
        png = depth / path.with_suffix(".png").name
        if not png.exists():
            millimetres = np.round(render_depth(scene, views[k], options.size) * 1000)
            Image.fromarray(millimetres.astype(np.uint16)).save(png, optimize=True)
        print(f"{path.name}: {time.perf_counter() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
