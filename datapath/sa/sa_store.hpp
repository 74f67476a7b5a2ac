// All SAs of the box: fixed arrays for as many as the configuration allows, the SPI table over them,
// and the writer's calls. The control thread is the only writer; workers read without a lock.
//
//   reserve ─► larval ─ install ─► active ─ retire ─► retired ─ unpublish ─► (unseen) ─ release ─► free
//                 │                  └─ expire ─► expired ──┤       (by a worker or by control; it stays
//                 │                                         │        expired when it is retired)
//                 └───────────── retire ──────────────────┘        any published state may be unpublished
//
// SPIs whose SAs were another process's have one entry together that is always retired: each takes a place in
// the SPI table, and no more.
//
// Outbound SAs are published by policies, so they only know active, expired and retired. Everything of an
// entry is written before its state says `active` (release); who reads `active` (acquire) may read the rest.
#pragma once

#include <cstdint>
#include <memory>
#include <memory_resource>
#include <span>
#include <vector>

#include "datapath/base/expected.hpp"
#include "datapath/crypto/engine.hpp"
#include "datapath/net/siphash.hpp"
#include "datapath/sa/faults.hpp"
#include "datapath/sa/iv_bases.hpp"
#include "datapath/sa/lifetime.hpp"
#include "datapath/sa/sa_parameters.hpp"
#include "datapath/sa/sa_table.hpp"
#include "datapath/sa/security_association.hpp"
#include "datapath/sa/slab.hpp"

namespace espgate::sa {

struct Limits {
  std::uint32_t inbound = 10'000;  // SAs, larval, active and retired together
  std::uint32_t outbound = 10'000;
  unsigned workers = 1;
  std::uint64_t tsc_hz = 0;  // 0: workers do not watch lifetimes in seconds, control alone does
};

// Past the hard lifetime: true for who made it so. Any thread.
bool expire(std::atomic<State>& state);

class SaStore {
 public:
  // Takes all memory at once from `memory` (huge pages in the daemon); later only replay windows above
  // 1024 packets and selectors behind the first come from there. `engine` and `memory` outlive the store.
  static Expected<std::unique_ptr<SaStore>> create(const Limits& limits, crypto::Engine& engine,
                                                   std::pmr::memory_resource& memory);
  ~SaStore();
  // About what `create` takes, to be known before there is an engine.
  static std::size_t memory_bytes(const Limits& limits);

  // -- control thread --
  // Claims an entry and publishes the SPI as larval, whoever had it before this process. Errors: SPI reserved
  // or in use, table full.
  Expected<std::uint32_t> reserve_inbound(std::uint32_t spi);
  // Fills a larval entry and makes it active. On error the entry is larval as before.
  // `owner`: SAs with the same number follow each other for one peer and the same traffic, so that the
  // fragments of one packet may come by several of them (RFC 4301 7). 0: it is the only one.
  Expected<void> install_inbound(std::uint32_t index, const SaParameters& parameters,
                                 std::uint64_t owner = 0);
  // Packets that still arrive are dropped as IN_SA_RETIRED, or as expired if it was. Counters stay readable.
  void retire_inbound(std::uint32_t index);
  // Unpublishes the SPI. The entry may be reused only after release_inbound, which the caller makes once
  // every worker has been quiescent since. Release destroys the key.
  void unpublish_inbound(std::uint32_t index);
  void release_inbound(std::uint32_t index);

  // An SPI that had an SA in a process before this one: packets with it are dropped as IN_SA_RETIRED. False:
  // SPI reserved or in use, or has_spi_room() says no.
  bool publish_earlier(std::uint32_t spi);
  // Nothing happens if an SA has it by now.
  void unpublish_earlier(std::uint32_t spi);
  bool is_earlier(std::uint32_t spi) const { return table_.find(spi) == earlier_; }
  // Each inbound entry has a place in the SPI table if earlier SPIs leave it.
  bool has_spi_room() const { return table_.size() < limits_.inbound; }

  // Installed and active; the caller publishes it in a policy. Errors: SPI reserved, none free.
  // While another SA has its key, that one gets a last sequence number (see IvBases). `owner`: as inbound.
  Expected<std::uint32_t> install_outbound(const SaParameters& parameters, std::uint64_t owner = 0);
  void retire_outbound(std::uint32_t index);
  // The peer of a connection with UDP encapsulation is elsewhere now, of the same family. Workers see it from
  // the next packets on. Either index may be no_sa.
  void move_peer(std::uint32_t inbound, std::uint32_t outbound, const net::Address& peer, std::uint16_t port);
  // As release_inbound; nothing may point at the entry any more.
  void release_outbound(std::uint32_t index);

