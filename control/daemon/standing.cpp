#include "control/daemon/standing.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "control/config/ike_settings.hpp"

namespace espgate::daemon {
namespace {

std::string why_down(const Services& services, const config::Connection& connection) {
  if (auto failure = services.ike->failure(connection.name); !failure.empty()) return failure;
  if (auto because = services.ike->down_because(connection.name); !because.empty()) return because;
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

Standing of_manual(const Services& services, const config::Connection& connection) {
  std::string_view expired;
  services.sas->visit(connection.name, [&](const sa::SaReport& report) {
    if (report.state == "expired")
      expired = report.direction == sa::Direction::inbound ? "inbound" : "outbound";
  });
  if (!expired.empty())
    return {"down", fmt::format("the hard lifetime of its {} SA is over: change the key", expired)};
  const auto present = services.sas->current_sas(connection.name);
  if (connection.inbound && !present.inbound)
    return {"down", "its inbound SA was deleted, or could not be installed; `reload` tries again"};
  if (connection.outbound && !present.outbound)
    return {"down", "its outbound SA was deleted, or could not be installed; `reload` tries again"};
  return {"up", ""};
}

Standing of_child(const Services& services, const ike::IkeSa& sa, const config::Connection& connection) {
  auto because = services.ike->down_because(connection.name);
  if (services.ike->is_terminated(connection.name) && !because.empty()) return {"down", std::move(because)};
  if (auto failure = sa.child_failures().of(connection.name); !failure.empty())
    return {"down", std::move(failure)};
  if (sa.is_making(connection.name))
    return {"connecting", "its IKE SA is up, and its child SA is not there yet"};
  if (!because.empty()) return {"down", std::move(because)};
  if (!sa.child_failures().of().empty())
    return {"down", "its IKE SA is up, and what the peer asked for fits no child (see `show ike`)"};
  return {"down", "its IKE SA is up, and neither side has asked for its child SA"};
}

Standing of_negotiated(const Services& services, const config::Connection& connection) {
  const auto present = services.sas->current_sas(connection.name);
  const bool is_up = present.inbound && present.outbound;
  const auto sas = services.ike->core().ike_sas_of(owner_of(connection));
  for (const auto* sa : sas) {
    if (sa->state() != ike::IkeSa::State::established || sa->is_closing()) continue;
    if (!is_up) return of_child(services, *sa, connection);
    if (const auto failure = sa->child_failures().of(connection.name); !failure.empty())
      return {"up", "its keys were not replaced: " + failure};
    if (!sa->refusal().empty()) return {"up", "its IKE SA was not replaced: " + sa->refusal()};
  }
  if (is_up) return {"up", ""};
  for (const auto* sa : sas)
    if (const auto state = state_text(*sa); state != "up") {
      auto so_far = how_it_goes(services, *sa, connection);
      return {state, so_far.empty() ? why_down(services, connection) : std::move(so_far)};
    }
  return {"down", why_down(services, connection)};
}

Standing of_any_peer(const Services& services, const config::Connection& connection) {
  if (!services.ike->peers_of(connection.name).empty()) return {"up", ""};
  for (const auto* sa : services.ike->core().ike_sas_of(connection.name))
    if (const auto own = sa->child_failures().of(connection.name),
        failure = own.empty() ? sa->child_failures().of() : own;
        !failure.empty())
      return {"down", no_child_text(sa->remote(), failure)};
  return {"down", why_down(services, connection)};
}

}  // namespace

const config::Connection* find_connection(const Services& services, const std::string& name) {
  const auto& connections = services.configuration->connections;
  const auto found = std::ranges::find(connections, name, &config::Connection::name);
  return found == connections.end() ? nullptr : &*found;
}

Expected<Named> named(const Services& services, const std::string& name) {
  if (const auto* connection = find_connection(services, services.ike->configured_name(name)))
    return Named{connection, services.ike->peer(name)};
  return Error{"no connection is called " + name, "`show connections` lists them"};
}

std::string no_child_text(const ike::Endpoint& peer, std::string_view failure) {
  return fmt::format("{} has an IKE SA, and no child SA: {}", ike::to_string(peer), failure);
}

std::string how_it_goes(const Services& services, const ike::IkeSa& sa,
                        const config::Connection& connection) {
  if (!sa.refusal().empty()) return services.ike->core().refusal(sa, now().steady);
  if (auto failure = services.ike->failure(connection.name); !failure.empty()) return failure;
  const auto tries = sa.our_request().tries();
  if (sa.state() == ike::IkeSa::State::greeting && tries > 1)
    return fmt::format("IKE_SA_INIT was sent {} times to {}, and nothing came back so far", tries,
                       ike::to_string(sa.remote()));
  return {};
}

std::string_view state_text(const ike::IkeSa& sa) {
  using State = ike::IkeSa::State;
  if (sa.is_closing()) return "closing";
  switch (sa.state()) {
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

Standing standing_of(const Services& services, const config::Connection& connection) {
  if (connection.any_peer) return of_any_peer(services, connection);
  return connection.ike ? of_negotiated(services, connection) : of_manual(services, connection);
}

}  // namespace espgate::daemon
