// Makes a pool scarce: takes its buffers, but for so many, and gives them back.
#pragma once

#include <rte_mbuf.h>

#include <utility>
#include <vector>

namespace espgate::test {

class TakenBuffers {
 public:
  explicit TakenBuffers(rte_mempool* pool, unsigned left = 0) {
    while (rte_mempool_avail_count(pool) > left) {
      auto* buffer = rte_pktmbuf_alloc(pool);
      if (buffer == nullptr) break;
      buffers_.push_back(buffer);
    }
  }
  ~TakenBuffers() { give_back(); }
  TakenBuffers(const TakenBuffers&) = delete;
  TakenBuffers& operator=(const TakenBuffers&) = delete;

  std::size_t size() const { return buffers_.size(); }
  void give_back() {
    for (auto* buffer : std::exchange(buffers_, {})) rte_pktmbuf_free(buffer);
  }

 private:
  std::vector<rte_mbuf*> buffers_;
};

}  // namespace espgate::test
