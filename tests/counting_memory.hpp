// Memory that counts what is out, so that a leak shows.
#pragma once

#include <cstddef>
#include <memory_resource>
#include <new>

namespace espgate::testing {

// Fails when more than `limit` bytes are out.
class CountingMemory : public std::pmr::memory_resource {
 public:
  std::size_t out_bytes = 0;
  std::size_t limit = ~std::size_t{0};

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (out_bytes + bytes > limit) throw std::bad_alloc();
    out_bytes += bytes;
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    out_bytes -= bytes;
    std::pmr::new_delete_resource()->deallocate(memory, bytes, alignment);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

}  // namespace espgate::testing
