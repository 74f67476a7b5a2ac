// The path MTU of every outbound SA: the smaller of the route's to the peer and what routers on the way told
// of it, until that ages out (RFC 1191 6.3, RFC 8201 4). A path is known by its peer's address, so what was
// learned outlives a rekey.
//
// Reports are not authenticated. One counts only if it quotes the SPI, the addresses and a sequence number we
// lately used and lowers what is known (RFC 4301 8.2.1). It lowers it to no less than what every path must
// carry: an IPv4 path of less is taken without DF, and of an IPv6 path no such report counts (RFC 8201 4). A
// report on UDP-encapsulated ESP that quotes eight bytes of it, as RFC 792 has it, ends before the SPI and
// counts for nothing. Finding the SA that it quotes costs no more than the report cost to read, so that a
// flood of forged ones keeps no good one out; limits are for those that count.
//
// Everything runs on the control thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <unordered_map>

#include "control/sizes/outbound_index.hpp"
#include "control/sizes/path_report.hpp"
#include "datapath/forward/forwarding.hpp"
#include "datapath/sa/sa_store.hpp"

namespace espgate::sizes {

class PathMtus {
 public:
  using Time = std::chrono::nanoseconds;  // steady
  struct Options {
    bool learn = true;
    Time age = std::chrono::minutes(10);  // of what was learned
    std::size_t paths = 4'096;            // most peers with something learned
    unsigned reports_per_second =
        100;  // that count; more are passed over, and the sender's router tells again
    std::uint32_t sequence_window = 1 << 20;  // how far back a quoted packet may lie
  };
  // Both references outlive this.
  PathMtus(sa::SaStore& store, const forward::Forwarding& forwarding, const Options& options);

  // Brings the next `most` SAs up to date. To be called every few milliseconds: routes, ports and SAs change,
  // and what was learned ages, without telling.
  void refresh(std::size_t most, Time now);
  // The same for one SA: a new one before it is used, or one whose peer moved.
  void refresh_one(std::uint32_t sa, Time now);
  // True: it says something new. The SA that it quotes follows at once, others to that peer with their own
  // reports or the next refresh. Counts for SAs that `refresh` has seen.
  bool learn(const PathReport& report, Time now);

  std::size_t learned() const { return learned_.size(); }

 private:
  struct Learned {
    std::uint16_t mtu;
    Time until;
  };
  std::uint16_t mtu_of(const net::Address& remote, Time now) const;
  std::uint16_t route_mtu(const net::Address& remote) const;
  bool was_sent(const PathReport& report, std::uint32_t index) const;
  bool remember(const net::Address& remote, std::uint16_t mtu, Time now);
  void forget_old(Time now);

  sa::SaStore& store_;
  const forward::Forwarding& forwarding_;
  Options options_;
  std::unordered_map<net::Address, Learned> learned_;  // by the peer's address
  OutboundIndex index_;
  std::uint32_t next_ = 0;
  Time second_{};
  unsigned reports_ = 0;  // in that second
  Time forgot_{};
};

}  // namespace espgate::sizes
