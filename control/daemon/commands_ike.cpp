// show ike, show proposals, initiate, terminate, rekey.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "control/cli/values.hpp"
#include "control/config/algorithms.hpp"
#include "control/config/ike_settings.hpp"
#include "control/daemon/services.hpp"
#include "control/daemon/standing.hpp"
#include "control/ike/describe.hpp"
#include "control/ike/identity.hpp"
#include "control/ike/key_exchange.hpp"

namespace espgate::daemon {
namespace {

using nlohmann::json;

json reason_json(const std::string& reason) {
  return reason.empty() ? json(nullptr) : json(reason);
}

json ike_spi(std::uint64_t spi) {
  return spi == 0 ? json(nullptr) : json(fmt::format("0x{:016x}", spi));
}

json children_json(const Services& services, const ike::IkeSa& sa) {
  auto children = json::array();
  for (const auto& child : sa.children())
    children.push_back({{"name", services.ike->name_with(child.configuration->name, sa)},
                        {"inbound_spi", cli::spi_text(child.inbound_spi)},
                        {"outbound_spi", cli::spi_text(child.outbound_spi)}});
  return children;
}

// What ended it, or which of its children are not as they should be.
std::string trouble_of(const Services& services, const ike::IkeSa& sa) {
  auto text = sa.reason();
  if (!sa.connection() || !text.empty()) return text;
  if (const auto* configured = find_connection(services, sa.connection()->name);
      configured != nullptr && state_text(sa) == "connecting")
    return how_it_goes(services, sa, *configured);
  if (sa.state() != ike::IkeSa::State::established) return text;
  if (!sa.refusal().empty()) text = "it was not replaced: " + sa.refusal();
  std::vector<std::pair<std::string, std::string>> failures;  // and whose they are
  for (const auto& child : sa.connection()->children) {
    const auto failure = sa.child_failures().of(child.name);
    if (failure.empty()) continue;
    const auto known = std::ranges::find(failures, failure, &std::pair<std::string, std::string>::first);
    if (known == failures.end())
      failures.emplace_back(failure, "child " + child.name);
    else
      known->second += ", " + child.name;
  }
  const auto add = [&](const std::string& more) { text += (text.empty() ? "" : "; ") + more; };
  for (const auto& [failure, whose] : failures) add(fmt::format("{}: {}", whose, failure));
  if (const auto failure = sa.child_failures().of(); !failure.empty()) add(failure);
  return text;
}

json seconds_json(ike::Time time) {
  return std::chrono::duration_cast<std::chrono::seconds>(std::max(time, ike::Time::zero())).count();
}

json ike_sa_json(const Services& services, const ike::IkeSa& sa) {
  const auto& connection = sa.connection();
  const auto time = now().steady;
  const auto& schedule = sa.schedule();
  const auto until = [&](ike::Time at) { return at == ike::never ? json(nullptr) : seconds_json(at - time); };
  return {{"connection", connection ? json(services.ike->name_with(connection->name, sa)) : json(nullptr)},
          {"state", state_text(sa)},
          {"reason", reason_json(trouble_of(services, sa))},
          {"role", sa.is_initiator() ? "initiator" : "responder"},
          {"local", net::to_string(sa.local().address)},
          {"local_port", sa.local().port},
          {"remote", net::to_string(sa.remote().address)},
          {"remote_port", sa.remote().port},
          {"peer_id", sa.peer_identity() ? json(ike::to_string(*sa.peer_identity())) : json(nullptr)},
          {"initiator_spi", ike_spi(sa.spis().initiator)},
          {"responder_spi", ike_spi(sa.spis().responder)},
          {"algorithms", sa.choice() ? json(ike::describe(*sa.choice())) : json(nullptr)},
          {"age_s", schedule.made_at == ike::never ? json(nullptr) : seconds_json(time - schedule.made_at)},
          {"rekey_in_s", until(schedule.rekey_at)},
          {"reauthentication_in_s", until(schedule.reauthenticate_at)},
          {"expires_in_s", until(schedule.expires_at)},
          {"children", children_json(services, sa)}};
}

json down_json(const Standing& standing, const config::Connection& connection) {
  return {{"connection", connection.name},
          {"state", "down"},
          {"reason", reason_json(standing.reason)},
          {"role", nullptr},
          {"local", net::to_string(connection.local)},
          {"local_port", nullptr},
          {"remote", remote_text(connection)},
          {"remote_port", nullptr},
          {"peer_id", nullptr},
          {"initiator_spi", nullptr},
          {"responder_spi", nullptr},
          {"algorithms", nullptr},
          {"age_s", nullptr},
          {"rekey_in_s", nullptr},
          {"reauthentication_in_s", nullptr},
          {"expires_in_s", nullptr},
          {"children", json::array()}};
}

// By each limit, under its name in the configuration.
json refused_json(const Services& services) {
  auto refused = json::object();
  for (const auto limit : ike::all_limits) {
    std::string key(ike::name(limit));
    std::ranges::replace(key, '-', '_');
    refused[key] = services.ike->core().refused(limit);
  }
  return refused;
}

// IKE SAs by age, then the connections that have none, in the order of the file; each as it is when the
// client has room for it.
void show_ike(const Services& services, const cli::StreamPtr& stream) {
  const auto has_ike_sa = [&services](const config::Connection& connection) {
    return !services.ike->core().ike_sas_of(connection.name).empty();
  };
  stream->pull(
      [&services, has_ike_sa, last = ike::SaId{0}, place = std::size_t{0}]() mutable -> std::optional<json> {
        if (const auto* sa = services.ike->core().next_after(last)) {
          last = sa->id();
          return sa->state() == ike::IkeSa::State::gone ? json() : ike_sa_json(services, *sa);
        }
        const auto& connections = services.configuration->connections;
        if (place >= connections.size()) return std::nullopt;
        const auto& connection = connections[place++];
        if (!connection.ike || !connection.ike->child_of.empty() || has_ike_sa(connection)) return json();
        return down_json(standing_of(services, connection), connection);
      },
      [&services] {
        return json{{"half_open", services.ike->core().half_open()}, {"refused", refused_json(services)}};
      });
}

// Names of the algorithms of one kind, in the order that they are offered in.
using Offered = std::vector<std::string_view>;

Offered names_of(const std::vector<crypto::SuiteId>& suites) {
  Offered names;
  for (const auto id : suites) names.push_back(crypto::suite(id).name);
  return names;
}

Offered names_of(const std::vector<std::uint16_t>& methods) {
  Offered names;
  for (const auto id : methods)
    if (const auto* method = ike::find_key_exchange(id)) names.push_back(method->name);
  return names;
}

Offered names_of(const std::vector<ike::Prf>& used) {
  Offered names;
  for (const auto prf : used)
    names.push_back(config::prf_names[std::ranges::find(config::prfs, prf) - std::begin(config::prfs)]);
  return names;
}

Offered offered_for_ike(config::AlgorithmKind kind, const ike::IkeAlgorithms& ours) {
  switch (kind) {
    case config::AlgorithmKind::suite:
      return names_of(ours.suites);
    case config::AlgorithmKind::prf:
      return names_of(ours.prfs);
    case config::AlgorithmKind::key_exchange:
      break;
  }
  return names_of(ours.key_exchanges);
}

Offered offered_for_traffic(config::AlgorithmKind kind, const ike::ChildAlgorithms& ours) {
  switch (kind) {
    case config::AlgorithmKind::suite:
      return names_of(ours.suites);
    case config::AlgorithmKind::prf:
      return {};
    case config::AlgorithmKind::key_exchange:
      break;
  }
  return names_of(ours.key_exchanges);
}

json rank_in(const Offered& offered, std::string_view name) {
  const auto found = std::ranges::find(offered, name);
  return found == offered.end() ? json(nullptr) : json(found - offered.begin() + 1);
}

json proposals_json(const ike::IkeAlgorithms& ike, const ike::ChildAlgorithms& children) {
  auto all = json::array();
  for (const auto& algorithm : config::known_algorithms())
    all.push_back({{"kind", config::name(algorithm.kind)},
                   {"name", algorithm.name},
                   {"ike", rank_in(offered_for_ike(algorithm.kind, ike), algorithm.name)},
                   {"traffic", rank_in(offered_for_traffic(algorithm.kind, children), algorithm.name)},
                   {"ike_allowed", algorithm.for_ike},
                   {"traffic_allowed", algorithm.for_traffic},
                   {"refused", reason_json(std::string(algorithm.refused))}});
  return all;
}

void add_additional(json& all, std::string_view whose, const std::vector<std::vector<std::uint16_t>>& lists) {
  for (std::size_t i = 0; i < lists.size(); ++i)
    all.push_back({{"for", whose}, {"exchange", i + 2}, {"methods", names_of(lists[i])}});
}

// Those behind the first one, of each of which one is used.
json additional_json(const ike::IkeAlgorithms& ike, const ike::ChildAlgorithms& children) {
  auto all = json::array();
  add_additional(all, "ike", ike.additional);
  add_additional(all, "traffic", children.additional);
  return all;
}

Expected<void> negotiates(const Named& named) {
  if (named.connection->ike) return {};
  return Error{fmt::format("connection {} has manual keys, and negotiates nothing", named.connection->name),
               "`show ike` names those that do"};
}

Expected<json> show_proposals(const Services& services, const std::optional<std::string>& name) {
  const auto preset = config::preset_algorithms();
  if (!name)
    return json{{"connection", nullptr},
                {"algorithms", proposals_json(preset, {preset.suites, preset.key_exchanges})},
                {"additional", json::array()}};
  const auto found = named(services, *name);
  if (!found) return found.error();
  if (const auto good = negotiates(*found); !good) return good.error();
  const auto& ike = *found->connection->ike;
  return json{{"connection", *name},
              {"algorithms", proposals_json(ike.algorithms, ike.child_algorithms)},
              {"additional", additional_json(ike.algorithms, ike.child_algorithms)}};
}

// What there was before, of a connection or of one of many peers; what comes of it takes time.
std::string_view state_of(const Services& services, const std::string& name) {
  const auto* connection = find_connection(services, name);
  return connection == nullptr ? "up" : standing_of(services, *connection).state;
}

void add_deed(Services& services, cli::Handlers& handlers, cli::CommandId id, std::string_view command,
              std::function<Expected<void>(const cli::Request&, const std::string&)> run) {
  handlers.answer(id,
                  [&services, command, run = std::move(run)](const cli::Request& request) -> Expected<json> {
                    const auto connection = *request.text("connection");
                    // One that left the configuration may have peers for a while.
                    if (const auto found = named(services, connection))
                      if (const auto good = negotiates(*found); !good) return good.error();
                    const auto before = state_of(services, connection);
                    if (const auto done = run(request, connection); !done) return done.error();
                    return json{{"connection", connection}, {"command", command}, {"before", before}};
                  });
}

}  // namespace

void add_ike_commands(Services& services, cli::Handlers& handlers) {
  handlers.stream(cli::CommandId::show_ike,
                  [&services](const cli::Request&, const cli::StreamPtr& stream) -> Expected<void> {
                    show_ike(services, stream);
                    return {};
                  });
  handlers.answer(cli::CommandId::show_proposals, [&services](const cli::Request& request) {
    return show_proposals(services, request.text("connection"));
  });
  add_deed(services, handlers, cli::CommandId::initiate, "initiate",
           [&services](const cli::Request&, const std::string& connection) {
             return services.ike->initiate(connection, now());
           });
  add_deed(services, handlers, cli::CommandId::terminate, "terminate",
           [&services](const cli::Request&, const std::string& connection) {
             return services.ike->terminate(connection, now());
           });
  add_deed(services, handlers, cli::CommandId::rekey, "rekey",
           [&services](const cli::Request& request, const std::string& connection) {
             const auto what = request.flag("ike") ? IkeService::What::ike : IkeService::What::child;
             return services.ike->rekey(connection, what, now());
           });
}

}  // namespace espgate::daemon
