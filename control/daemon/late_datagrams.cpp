#include "control/daemon/late_datagrams.hpp"

namespace espgate::daemon {

void LateDatagrams::sent(const net::Address& destination, std::span<const std::uint8_t> packet, Time now) {
  while (!sent_.empty() && (sent_.size() >= most || now - sent_.front().at > remembered)) sent_.pop_front();
  sent_.push_back({destination, {packet.begin(), packet.end()}, now});
}

void LateDatagrams::was_unreachable(const net::Address& destination, Time now) {
  for (auto& each : sent_)
    if (each.destination == destination && each.due == never && each.tried < tries &&
        now - each.at <= remembered)
      each.due = now + first_wait * (1u << each.tried++);
}

void LateDatagrams::send_due(Time now, const std::function<void(std::span<const std::uint8_t>)>& send) {
  for (auto& each : sent_)
    if (each.due <= now) {
      each.due = never;
      send(each.packet);
    }
}

}  // namespace espgate::daemon
