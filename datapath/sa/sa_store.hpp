// All SAs of the box: fixed arrays for as many as the configuration allows, the SPI table over them,
// and the writer's calls. The control thread is the only writer; workers read without a lock.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>
#include <string>
#include <vector>

#include "datapath/base/expected.hpp"
#include "datapath/crypto/engine.hpp"
#include "datapath/sa/sa_table.hpp"
#include "datapath/sa/security_association.hpp"

namespace espgate::sa {

struct Limits {
  std::uint32_t inbound = 10'000;        // SAs, larval, active and retired together
  std::uint32_t outbound = 10'000;
  unsigned workers = 1;
};

struct SelectorPair {
  net::Prefix local;
  net::Prefix remote;
};

// One direction's key material and parameters, as configured or negotiated.
struct SaParameters {
  std::uint32_t spi = 0;                  // 256 or above
  crypto::SuiteId suite = crypto::SuiteId::aes_gcm_16_128;
  std::vector<std::uint8_t> keymat;       // key, then salt; suite.keymat_bytes(). Cleansed by its owner.
  net::Address local;                     // outer addresses, both of one family
  net::Address remote;
  Encapsulation encapsulation = Encapsulation::none;
  std::uint16_t local_port = 4500;        // with udp encapsulation
  std::uint16_t remote_port = 4500;
  bool extended_sequence = false;
  std::uint32_t window_packets = 1024;    // inbound; 0 is off
  std::vector<SelectorPair> selectors;    // inbound: at least one
};

class SaStore {
 public:
  // Takes all memory at once from `memory` (huge pages in the daemon). `engine` outlives the store.
  static Expected<std::unique_ptr<SaStore>> create(const Limits& limits, crypto::Engine& engine,
                                                   std::pmr::memory_resource& memory);
  ~SaStore();

  // -- control thread --
  // Claims an entry and publishes the SPI as larval. Errors: SPI reserved or in use, table full.
  Expected<std::uint32_t> reserve_inbound(std::uint32_t spi);
  // Fills a larval entry and makes it active.
  Expected<void> install_inbound(std::uint32_t index, const SaParameters& parameters);
  // Packets that still arrive are dropped as IN_SA_RETIRED. Counters stay readable.
  void retire_inbound(std::uint32_t index);
  // Unpublishes the SPI. The entry may be reused only after release_inbound, which the caller makes once
  // every worker has been quiescent since.
  void unpublish_inbound(std::uint32_t index);
  void release_inbound(std::uint32_t index);

  Expected<std::uint32_t> install_outbound(const SaParameters& parameters);
  void retire_outbound(std::uint32_t index);
  // As release_inbound; nothing may point at the entry any more.
  void release_outbound(std::uint32_t index);

  std::uint32_t find(std::uint32_t spi) const { return table_.find(spi); }

  // -- any thread --
  const SaTable& table() const { return table_; }
  InboundSa& inbound(std::uint32_t index) { return inbound_[index]; }
  OutboundSa& outbound(std::uint32_t index) { return outbound_[index]; }
  Usage& inbound_usage(unsigned worker, std::uint32_t index);
  Usage& outbound_usage(unsigned worker, std::uint32_t index);
  Faults& inbound_faults(std::uint32_t index) { return inbound_faults_[index]; }
  Faults& outbound_faults(std::uint32_t index) { return outbound_faults_[index]; }

  struct Total {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
  };
  Total inbound_total(std::uint32_t index) const;   // over all workers
  Total outbound_total(std::uint32_t index) const;
  const Limits& limits() const { return limits_; }
  crypto::Engine& engine() { return *engine_; }

 private:
  // (members: arrays from `memory_`, free lists)
  Limits limits_;
  SaTable table_;
  InboundSa* inbound_;
  OutboundSa* outbound_;
  Faults* inbound_faults_;
  Faults* outbound_faults_;
};

}  // namespace espgate::sa
