// show drops, show drops ipsec, show drops history, show thresholds, show events, clear drops.
#include <algorithm>
#include <chrono>
#include <memory>

#include "control/cli/drops.hpp"
#include "control/cli/values.hpp"
#include "control/daemon/services.hpp"

namespace espgate::daemon {
namespace {

using nlohmann::json;
using Counts = std::array<std::uint64_t, verdict_count>;

// What `clear drops` left behind. The counters themselves only ever grow.
struct Baseline {
  Counts counts{};
  std::chrono::system_clock::time_point since;
};

Counts counts_since(const Services& services, const Baseline& baseline) {
  Counts counts = sample_verdicts(services);
  for (std::size_t i = 0; i < verdict_count; ++i) counts[i] -= baseline.counts[i];
  return counts;
}

std::uint64_t drops_in(const Counts& counts) {
  std::uint64_t total = 0;
  for (const auto& row : verdict_rows())
    if (row.outcome == Outcome::drop) total += counts[index_of(row.verdict)];
  return total;
}

// A number as it grew within each of History's windows.
struct Grown {
  std::array<std::uint64_t, History::windows.size()> by;
  json columns(json row) const {
    for (std::size_t i = 0; i < by.size(); ++i) row[column_names[i]] = by[i];
    return row;
  }
  static constexpr std::array<const char*, History::windows.size()> column_names{"last_1_min", "last_5_min",
                                                                                 "last_30_min"};
};

json history_json(const History& history, bool nonzero) {
  std::array<History::Growth, History::windows.size()> growth;
  std::ranges::transform(History::windows, growth.begin(),
                         [&](auto window) { return history.growth(window); });
  const auto grown = [&](auto number) {
    Grown result;
    std::ranges::transform(growth, result.by.begin(), [&](const auto& g) { return number(g.by); });
    return result;
  };
  json result{{"reasons", json::array()}, {"totals", json::array()}, {"covered_s", json::object()}};
  std::vector<const VerdictRow*> drops;
  for (const auto& row : verdict_rows())
    if (row.outcome == Outcome::drop) drops.push_back(&row);
  std::ranges::stable_sort(drops, {}, &VerdictRow::number);
  for (const auto* row : drops) {
    const auto packets =
        grown([&](const CounterSample& sample) { return sample.verdicts[index_of(row->verdict)]; });
    if (nonzero && packets.by.back() == 0) continue;
    result["reasons"].push_back(
        packets.columns({{"number", row->number}, {"name", row->name}, {"group", name(row->group)}}));
  }
  const auto total = [&](const char* what, auto number) {
    result["totals"].push_back(grown(number).columns({{"name", what}}));
  };
  total("drops", [](const CounterSample& sample) { return drops_in(sample.verdicts); });
  total("rx_packets", [](const CounterSample& sample) { return sample.ports.rx_packets; });
  total("rx_bytes", [](const CounterSample& sample) { return sample.ports.rx_bytes; });
  total("tx_packets", [](const CounterSample& sample) { return sample.ports.tx_packets; });
  total("tx_bytes", [](const CounterSample& sample) { return sample.ports.tx_bytes; });
  for (std::size_t i = 0; i < growth.size(); ++i)
    result["covered_s"][Grown::column_names[i]] =
        std::chrono::round<std::chrono::seconds>(growth[i].covered).count();
  return result;
}

json thresholds_json(const Services& services) {
  json result{{"thresholds", json::array()}};
  for (const auto& state : services.counters->thresholds())
    result["thresholds"].push_back(
        {{"name", state.threshold->name},
         {"number", state.threshold->number ? json(*state.threshold->number) : json(nullptr)},
         {"per_minute", state.threshold->per_minute},
         {"last_minute", state.last_minute},
         {"crossed", state.crossed},
         {"since", state.crossed ? json(cli::time_text(state.since.wall)) : json(nullptr)},
         {"line", state.threshold->line}});
  return result;
}

Journal::Wanted monitored(const cli::Request& request) {
  Journal::Wanted wanted{.at_hand = request.flag("since-start"), .follow = true};
  if (request.arguments.contains("kinds"))
    for (const auto& kind : request.arguments["kinds"])
      wanted.kinds.push_back(*cli::find_event_kind(kind.get_ref<const std::string&>()));
  return wanted;
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
  handlers.answer(cli::CommandId::show_drops_history, [&services](const cli::Request& request) {
    return history_json(services.counters->history(), request.flag("nonzero"));
  });
  handlers.answer(cli::CommandId::show_thresholds,
                  [&services](const cli::Request&) { return thresholds_json(services); });
  handlers.stream(cli::CommandId::show_events,
                  [&services](const cli::Request& request, cli::StreamPtr stream) -> Expected<void> {
                    services.journal->show({.follow = request.flag("follow")}, std::move(stream));
                    return {};
                  });
  handlers.stream(cli::CommandId::monitor,
                  [&services](const cli::Request& request, cli::StreamPtr stream) -> Expected<void> {
                    services.journal->show(monitored(request), std::move(stream));
                    return {};
                  });
  handlers.answer(cli::CommandId::clear_drops,
                  [=, &services](const cli::Request&) -> Expected<nlohmann::json> {
                    const auto cleared = drops_in(counts_since(services, *baseline));
                    *baseline = {sample_verdicts(services), std::chrono::system_clock::now()};
                    return nlohmann::json{{"cleared", cleared}, {"since", since()}};
                  });
}

}  // namespace espgate::daemon
