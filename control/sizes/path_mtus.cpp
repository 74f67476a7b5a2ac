#include "control/sizes/path_mtus.hpp"

#include <algorithm>

#include "datapath/net/headers.hpp"

namespace espgate::sizes {
namespace {

// RFC 1122 3.3.3 has every host take 576 bytes; RFC 8200 5 has every link carry 1280.
std::uint16_t least_mtu(net::Family family) {
  return family == net::Family::v4 ? 576 : 1280;
}

net::Address address_of(const sa::OutboundSa& sa, bool remote) {
  const bool v4 = sa.outer_family == net::Family::v4;
  const std::size_t at = v4 ? (remote ? net::ipv4::destination : net::ipv4::source)
                            : (remote ? net::ipv6::destination : net::ipv6::source);
  return net::Address::from_bytes(sa.outer_family, sa.headers + at);
}

}  // namespace

PathMtus::PathMtus(sa::SaStore& store, const forward::Forwarding& forwarding, const Options& options)
    : store_(store), forwarding_(forwarding), options_(options) {}

void PathMtus::refresh(std::size_t most, Time now) {
  const auto count = store_.limits().outbound;
  for (most = std::min<std::size_t>(most, count); most > 0; --most) {
    next_ = next_ + 1 < count ? next_ + 1 : 0;
    auto& sa = store_.outbound(next_);
    if (sa.state.load(std::memory_order_relaxed) != sa::State::active) continue;
    const auto mtu = mtu_of(address_of(sa, true), now);
    if (sa.path_mtu.load(std::memory_order_relaxed) != mtu) sa.path_mtu.store(mtu, std::memory_order_relaxed);
  }
}

std::uint16_t PathMtus::mtu_of(const net::Address& remote, Time now) {
  auto mtu = route_mtu(remote);
  const auto known = learned_.find(remote);
  if (known == learned_.end()) return mtu;
  if (now >= known->second.until)
    learned_.erase(known);
  else
    mtu = std::min(mtu, known->second.mtu);
  return mtu;
}

// Without a route nothing is known, and nothing is sent either.
std::uint16_t PathMtus::route_mtu(const net::Address& remote) const {
  forward::HopIndex index = forward::no_route_hop;
  if (remote.family == net::Family::v4) {
    const std::uint32_t destination = remote.v4_value();
    forwarding_.route4({&destination, 1}, &index);
  } else {
    std::uint8_t destination[1][16];
    std::ranges::copy(remote.bytes, destination[0]);
    forwarding_.route6(destination, &index);
  }
  const auto& hop = forwarding_.hop(index);
  const bool leads_out = hop.kind == forward::HopKind::resolved || hop.kind == forward::HopKind::unresolved ||
                         hop.kind == forward::HopKind::glean;
  return leads_out && hop.mtu != 0 ? hop.mtu : sa::path_mtu_unknown;
}

bool PathMtus::learn(const PathReport& report, Time now) {
  if (!options_.learn || report.mtu < least_mtu(report.remote.family)) return false;
  if (report.mtu >= mtu_of(report.remote, now)) return false;
  if (now - second_ >= std::chrono::seconds(1)) {
    second_ = now;
    reports_ = 0;
  }
  if (++reports_ > options_.reports_per_second) return false;
  const auto known = learned_.find(report.remote);
  if (known == learned_.end() && learned_.size() >= options_.paths) return false;
  bool sent = false;
  for (std::uint32_t index = 0; index < store_.limits().outbound && !sent; ++index)
    sent = was_sent(report, index);
  if (!sent) return false;
  learned_[report.remote] = {report.mtu, now + options_.age};
  // The SAs to that peer follow at once, however many there are of others.
  for (std::uint32_t index = 0; index < store_.limits().outbound; ++index) {
    auto& sa = store_.outbound(index);
    if (sa.state.load(std::memory_order_relaxed) == sa::State::active &&
        address_of(sa, true) == report.remote)
      sa.path_mtu.store(mtu_of(report.remote, now), std::memory_order_relaxed);
  }
  return true;
}

bool PathMtus::was_sent(const PathReport& report, std::uint32_t index) const {
  const auto& sa = store_.outbound(index);
  if (sa.spi != report.spi || sa.state.load(std::memory_order_relaxed) != sa::State::active) return false;
  if (sa.outer_family != report.remote.family) return false;
  const auto last = static_cast<std::uint32_t>(sa.sequence.load(std::memory_order_relaxed));
  const std::uint32_t ago = last - report.sequence;
  return ago < options_.sequence_window && ago < sa.sequence.load(std::memory_order_relaxed) &&
         address_of(sa, true) == report.remote && address_of(sa, false) == report.local;
}

}  // namespace espgate::sizes
