// show drops, show drops ipsec, clear drops.
#include <memory>

#include "control/cli/drops.hpp"
#include "control/cli/values.hpp"
#include "control/daemon/services.hpp"

namespace espgate::daemon {
namespace {

using Counts = std::array<std::uint64_t, verdict_count>;

// Summed over the workers and control's half of the host path. What control merely passed on is a
// worker's to count, so of control only drops are added.
Counts total_counts(const Services& services) {
  Counts counts{};
  for (std::size_t i = 0; i < verdict_count; ++i) {
    for (const auto& worker : services.gateway->workers())
      counts[i] += worker->counters().verdicts[i].value();
    if (verdict_rows()[i].outcome == Outcome::drop)
      counts[i] += services.host_path->counters().verdicts[i].value();
  }
  return counts;
}

// What `clear drops` left behind. The counters themselves only ever grow.
struct Baseline {
  Counts counts{};
  std::chrono::system_clock::time_point since;
};

Counts counts_since(const Services& services, const Baseline& baseline) {
  Counts counts = total_counts(services);
  for (std::size_t i = 0; i < verdict_count; ++i) counts[i] -= baseline.counts[i];
  return counts;
}

std::uint64_t drops_in(const Counts& counts) {
  std::uint64_t total = 0;
  for (const auto& row : verdict_rows())
    if (row.outcome == Outcome::drop) total += counts[index_of(row.verdict)];
  return total;
}

}  // namespace

void add_drop_commands(Services& services, cli::Handlers& handlers) {
  const auto baseline = std::make_shared<Baseline>();
  const auto since = [&services, baseline] {
    return cli::time_text(std::max(baseline->since, services.started));
  };
  handlers.answer(cli::CommandId::show_drops, [=, &services](const cli::Request& request) {
    return cli::drops_by_group(counts_since(services, *baseline), request.arguments, since());
  });
  handlers.answer(cli::CommandId::show_drops_ipsec, [=, &services](const cli::Request& request) {
    return cli::drops_by_reason(counts_since(services, *baseline), request.arguments, since());
  });
  handlers.answer(cli::CommandId::clear_drops,
                  [=, &services](const cli::Request&) -> Expected<nlohmann::json> {
                    const auto cleared = drops_in(counts_since(services, *baseline));
                    *baseline = {total_counts(services), std::chrono::system_clock::now()};
                    return nlohmann::json{{"cleared", cleared}, {"since", since()}};
                  });
}

}  // namespace espgate::daemon
