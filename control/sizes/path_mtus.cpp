#include "control/sizes/path_mtus.hpp"

#include <algorithm>
#include <optional>

#include "datapath/net/headers.hpp"
#include "datapath/sa/esp_sizes.hpp"

namespace espgate::sizes {
namespace {

// RFC 8200 5 has every link carry 1280 bytes, so a report of less is none (RFC 8201 4). An IPv4 router may
// say less than what is any good, or 0 if it is from before RFC 1191.
std::optional<std::uint16_t> mtu_of(const PathReport& report) {
  if (report.remote.family == net::Family::v4) return std::max(report.mtu, sa::least_path_mtu4);
  return report.mtu < net::ipv6_least_mtu ? std::nullopt : std::optional(report.mtu);
}

net::Address address_of(const sa::OutboundSa& sa, bool remote) {
  const bool v4 = sa.outer_family == net::Family::v4;
  const std::size_t at = v4 ? (remote ? net::ipv4::destination : net::ipv4::source)
                            : (remote ? net::ipv6::destination : net::ipv6::source);
  return net::Address::from_bytes(sa.outer_family, sa.headers + at);
}

}  // namespace

PathMtus::PathMtus(sa::SaStore& store, const forward::Forwarding& forwarding, const Options& options)
    : store_(store), forwarding_(forwarding), options_(options), index_(store.limits().outbound) {}

void PathMtus::refresh(std::size_t most, Time now) {
  forget_old(now);
  const auto count = store_.limits().outbound;
  for (most = std::min<std::size_t>(most, count); most > 0; --most) {
    next_ = next_ + 1 < count ? next_ + 1 : 0;
    refresh_one(next_, now);
  }
}

void PathMtus::refresh_one(std::uint32_t index, Time now) {
  auto& sa = store_.outbound(index);
  if (sa.state.load(std::memory_order_relaxed) != sa::State::active) {
    index_.remove(index);
    return;
  }
  const auto remote = address_of(sa, true);
  index_.put(index, remote, sa.spi);
  const auto mtu = mtu_of(remote, now);
  if (sa.path_mtu.load(std::memory_order_relaxed) != mtu) sa.path_mtu.store(mtu, std::memory_order_relaxed);
}

// Peers that are gone as well.
void PathMtus::forget_old(Time now) {
  if (learned_.empty() || now - forgot_ < std::chrono::seconds(1)) return;
  forgot_ = now;
  std::erase_if(learned_, [&](const auto& entry) { return now >= entry.second.until; });
}

std::uint16_t PathMtus::mtu_of(const net::Address& remote, Time now) const {
  const auto mtu = route_mtu(remote);
  const auto known = learned_.find(remote);
  return known == learned_.end() || now >= known->second.until ? mtu : std::min(mtu, known->second.mtu);
}

// Without a route nothing is known, and nothing is sent either.
std::uint16_t PathMtus::route_mtu(const net::Address& remote) const {
  const auto& hop = forwarding_.hop_to(remote.bytes.data(), remote.family);
  const bool leads_out = hop.kind == forward::HopKind::resolved || hop.kind == forward::HopKind::unresolved ||
                         hop.kind == forward::HopKind::glean;
  return leads_out && hop.mtu != 0 ? hop.mtu : sa::path_mtu_unknown;
}

bool PathMtus::learn(const PathReport& report, Time now) {
  const auto mtu = sizes::mtu_of(report);
  if (!options_.learn || !mtu) return false;
  const auto quoted =
      index_.find(report.remote, report.spi, [&](std::uint32_t index) { return was_sent(report, index); });
  if (quoted == OutboundIndex::nobody) return false;
  const bool news = *mtu < mtu_of(report.remote, now) && remember(report.remote, *mtu, now);
  refresh_one(quoted, now);
  return news;
}

bool PathMtus::remember(const net::Address& remote, std::uint16_t mtu, Time now) {
  if (now - second_ >= std::chrono::seconds(1)) {
    second_ = now;
    reports_ = 0;
  }
  if (reports_ == options_.reports_per_second) return false;
  if (learned_.size() >= options_.paths && !learned_.contains(remote)) return false;
  ++reports_;
  learned_[remote] = {mtu, now + options_.age};
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
