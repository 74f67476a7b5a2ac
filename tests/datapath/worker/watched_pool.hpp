// Packet buffers for tests that look at allocation itself: one that is to fail can be chosen, and, unlike
// with DPDK's own pools, the thread sanitizer sees that a buffer passes from thread to thread by way of the
// pool.
#pragma once

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <atomic>
#include <cstring>
#include <mutex>
#include <vector>

#include "tests/datapath/worker/must.hpp"

namespace espgate::test {

class WatchedPool {
 public:
  // The name is the process's while the pool lives.
  WatchedPool(const char* name, unsigned count, std::uint16_t buffer_bytes) {
    static const int registered = register_operations();
    if (registered >= 0)
      pool_ = rte_pktmbuf_pool_create_by_ops(name, count, 0, 0, buffer_bytes, SOCKET_ID_ANY, "watched");
    if (pool_ == nullptr) fail("no memory for buffers");
  }
  ~WatchedPool() { rte_mempool_free(pool_); }
  WatchedPool(const WatchedPool&) = delete;
  WatchedPool& operator=(const WatchedPool&) = delete;

  rte_mempool* get() const { return pool_; }
  unsigned in_use() const { return rte_mempool_in_use_count(pool_); }

  // Of all such pools: how many allocations there were, and which one, from 0, is to find nothing.
  static inline std::atomic<unsigned> allocations{0};
  static inline std::atomic<unsigned> failing{~0u};

 private:
  struct Objects {
    std::mutex mutex;
    std::vector<void*> free;
  };
  static Objects& objects(const rte_mempool* pool) { return *static_cast<Objects*>(pool->pool_data); }

  static int register_operations() {
    rte_mempool_ops operations{};
    std::strcpy(operations.name, "watched");
    operations.alloc = [](rte_mempool* pool) {
      pool->pool_data = new Objects;
      return 0;
    };
    operations.free = [](rte_mempool* pool) { delete &objects(pool); };
    operations.enqueue = [](rte_mempool* pool, void* const* some, unsigned count) {
      const std::lock_guard lock(objects(pool).mutex);
      for (unsigned i = 0; i < count; ++i) objects(pool).free.push_back(some[i]);
      return 0;
    };
    operations.dequeue = [](rte_mempool* pool, void** some, unsigned count) {
      if (allocations.fetch_add(1) == failing.load()) return -1;
      auto& [mutex, free] = objects(pool);
      const std::lock_guard lock(mutex);
      if (free.size() < count) return -1;
      for (unsigned i = 0; i < count; ++i) {
        some[i] = free.back();
        free.pop_back();
      }
      return 0;
    };
    operations.get_count = [](const rte_mempool* pool) {
      const std::lock_guard lock(objects(pool).mutex);
      return static_cast<unsigned>(objects(pool).free.size());
    };
    return rte_mempool_register_ops(&operations);
  }

  rte_mempool* pool_ = nullptr;
};

}  // namespace espgate::test
