#include "control/daemon/standing.hpp"

#include <fmt/format.h>

#include "control/config/ike_settings.hpp"

namespace espgate::daemon {

std::string_view state_text(ike::IkeSa::State state) {
  using State = ike::IkeSa::State;
  switch (state) {
    case State::greeting:
    case State::proving:
    case State::answering:
    case State::keyed:
      return "connecting";
    case State::established:
      return "up";
    case State::replaced:
    case State::closing:
      return "closing";
    case State::gone:
      break;
  }
  return "down";
}

const std::string& owner_of(const config::Connection& connection) {
  return connection.ike->child_of.empty() ? connection.name : connection.ike->child_of;
}

std::string remote_text(const config::Connection& connection) {
  return connection.any_peer ? "any" : net::to_string(connection.remote);
}

Standings::Standings(const Services& services) : services_(services) {
  services.sas->visit([&](const sa::SaReport& report) {
    if (report.state == "expired")
      expired_.emplace(report.connection,
                       report.direction == sa::Direction::inbound ? "inbound" : "outbound");
  });
  for (const auto* sa : services.ike->core().ike_sas())
    if (sa->state() != ike::IkeSa::State::gone && sa->connection())
      ike_sas_[sa->connection()->name].push_back(sa);
}

std::span<const ike::IkeSa* const> Standings::ike_sas(const std::string& connection) const {
  const auto found = ike_sas_.find(connection);
  if (found == ike_sas_.end()) return {};
  return found->second;
}

Standing Standings::of(const config::Connection& connection) const {
  if (connection.any_peer) return of_any_peer(connection);
  return connection.ike ? of_negotiated(connection) : of_manual(connection);
}

Standing Standings::of_manual(const config::Connection& connection) const {
  const auto present = services_.sas->current_sas(connection.name);
  const auto expired = expired_.find(connection.name);
  if (expired != expired_.end())
    return {"down", fmt::format("the hard lifetime of its {} SA is over: change the key", expired->second)};
  if (connection.inbound && !present.inbound)
    return {"down", "its inbound SA was deleted, or could not be installed; `reload` tries again"};
  if (connection.outbound && !present.outbound)
    return {"down", "its outbound SA was deleted, or could not be installed; `reload` tries again"};
  return {"up", ""};
}

Standing Standings::of_negotiated(const config::Connection& connection) const {
  const auto present = services_.sas->current_sas(connection.name);
  if (present.inbound && present.outbound) return {"up", ""};
  const auto sas = ike_sas(owner_of(connection));
  for (const auto* sa : sas) {
    if (sa->state() != ike::IkeSa::State::established) continue;
    for (const auto& wanted : sa->wanted())
      if (wanted.configuration->name == connection.name && !wanted.failure.empty())
        return {"down", wanted.failure};
    return {"connecting", "its IKE SA is up, and its child SA is not there yet"};
  }
  for (const auto* sa : sas)
    if (const auto state = state_text(sa->state()); state != "up")
      return {state, sa->refusal().empty() ? why_down(connection) : sa->refusal()};
  return {"down", why_down(connection)};
}

Standing Standings::of_any_peer(const config::Connection& connection) const {
  if (!services_.ike->peers_of(connection.name).empty()) return {"up", ""};
  return {"down", why_down(connection)};
}

std::string Standings::why_down(const config::Connection& connection) const {
  if (auto failure = services_.ike->failure(connection.name); !failure.empty()) return failure;
  if (auto because = services_.ike->down_because(connection.name); !because.empty()) return because;
  if (connection.any_peer) return "no peer has come";
  switch (connection.ike->start) {
    case config::Start::passive:
      return "the peer has not begun, and start = \"passive\" leaves that to it";
    case config::Start::on_demand:
      return "no packet has wanted it (start = \"on-demand\")";
    case config::Start::always:
      break;
  }
  return "nothing has come of it yet";
}

}  // namespace espgate::daemon
