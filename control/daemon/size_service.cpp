#include "control/daemon/size_service.hpp"

#include <rte_mbuf.h>
#include <rte_ring.h>
#include <spdlog/spdlog.h>

#include <array>
#include <chrono>

#include "control/sizes/icmp_error.hpp"
#include "datapath/net/headers.hpp"

namespace espgate::daemon {
namespace {

constexpr unsigned reports_at_once = 4;
// 10,000 SAs are through in a tenth of a second, for a few tens of microseconds each time.
constexpr std::size_t sas_a_tick = 1'024;

sizes::PathMtus::Time steady_now() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

}  // namespace

SizeService::SizeService(Gateway& gateway, HostPath& path, const std::vector<host::Tap>& twins,
                         const host::KernelView& view, bool learn)
    : gateway_(gateway),
      path_(path),
      twins_(twins),
      view_(view),
      path_mtus_(gateway.sas(), gateway.forwarding(), {.learn = learn}) {
  path_.listen([this](std::span<const std::uint8_t> packet) { listen(packet); });
}

void SizeService::refresh() {
  path_mtus_.refresh(sas_a_tick, steady_now());
}

void SizeService::refresh_one(std::uint32_t outbound_sa) {
  path_mtus_.refresh_one(outbound_sa, steady_now());
}

unsigned SizeService::tell_senders() {
  std::array<void*, reports_at_once> packets;
  const unsigned count =
      rte_ring_sc_dequeue_burst(gateway_.shared().rings.refused, packets.data(), reports_at_once, nullptr);
  for (unsigned i = 0; i < count; ++i) {
    auto* refused = static_cast<rte_mbuf*>(packets[i]);
    tell_sender({rte_pktmbuf_mtod(refused, const std::uint8_t*), refused->data_len},
                worker::refusal_of(*refused), refused->port);
    rte_pktmbuf_free(refused);
  }
  return count;
}

void SizeService::tell_sender(std::span<const std::uint8_t> refused, net::Refusal refusal,
                              std::uint16_t port) {
  const auto family = refused[0] >> 4 == 4 ? net::Family::v4 : net::Family::v6;
  const bool own = port == worker::from_control;
  // The kernel takes no packet from an address of its own, so it hears of its own packets from whom it sent
  // them to.
  const auto* destination =
      &refused[family == net::Family::v4 ? net::ipv4::destination : net::ipv6::destination];
  const auto source = own ? net::Address::from_bytes(family, destination) : speaker(port, family);
  if (!source) return;
  const auto message = sizes::icmp_error(refused, refusal, *source);
  // Lost like any ICMP: the sender tries again, and is told again.
  if (message) (void)path_.send(*message, own ? worker::from_control : worker::clear_from_control);
}

// Not a link-local one: it says nothing beyond its link.
std::optional<net::Address> SizeService::address_of(std::size_t port, net::Family family) const {
  for (const auto& [place, state] : view_.addresses) {
    const auto& address = place.second.address;
    if (place.first == twins_[port].ifindex() && address.family == family &&
        !(family == net::Family::v6 && address.bytes[0] == 0xfe))
      return address;
  }
  return std::nullopt;
}

// On a port with ipsec the address of an inside port, if there is one: it is what policies let through.
std::optional<net::Address> SizeService::speaker(std::size_t port, net::Family family) const {
  const auto& ports = gateway_.ports();
  const auto own = port < ports.size() ? address_of(port, family) : std::nullopt;
  if (own && !ports[port]->port().ipsec) return own;
  for (std::size_t other = 0; other < ports.size(); ++other)
    if (!ports[other]->port().ipsec)
      if (const auto address = address_of(other, family)) return address;
  return own;
}

void SizeService::listen(std::span<const std::uint8_t> packet) {
  const auto report = sizes::read_path_report(packet);
  if (!report || !path_mtus_.learn(*report, steady_now())) return;
  spdlog::info("path to {}: MTU {} by a router's word, for ten minutes", net::to_string(report->remote),
               report->mtu);
}

}  // namespace espgate::daemon
