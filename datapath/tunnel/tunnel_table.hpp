// Tunnels as workers see them: what a route that leads into one means for a packet, and which tunnel an SA's
// packets come out of.
//
//   route ─► hop ─► tunnel ─► policy::Decision ─► outbound SA          inbound SA ─► tunnel
//
// A multipoint tunnel has an entry for each of its peers, which routes lead into by the peer's next hop and
// which workers take for a tunnel like any other, and one of its own, for the link in the kernel that they
// share: a route that leads there names none of the peers, and what it brings is dropped. Multicast of the
// kernel's is for all of them, which hang in a chain from the shared entry.
//
// One writer, the control thread; workers read without a lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <memory_resource>

#include "datapath/base/expected.hpp"
#include "datapath/forward/index_pool.hpp"
#include "datapath/net/gre.hpp"
#include "datapath/policy/decision.hpp"
#include "datapath/sa/slab.hpp"

namespace espgate::tunnel {

using Index = std::uint16_t;
inline constexpr Index no_tunnel = 0;
inline constexpr std::uint32_t most_tunnels = 0xff00;

// What a packet is wrapped in before its SA takes it.
struct Traits {
  bool gre = false;  // in transport mode; else nothing: the SA is in tunnel mode
  net::gre::Options options{};
  bool multipoint = false;    // the entry that the peers share
  Index peer_of = no_tunnel;  // a peer's: that entry
  bool operator==(const Traits&) const = default;
};

struct alignas(64) Tunnel {
  std::atomic<std::uint64_t> traits;    // packed, so that they change at once
  std::atomic<std::uint32_t> decision;  // of policy::Decision: protect or protect_without_sa
  std::atomic<std::uint64_t> drops;  // packets that the tunnel could not take, or that came out of it broken
  std::atomic<Index>
      next_peer;  // of the entry that peers share the first, of a peer the next; no_tunnel: none

  policy::Decision current() const { return {decision.load(std::memory_order_acquire)}; }
  Traits current_traits() const;
};
static_assert(sizeof(Tunnel) == 64);

namespace detail {

inline constexpr std::uint64_t is_gre = std::uint64_t{1} << 63, has_key = std::uint64_t{1} << 62,
                               has_checksum = std::uint64_t{1} << 61, is_multipoint = std::uint64_t{1} << 60;
inline constexpr unsigned peer_of_shift = 32;  // above the key

}  // namespace detail

inline Traits Tunnel::current_traits() const {
  const auto word = traits.load(std::memory_order_relaxed);
  Traits result;
  result.gre = (word & detail::is_gre) != 0;
  if ((word & detail::has_key) != 0) result.options.key = static_cast<std::uint32_t>(word);
  result.options.checksum = (word & detail::has_checksum) != 0;
  result.multipoint = (word & detail::is_multipoint) != 0;
  result.peer_of = static_cast<Index>(word >> detail::peer_of_shift);
  return result;
}

class TunnelTable {
 public:
  // `tunnels`: at most that many, and most_tunnels. Takes all memory at once from `memory`, which outlives
  // the table.
  static Expected<std::unique_ptr<TunnelTable>> create(std::uint32_t tunnels, std::uint32_t inbound_sas,
                                                       std::pmr::memory_resource& memory,
                                                       forward::ReaderBarrier barrier);
  static std::size_t memory_bytes(std::uint32_t tunnels, std::uint32_t inbound_sas);

  // -- control thread --
  // Without an SA. Errors: the limit.
  Expected<Index> add(const Traits& traits = {});
  // What is a peer remains one, of the same entry.
  void change(Index index, const Traits& traits);
  // No route and no inbound SA may name it any more.
  void remove(Index index);
  // Packets see the old SA or the new one.
  void set(Index index, policy::Decision decision);
  // What an inbound SA, by its index in the store, decrypts has come out of that tunnel; no_tunnel: of none.
  void bind_inbound(std::uint32_t sa, Index tunnel);
  std::uint32_t size() const { return size_.load(std::memory_order_relaxed); }

  // -- any thread --
  // False as long as there is none, so that gateways without tunnels need not ask further.
  bool in_use() const { return size_.load(std::memory_order_relaxed) != 0; }
  Tunnel& at(Index index) const { return tunnels_[index]; }
  Index of_inbound(std::uint32_t sa) const { return by_inbound_[sa].load(std::memory_order_relaxed); }

 private:
  TunnelTable(std::uint32_t tunnels, std::uint32_t inbound_sas, std::pmr::memory_resource& memory,
              forward::ReaderBarrier barrier);
  void unchain(Index peer, Index shared);

  sa::FixedArray<Tunnel> tunnels_;
  sa::FixedArray<std::atomic<Index>> by_inbound_;
  forward::IndexPool pool_;
  std::uint32_t limit_;
  std::atomic<std::uint32_t> size_{0};
};

}  // namespace espgate::tunnel
