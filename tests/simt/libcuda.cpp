// NVIDIA's driver for machines without one: kernels are functions of shared libraries that g++ made
// (tests/simt/driver.py), and run before the launch returns. Only what launching needs is here; the
// rest is "not found", as with a driver that is too old.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

namespace {
enum {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  INVALID_IMAGE = 200,
  INVALID_CONTEXT = 201,
  NOT_FOUND = 500
};

int the_context;  // the primary context of the only device
thread_local std::vector<void *> contexts;

struct Kernel {
  void (*launch)(const void *, unsigned, unsigned, uint64_t);
};
}  // namespace

extern "C" {

int cuGetProcAddress_v2(const char *name, void **to, int, unsigned long long, int *status) {
  static void *self = dlopen(LIBRARY_NAME, RTLD_NOW | RTLD_NOLOAD);
  char versioned[128];
  std::snprintf(versioned, sizeof versioned, "%s_v2", name);
  *to = dlsym(self, versioned);
  if (!*to) *to = dlsym(self, name);
  if (status) *status = *to ? 0 : 1;
  return *to ? SUCCESS : NOT_FOUND;
}

int cuInit(unsigned) { return SUCCESS; }
int cuDriverGetVersion(int *version) { return *version = 13000, SUCCESS; }
int cuDeviceGet(int *device, int index) { return *device = index, index ? INVALID_VALUE : SUCCESS; }
int cuDevicePrimaryCtxRetain(void **context, int) { return *context = &the_context, SUCCESS; }

int cuCtxGetCurrent(void **context) {
  *context = contexts.empty() ? nullptr : contexts.back();
  return SUCCESS;
}
int cuCtxPushCurrent_v2(void *context) { return contexts.push_back(context), SUCCESS; }
int cuCtxPopCurrent_v2(void **context) {
  if (contexts.empty()) return INVALID_CONTEXT;
  *context = contexts.back();
  contexts.pop_back();
  return SUCCESS;
}

int cuGetErrorString(int status, const char **text) {
  *text = status == INVALID_VALUE ? "invalid argument" : "invalid device context";
  return SUCCESS;
}

// "Machine code" is the path of a shared library.
int cuLibraryLoadData(void **library, const void *code, int *, void **, unsigned, int *, void **,
                      unsigned) {
  *library = dlopen((const char *)code, RTLD_NOW | RTLD_LOCAL);
  return *library ? SUCCESS : INVALID_IMAGE;
}
int cuLibraryUnload(void *) { return SUCCESS; }
int cuLibraryGetKernel(void **kernel, void *library, const char *name) {
  char launcher[128];
  std::snprintf(launcher, sizeof launcher, "launch_%s", name);
  void *function = dlsym(library, launcher);
  if (!function) return NOT_FOUND;
  Kernel *made = new Kernel;
  std::memcpy(&made->launch, &function, sizeof function);
  *kernel = made;
  return SUCCESS;
}

int cuLaunchKernel(Kernel *kernel, unsigned blocks, unsigned blocks_y, unsigned blocks_z,
                   unsigned threads, unsigned threads_y, unsigned threads_z, unsigned shared_bytes,
                   void *stream, void **arguments, void **extra) {
  // The default stream is that of the current context.
  if (!stream && (contexts.empty() || contexts.back() != &the_context)) return INVALID_CONTEXT;
  const bool flat = blocks_y == 1 && blocks_z == 1 && threads_y == 1 && threads_z == 1;
  if (!flat || shared_bytes || extra || !arguments || !blocks || !threads || threads > 1024)
    return INVALID_VALUE;
  kernel->launch(arguments[0], blocks, threads, 0);
  return SUCCESS;
}
}
