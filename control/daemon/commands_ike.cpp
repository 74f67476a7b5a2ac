// show ike, initiate, terminate, rekey.
#include <fmt/format.h>

#include <set>

#include "control/cli/values.hpp"
#include "control/config/ike_settings.hpp"
#include "control/daemon/services.hpp"
#include "control/ike/identity.hpp"

namespace espgate::daemon {
namespace {

using nlohmann::json;

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

json reason_json(const std::string& reason) {
  return reason.empty() ? json(nullptr) : json(reason);
}

json ike_spi(std::uint64_t spi) {
  return spi == 0 ? json(nullptr) : json(fmt::format("0x{:016x}", spi));
}

json children_json(const ike::IkeSa& sa) {
  auto children = json::array();
  for (const auto& child : sa.children())
    children.push_back({{"name", child.configuration->name},
                        {"inbound_spi", cli::spi_text(child.inbound_spi)},
                        {"outbound_spi", cli::spi_text(child.outbound_spi)}});
  return children;
}

json ike_sa_json(const ike::IkeSa& sa) {
  const auto& connection = sa.connection();
  return {{"connection", connection ? json(connection->name) : json(nullptr)},
          {"state", state_text(sa.state())},
          {"reason", reason_json(sa.reason())},
          {"role", sa.is_initiator() ? "initiator" : "responder"},
          {"local", net::to_string(sa.local().address)},
          {"local_port", sa.local().port},
          {"remote", net::to_string(sa.remote().address)},
          {"remote_port", sa.remote().port},
          {"peer_id", sa.peer_identity() ? json(ike::to_string(*sa.peer_identity())) : json(nullptr)},
          {"initiator_spi", ike_spi(sa.spis().initiator)},
          {"responder_spi", ike_spi(sa.spis().responder)},
          {"children", children_json(sa)}};
}

json down_json(const ike::IkeCore& core, const config::Connection& connection) {
  return {{"connection", connection.name},
          {"state", "down"},
          {"reason", reason_json(core.last_failure(connection.name))},
          {"role", nullptr},
          {"local", net::to_string(connection.local)},
          {"local_port", nullptr},
          {"remote", net::to_string(connection.remote)},
          {"remote_port", nullptr},
          {"peer_id", nullptr},
          {"initiator_spi", nullptr},
          {"responder_spi", nullptr},
          {"children", json::array()}};
}

json show_ike(const Services& services) {
  const auto& core = services.ike->core();
  auto items = json::array();
  std::set<std::string> seen;
  for (const auto* sa : core.ike_sas()) {
    if (sa->state() == ike::IkeSa::State::gone) continue;
    if (sa->connection()) seen.insert(sa->connection()->name);
    items.push_back(ike_sa_json(*sa));
  }
  for (const auto& connection : services.configuration->connections)
    if (connection.ike && connection.ike->child_of.empty() && !seen.contains(connection.name))
      items.push_back(down_json(core, connection));
  return {{"ike_sas", std::move(items)}, {"half_open", core.half_open()}};
}

Expected<json> done(const Expected<void>& result, const std::string& connection, std::string_view command) {
  if (!result) return result.error();
  return json{{"connection", connection}, {"command", command}};
}

}  // namespace

void add_ike_commands(Services& services, cli::Handlers& handlers) {
  handlers.answer(cli::CommandId::show_ike,
                  [&services](const cli::Request&) -> Expected<json> { return show_ike(services); });
  handlers.answer(cli::CommandId::initiate, [&services](const cli::Request& request) {
    const auto connection = *request.text("connection");
    return done(services.ike->initiate(connection, now()), connection, "initiate");
  });
  handlers.answer(cli::CommandId::terminate, [&services](const cli::Request& request) {
    const auto connection = *request.text("connection");
    return done(services.ike->terminate(connection, now()), connection, "terminate");
  });
  handlers.answer(cli::CommandId::rekey, [&services](const cli::Request& request) {
    const auto connection = *request.text("connection");
    const auto what = request.flag("ike") ? IkeService::What::ike : IkeService::What::child;
    return done(services.ike->rekey(connection, what, now()), connection, "rekey");
  });
}

}  // namespace espgate::daemon
