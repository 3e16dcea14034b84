// Growable working memory, aligned to cache lines, never initialised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

namespace splatkit {

template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;
  ~Buffer() { release(); }

  // Room for `count` elements; what was inside is lost when it has to grow.
  T *resize(int64_t count) {
    if (count > capacity_) {
      release();
      // A quarter more than asked for, so that slow growth does not reallocate every time.
      const int64_t capacity = count + count / 4 + 64;
      data_ = static_cast<T *>(::operator new(capacity * sizeof(T), std::align_val_t(64)));
      capacity_ = capacity;
    }
    return data_;
  }

  T *data() const { return data_; }
  T &operator[](int64_t i) const { return data_[i]; }
  int64_t bytes() const { return capacity_ * (int64_t)sizeof(T); }

 private:
  void release() {
    if (data_) ::operator delete(data_, std::align_val_t(64));
    data_ = nullptr;
    capacity_ = 0;
  }

  T *data_ = nullptr;
  int64_t capacity_ = 0;
};

}  // namespace splatkit
