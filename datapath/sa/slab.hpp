// One block of memory taken at start and given back at the end.
#pragma once

#include <cstddef>
#include <memory>
#include <memory_resource>
#include <type_traits>

namespace espgate::sa {

// `count` elements of `stride` bytes each, on a cache line boundary, untouched until somebody uses them:
// the big slabs would otherwise cost start-up a page fault and a fill for every SA that may never come.
class Slab {
 public:
  // Throws std::bad_alloc.
  Slab(std::pmr::memory_resource& memory, std::size_t count, std::size_t stride)
      : memory_(&memory),
        bytes_(count * stride),
        stride_(stride),
        data_(memory.allocate(bytes_, alignment)) {}
  ~Slab() { memory_->deallocate(data_, bytes_, alignment); }
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  std::byte* at(std::size_t index) const { return static_cast<std::byte*>(data_) + index * stride_; }
  std::size_t stride() const { return stride_; }

 private:
  static constexpr std::size_t alignment = 64;

  std::pmr::memory_resource* memory_;
  std::size_t bytes_;
  std::size_t stride_;
  void* data_;
};

// A fixed array of zeroed elements.
template <typename T>
class FixedArray {
 public:
  static_assert(std::is_trivially_destructible_v<T>);

  FixedArray(std::pmr::memory_resource& memory, std::size_t count)
      : slab_(memory, count, sizeof(T)), elements_(reinterpret_cast<T*>(slab_.at(0))) {
    std::uninitialized_value_construct_n(elements_, count);
  }

  T& operator[](std::size_t index) const { return elements_[index]; }
  // Back to zero; for when nobody else looks at the element.
  void reset(std::size_t index) { std::construct_at(&elements_[index]); }

 private:
  Slab slab_;
  T* elements_;
};

}  // namespace espgate::sa
