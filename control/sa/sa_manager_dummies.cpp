// SaManager: dummy packets, at the rates that connections ask for (RFC 4303 2.6).
#include "control/sa/dummy_packet.hpp"
#include "control/sa/sa_manager_plan.hpp"

namespace espgate::sa {
namespace {

// A tick every 10 ms sends 25,600 a second at most, and looks at each of 100,000 connections once a second.
constexpr std::size_t dummies_a_tick = 256;
constexpr std::size_t senders_a_tick = 1'024;  // of a few nanoseconds each

// Half to one and a half times what the rate says, since a rhythm would tell the dummies.
std::chrono::nanoseconds pause(std::uint32_t rate, std::uint32_t random) {
  const std::uint64_t average = 1'000'000'000 / rate;
  return std::chrono::nanoseconds(average / 2 + average * (random & 0xffff) / 0x10000);
}

net::TrafficSelector everything() {
  const auto all = net::AddressRange::everything(net::Family::v4);
  return {all, all, {}, {}, {}};
}

}  // namespace

void SaManager::list_senders() {
  free_slowly(keepalive_senders_, pause_);
  free_slowly(dummy_senders_, pause_);
  for (const auto& [name, connection] : connections_) {
    pause_();
    if (connection->nat_keepalive_s != 0) keepalive_senders_.push_back(connection);
    if (connection->dummy_rate != 0) dummy_senders_.push_back(connection);
  }
}

void SaManager::send_dummies(Moment now) {
  std::size_t sent = 0;
  const auto looks = std::min(senders_a_tick, dummy_senders_.size());
  for (std::size_t i = 0; i < looks && sent < dummies_a_tick; ++i) {
    auto& connection = *dummy_senders_[next_dummy_sender_++ % dummy_senders_.size()];
    const bool routed = connection.tunnel != tunnel::no_tunnel;
    if (connection.outbound == no_sa || (connection.policies.empty() && !routed)) continue;
    // What the ticks between were too few for is made up for, but never a silence.
    const auto late = now.steady - connection.next_dummy;
    if (late > std::chrono::seconds(1)) connection.next_dummy = now.steady;
    for (; connection.next_dummy <= now.steady && sent < dummies_a_tick; ++sent) {
      const auto random = parts_.random();
      connection.next_dummy += pause(connection.dummy_rate, random);
      const auto bytes = DummyPacket::least_bytes +
                         (random >> 16) % (DummyPacket::most_bytes - DummyPacket::least_bytes + 1);
      const auto selector = routed ? everything() : connection.policies.front()->key.selector;
      parts_.dummy(DummyPacket(selector, bytes).bytes(), connection.tunnel);
    }
  }
}

}  // namespace espgate::sa
