"""The formula headers compile as GPU code: NVRTC needs neither a GPU nor a toolkit."""

import ctypes
import re
from importlib import metadata
from pathlib import Path

import pytest

INCLUDE = Path(__file__).parents[2] / "cuda" / "include"
HEADERS = sorted(path.name for path in (INCLUDE / "splatkit").glob("*.h"))

KERNELS = {
    "adam.h": """
        __global__ void kernel(AdamConstants c, const float *g, float *p, float *m, float *v) {
          const int i = blockIdx.x * blockDim.x + threadIdx.x;
          adam_update(c, 0.01f, g[i], p[i], m[i], v[i]);
        }""",
    "blend.h": """
        __global__ void kernel(const float *conic, float x, float y, float *out) {
          const FoldedConic<float> folded = fold_conic(conic, 0.5f);
          const float alpha = exp2(exponent_at(folded, exponent_column(folded, x), y));
          out[0] = smooth_cutoff(alpha);
          smooth_cutoff_adj(alpha, 1.0f, out[1]);
          const AlphaMoments<float> moments = {alpha_adj(x, 1.0f, alpha, y), x, y, x, x, y};
          alpha_moments_adj(conic, alpha, moments, out + 2, out + 4, out[7]);
        }""",
    "camera.h": """
        __global__ void kernel(View<float> view, Pinhole<float> lens, const float *mean,
                               ImagePoint<float> *image, float *v_mean) {
          float point[3], v_point[3] = {};
          to_camera(view, mean, point);
          *image = lens.project(point);
          lens.project_adj(point, *image, v_point);
          ViewGradient<float> v_view = {};
          to_camera_adj(view, mean, v_point, v_mean, v_view);
        }""",
    "fsr.h": """
        __global__ void kernel(const float *c, Edge<float> edge, float *out) {
          add_edge(0.5f, c[0], c[1], c[2], c[3], fsr_luma(c), edge);
          out[3] = window_weight(edge_window(edge), c[4], c[5]);
          sharpen(c, c + 3, c + 6, c + 9, c + 12, 0.5f, out);
          easu(c, 8, 5, c[0], c[1], out + 4);
          sharpen_pixel(c, 8, 5, 3, 2, c[2], out + 7);
        }""",
    "gaussian.h": """
        __global__ void kernel(const float *q, float *axes, float *v_axes) {
          float unit[4], rotation[9], v_unit[4] = {};
          normalize<4>(q, unit);
          rotation_from_unit_quat(unit, rotation);
          rotation_from_unit_quat_adj(unit, rotation, v_unit);
          const ScreenShape<float> shape = screen_shape(axes, 0.3f);
          screen_shape_adj(axes, 0.3f, shape.conic, shape.compensation + v_unit[0], v_axes);
        }""",
    "screen.h": """
        __global__ void kernel(ScreenOptions<float, Pinhole<float>> options,
                               const RawGaussian<float> *g, float *record,
                               RawGaussian<float> *v_g, float *direction) {
          project_splat(*g, options, record);
          ViewGradient<float> v_view = {};
          project_splat_adj(*g, options, record, *v_g, v_view);
          const float inverse = splat_direction(options.view, g->mean, direction);
          splat_direction_adj(direction, inverse, record, v_g->mean, v_view);
        }""",
    "sh.h": """
        template <int degree>
        __device__ void color(const float *direction, const float *sh, float *color, float *v) {
          sh_color<degree>(direction, sh, color);
          sh_color_adj<degree>(direction, sh, color, v, v + 75);
        }
        __global__ void kernel(const float *d, const float *sh, float *c, float *v) {
          color<0>(d, sh, c, v), color<1>(d, sh, c, v), color<2>(d, sh, c, v);
          color<3>(d, sh, c, v), color<4>(d, sh, c, v);
        }""",
    "ssim.h": """
        __global__ void kernel(const SsimMoments<float> *m, float *score, SsimMoments<float> *v) {
          const int i = blockIdx.x * blockDim.x + threadIdx.x;
          score[i] = ssim(m[i]) * ssim_weight(2);
          ssim_adj(m[i], 1.0f, v[i]);
        }""",
    "triangle.h": """
        __global__ void kernel(PixelAxes<float> axes, const float *corners, float x, float y,
                               float *out, float *v_corners) {
          float p[9], planes[9], v_planes[9] = {}, v_p[9] = {};
          for (int i = 0; i < 3; ++i) homogeneous_pixel(axes, corners + 3 * i, p + 3 * i);
          out[0] = triangle_planes(p, planes);
          const TrianglePoint<float> at = triangle_point(planes, x, y);
          const float window = triangle_window(3.0f * at.lambda[0], 2.0f);
          out[1] = triangle_window_adj(at.lambda[0], window, 2.0f, 1.0f);
          triangle_point_adj(at, x, y, corners, out[1], v_planes);
          triangle_planes_adj(planes, v_planes, v_p);
          for (int i = 0; i < 3; ++i) homogeneous_pixel_adj(axes, v_p + 3 * i, v_corners + 3 * i);
        }""",
    "triangle_place.h": """
        __global__ void kernel(const double *points, PixelAxes<double> axes, TrianglePlace *place,
                               bool *seen) {
          *seen = place_triangle(points, axes, 640, 480, 0.01, *place);
        }""",
    "upscale.h": """
        __global__ void kernel(int pixel, float step, float *out) {
          const Cell cell = cell_at(place_of(pixel, step, 0.5f), 9);
          const Hermite<float> h = hermite(cell.t);
          out[0] = h.value0 + h.value1 + h.slope0 + h.slope1;
          out[1] = sample_weight(to_nearest(cell.t));
          catmull_rom(cell.t, out + 2);
          out[6] = moved(out, step, step, out[7]);
          if (same_surface(out[6], step, out[7], out[8])) out[9] = reciprocal(step);
          out[10] = weight_followed(out[1], out[6], out[7], 0.1f);
        }""",
}
"""What instantiates a header's templates, forward and adjoint."""