  // The SA's index, or no_sa.
  std::uint32_t find(std::uint32_t spi) const {
    const auto index = table_.find(spi);
    return index == earlier_ ? no_sa : index;
  }

  // -- any thread --
  const SaTable& table() const { return table_; }
  InboundSa& inbound(std::uint32_t index) { return inbound_[index]; }
  OutboundSa& outbound(std::uint32_t index) { return outbound_[index]; }
  Usage& inbound_usage(unsigned worker, std::uint32_t index) {
    return inbound_usage_[worker * inbound_row_ + index];
  }
  Usage& outbound_usage(unsigned worker, std::uint32_t index) {
    return outbound_usage_[worker * outbound_row_ + index];
  }
  InboundFaults& inbound_faults(std::uint32_t index) { return inbound_faults_[index]; }
  OutboundFaults& outbound_faults(std::uint32_t index) { return outbound_faults_[index]; }
  Allowance& inbound_allowance(std::uint32_t index) { return inbound_allowances_[index]; }
  Allowance& outbound_allowance(std::uint32_t index) { return outbound_allowances_[index]; }
  // Never 0 for an SA that is, or was, active.
  std::uint64_t inbound_owner(std::uint32_t index) const { return inbound_owners_[index]; }
  std::uint64_t outbound_owner(std::uint32_t index) const { return outbound_owners_[index]; }

  struct Total {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    std::uint64_t last_tsc = 0;  // 0: never
  };
  Total inbound_total(std::uint32_t index) const;  // over all workers
  Total outbound_total(std::uint32_t index) const;
  // What outer flow labels are made with, in place of the SAs' keys. Random, and never told.
  const net::SipKey& label_secret() const { return label_secret_; }
  const Limits& limits() const { return limits_; }
  crypto::Engine& engine() { return engine_; }

 private:
  // Where an entry is in its life, for the writer; the workers' view is State.
  enum class Stage : std::uint8_t { free, published, unpublished };

  SaStore(const Limits& limits, crypto::Engine& engine, std::pmr::memory_resource& memory,
          const net::SipKey& label_secret);
  Expected<void> prepare_key(const SaParameters& parameters, std::byte* slot);
  void take_window(InboundSa& entry, std::uint32_t index, const SaParameters& parameters);
  void take_selectors(InboundSa& entry, std::span<const net::TrafficSelector> selectors);
  void give_back(InboundSa& entry, std::uint32_t index);  // what the two took
  const MoreSelectors* keep(std::span<const net::TrafficSelector> selectors,
                            const net::TrafficSelector* but = nullptr);
  void give_back(const MoreSelectors* kept);
  void begin_lifetime(Allowance& allowance, const SaParameters& parameters) const;
  void zero_usage(const FixedArray<Usage>& usage, std::size_t row, std::uint32_t index) const;
  Total total(const FixedArray<Usage>& usage, std::size_t row, std::uint32_t index) const;

  Limits limits_;
  std::uint32_t earlier_;  // index of the entry that earlier SPIs have, behind those of SAs
  crypto::Engine& engine_;
  std::pmr::memory_resource& memory_;
  SaTable table_;
  FixedArray<InboundSa> inbound_;
  FixedArray<OutboundSa> outbound_;
  FixedArray<InboundFaults> inbound_faults_;
  FixedArray<OutboundFaults> outbound_faults_;
  FixedArray<Allowance> inbound_allowances_;
  FixedArray<Allowance> outbound_allowances_;
  FixedArray<std::uint64_t> inbound_owners_;
  FixedArray<std::uint64_t> outbound_owners_;
  std::size_t inbound_row_;  // Usage is [worker][SA]; a row is whole cache lines
  std::size_t outbound_row_;
  FixedArray<Usage> inbound_usage_;
  FixedArray<Usage> outbound_usage_;
  Slab inbound_keys_;
  Slab outbound_keys_;
  Slab cells_;
  std::vector<Stage> inbound_stage_;
  std::vector<Stage> outbound_stage_;
  std::vector<std::uint32_t> free_inbound_;  // used from the back
  std::vector<std::uint32_t> free_outbound_;
  IvBases iv_bases_;
  net::SipKey label_secret_;
};

}  // namespace espgate::sa
