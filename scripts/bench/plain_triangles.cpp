// Triangles drawn by the plainest loop that is right: one after another, one pixel after another,
// one thread. What splatkit's op is measured against; triangle_speed.py compiles and calls it.
#include <algorithm>
#include <cmath>
#include <vector>

namespace {

struct Fragment {
  float z, alpha, rgb[3];
};

float srgb(float light) {
  return light <= 0.0031308f ? 12.92f * light : 1.055f * std::pow(light, 1 / 2.4f) - 0.055f;
}

void cross(const float a[3], const float b[3], float out[3]) {
  out[0] = a[1] * b[2] - a[2] * b[1];
  out[1] = a[2] * b[0] - a[0] * b[2];
  out[2] = a[0] * b[1] - a[1] * b[0];
}

}  // namespace

// view: [3,4] camera from world. colors: [V,3] as they are mixed; opacities: [V]. With softness 0
// the nearest triangle fills a pixel of rgb [H,W,3] and colours are turned from linear light to
// sRGB; otherwise fragments are blended front to back as they are.
extern "C" void draw(const float *vertices, const int *faces, const float *colors,
                     const float *opacities, int triangles, const float *view, const float *pinhole,
                     int width, int height, float softness, float near, float *rgb) {
  std::vector<float> depth(softness > 0 ? 0 : width * height, INFINITY);
  std::vector<std::vector<Fragment>> fragments(softness > 0 ? width * height : 0);
  std::fill(rgb, rgb + 3 * width * height, 0.f);
  for (int t = 0; t < triangles; ++t) {
    float p[3][3], planes[3][3];
    float left = INFINITY, right = -INFINITY, top = INFINITY, bottom = -INFINITY, nearest = INFINITY;
    for (int c = 0; c < 3; ++c) {
      const float *v = vertices + 3 * faces[3 * t + c];
      float at[3];
      for (int r = 0; r < 3; ++r)
        at[r] = view[4 * r] * v[0] + view[4 * r + 1] * v[1] + view[4 * r + 2] * v[2] + view[4 * r + 3];
      p[c][0] = pinhole[0] * at[0] + pinhole[2] * at[2];
      p[c][1] = pinhole[1] * at[1] + pinhole[3] * at[2];
      p[c][2] = at[2];
      nearest = std::min(nearest, at[2]);
      left = std::min(left, p[c][0] / at[2]), right = std::max(right, p[c][0] / at[2]);
      top = std::min(top, p[c][1] / at[2]), bottom = std::max(bottom, p[c][1] / at[2]);
    }
    if (nearest <= near) left = top = 0, right = width, bottom = height;
    cross(p[1], p[2], planes[0]), cross(p[2], p[0], planes[1]), cross(p[0], p[1], planes[2]);
    const float volume = p[0][0] * planes[0][0] + p[0][1] * planes[0][1] + p[0][2] * planes[0][2];
    if (!(std::fabs(volume) > 0)) continue;
    for (auto &plane : planes)
      for (float &value : plane) value /= volume;
    const int x1 = std::min(width - 1, int(right)), y1 = std::min(height - 1, int(bottom));
    for (int y = std::max(0, int(top)); y <= y1; ++y)
      for (int x = std::max(0, int(left)); x <= x1; ++x) {
        float share[3], sum = 0;
        for (int c = 0; c < 3; ++c)
          sum += share[c] = planes[c][0] * (x + 0.5f) + planes[c][1] * (y + 0.5f) + planes[c][2];
        const float z = 1 / sum;
        if (!(z > near)) continue;
        const float inside = 3 * z * std::min({share[0], share[1], share[2]});
        if (!(inside >= 0)) continue;
        Fragment here{z, 0, {0, 0, 0}};
        for (int c = 0; c < 3; ++c) {
          const int v = faces[3 * t + c];
          here.alpha += z * share[c] * opacities[v];
          for (int k = 0; k < 3; ++k) here.rgb[k] += z * share[c] * colors[3 * v + k];
        }
        const int pixel = y * width + x;
        if (softness > 0) {
          here.alpha *= std::pow(inside, softness);
          if (here.alpha >= 1 / 255.f) fragments[pixel].push_back(here);
        } else if (z < depth[pixel]) {
          depth[pixel] = z;
          for (int k = 0; k < 3; ++k) rgb[3 * pixel + k] = srgb(here.rgb[k]);
        }
      }
  }
  for (size_t pixel = 0; pixel < fragments.size(); ++pixel) {
    auto &list = fragments[pixel];
    std::sort(list.begin(), list.end(), [](auto &a, auto &b) { return a.z < b.z; });
    float rest = 1;
    for (const Fragment &one : list) {
      if (rest <= 1e-4f) break;
      for (int k = 0; k < 3; ++k) rgb[3 * pixel + k] += rest * one.alpha * one.rgb[k];
      rest *= 1 - one.alpha;
    }
  }
}