class Nvrtc:
    """The few functions of the NVRTC library that compile a program."""

    def __init__(self) -> None:
        files = metadata.files("nvidia-cuda-nvrtc") or []
        names = [
            f for f in files if re.fullmatch(r"(libnvrtc\.so\.\d+|nvrtc64_\d+_\d\.dll)", f.name)
        ]
        self._library = ctypes.CDLL(str(names[0].locate()))

    def architectures(self) -> list[int]:
        """All that this version compiles for, such as 75 for sm_75."""
        count = ctypes.c_int()
        self._library.nvrtcGetNumSupportedArchs(ctypes.byref(count))
        values = (ctypes.c_int * count.value)()
        self._library.nvrtcGetSupportedArchs(values)
        return list(values)

    def compile(self, source: str, architecture: int) -> str:
        """The log of a compilation, and an error where it failed; '' when all went well."""
        program = ctypes.c_void_p()
        self._library.nvrtcCreateProgram(
            ctypes.byref(program), source.encode(), b"test.cu", 0, None, None
        )
        options = [f"--gpu-architecture=sm_{architecture}", "-std=c++17", f"-I{INCLUDE}"]
        values = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        result = self._library.nvrtcCompileProgram(program, len(options), values)
        size = ctypes.c_size_t()
        self._library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        self._library.nvrtcGetProgramLog(program, log)
        self._library.nvrtcDestroyProgram(ctypes.byref(program))
        text = log.value.decode().strip()
        return text if result == 0 else f"error {result}: {text}"


@pytest.fixture(scope="module")
def nvrtc() -> Nvrtc:
    try:
        return Nvrtc()
    except metadata.PackageNotFoundError:
        pytest.skip("nvidia-cuda-nvrtc is not installed")


def test_every_header_has_a_kernel() -> None:
    assert set(HEADERS) - {"common.h"} == set(KERNELS)


@pytest.mark.parametrize("header", sorted(KERNELS))
def test_header_compiles(nvrtc: Nvrtc, header: str) -> None:
    source = f'#include "splatkit/{header}"\nnamespace splatkit {{\n{KERNELS[header]}\n}}\n'
    wanted = [a for a in nvrtc.architectures() if 75 <= a <= 120]
    assert wanted, "this NVRTC knows no architecture from sm_75 to sm_120"
    for architecture in {wanted[0], 90 if 90 in wanted else wanted[-1], wanted[-1]}:
        assert nvrtc.compile(source, architecture) == ""


def test_a_fault_is_noticed(nvrtc: Nvrtc) -> None:
    assert "error" in nvrtc.compile('#include "splatkit/ssim.h"\nint x = none_such;', 75)
