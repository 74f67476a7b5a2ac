// What the workers report by value, taken from their rings.
#pragma once

#include <rte_ring.h>
#include <rte_ring_elem.h>

#include <array>

namespace espgate::daemon {

// Calls `handle` for a few of the records at hand. Returns for how many.
template <typename Record, typename Handle>
unsigned take(rte_ring* ring, Handle handle) {
  std::array<Record, 4> records;
  const unsigned count =
      rte_ring_sc_dequeue_burst_elem(ring, records.data(), sizeof records[0], records.size(), nullptr);
  for (unsigned i = 0; i < count; ++i) handle(records[i]);
  return count;
}

}  // namespace espgate::daemon
