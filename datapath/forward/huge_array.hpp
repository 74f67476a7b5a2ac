// An array in DPDK memory (hugepages unless EAL runs without), on one NUMA node, for what workers read.
#pragma once

#include <rte_malloc.h>

#include <cstddef>
#include <utility>

namespace espgate::forward {

// Owns the memory; elements are plain values and start out as whatever the memory holds, so that pages nobody
// uses are not touched. Empty when the memory was not to be had.
template <typename T>
class HugeArray {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  HugeArray() = default;
  HugeArray(std::size_t size, int numa_node)
      : data_(static_cast<T*>(
            rte_malloc_socket(nullptr, size * sizeof(T), alignof(T) < 64 ? 64 : alignof(T), numa_node))) {}
  HugeArray(HugeArray&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  HugeArray& operator=(HugeArray&& other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  ~HugeArray() { rte_free(data_); }

  explicit operator bool() const { return data_ != nullptr; }
  T* data() const { return data_; }

 private:
  T* data_ = nullptr;
};

}  // namespace espgate::forward
