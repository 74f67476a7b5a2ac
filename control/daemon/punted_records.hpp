// What the workers report by value, taken from their rings.
#pragma once

#include <rte_ring.h>
#include <rte_ring_elem.h>

#include <array>

namespace espgate::daemon {

// Calls `handle` for each record at hand, up to a limit that lets other work have its turn. Returns how many.
template <typename Record, typename Handle>
unsigned take(rte_ring* ring, Handle handle) {
  constexpr unsigned records_a_round = 256;
  std::array<Record, records_a_round> records;
  const unsigned count =
      rte_ring_sc_dequeue_burst_elem(ring, records.data(), sizeof records[0], records_a_round, nullptr);
  for (unsigned i = 0; i < count; ++i) handle(records[i]);
  return count;
}

}  // namespace espgate::daemon
