#include "control/daemon/counter_watch.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "control/daemon/services.hpp"

namespace espgate::daemon {

std::array<std::uint64_t, verdict_count> sample_verdicts(const Services& services) {
  std::array<std::uint64_t, verdict_count> counts{};
  for (std::size_t i = 0; i < verdict_count; ++i) {
    for (const auto& worker : services.gateway->workers())
      counts[i] += worker->counters().verdicts[i].value();
    if (verdict_rows()[i].outcome == Outcome::drop)
      counts[i] += services.host_path->counters().verdicts[i].value();
  }
  return counts;
}

void CounterWatch::sample(Moment now) {
  CounterSample sample{sample_verdicts(services_), {}};
  for (const auto& open : services_.gateway->ports()) {
    const auto port = open->statistics();
    sample.ports.rx_packets += port.rx_packets;
    sample.ports.rx_bytes += port.rx_bytes;
    sample.ports.tx_packets += port.tx_packets;
    sample.ports.tx_bytes += port.tx_bytes;
  }
  history_.add(now.steady, sample);
  thresholds_.check(
      history_, now, [&](const config::Threshold& threshold, bool crossed, std::uint64_t packets) {
        const auto text = crossed ? fmt::format("{} packets in the last minute, the threshold is {}", packets,
                                                threshold.per_minute)
                                  : fmt::format("down to {} packets in the last minute", packets);
        spdlog::log(crossed ? spdlog::level::warn : spdlog::level::info, "drops as {}: {}", threshold.name,
                    text);
        journal_.add(crossed ? EventKind::threshold_crossed : EventKind::threshold_cleared, threshold.name,
                     text, now);
      });
}

}  // namespace espgate::daemon
