// What an SA's packets mean for the SA: how much of its lifetime is left, and which of them were dropped.
#include "datapath/worker/packet.hpp"
#include "datapath/worker/worker.hpp"

namespace espgate::worker {

// Takes the packet out of what is left of its SA's lifetime. False: nothing is left, and the SA is expired
// from here on.
bool Worker::within_lifetime(unsigned row, std::uint64_t bytes) {
  const auto index = burst_.sa[row];
  const bool inbound = !burst_.protect[row];
  auto& allowance = inbound ? shared_.sas->inbound_allowance(index) : shared_.sas->outbound_allowance(index);
  const auto stage = allowance.claim(bytes, burst_.tsc, exclusive_);
  if (stage == sa::LifetimeStage::running) [[likely]]
    return true;
  if (stage == sa::LifetimeStage::hard)
    (void)sa::expire(inbound ? shared_.sas->inbound(index).state : shared_.sas->outbound(index).state);
  tell_lifetime(row, stage);
  return stage != sa::LifetimeStage::hard;
}

// Tells control that the row's SA came to this stage, unless it knows. If the ring is full, the SA's next
// packet tells again.
void Worker::tell_lifetime(unsigned row, sa::LifetimeStage stage) {
  const auto index = burst_.sa[row];
  const bool inbound = !burst_.protect[row];
  auto& allowance = inbound ? shared_.sas->inbound_allowance(index) : shared_.sas->outbound_allowance(index);
  const auto told = allowance.stage_told.load(std::memory_order_relaxed);
  if (told >= stage || !allowance.first_at(stage)) return;
  const auto spi = inbound ? shared_.sas->inbound(index).spi : shared_.sas->outbound(index).spi;
  sa::LifetimeReached reached{index, spi, inbound, stage, {}};
  if (rte_ring_mp_enqueue_elem(shared_.rings.lifetime, &reached, sizeof reached) == 0) return;
  allowance.stage_told.store(told, std::memory_order_relaxed);
  load_.notices_lost.add(1);
}

void Worker::pin(unsigned row, Verdict verdict) {
  const auto index = burst_.sa[row];
  burst_.protect[row] ? shared_.sas->outbound_faults(index).count(verdict)
                      : shared_.sas->inbound_faults(index).count(verdict);
}

}  // namespace espgate::worker
