#include "control/daemon/ike_connections.hpp"

#include <algorithm>

#include "control/config/ike_settings.hpp"

namespace espgate::daemon {
namespace {

// IKE names the two sides' parts one by one, and means each with each.
void add(std::vector<ike::SelectorSide>& sides, const net::AddressRange& addresses,
         const std::optional<std::uint8_t>& protocol, const net::PortRange& ports) {
  const ike::SelectorSide side{addresses, protocol, ports};
  if (std::ranges::find(sides, side) == sides.end()) sides.push_back(side);
}

ike::StartAction start_action(config::Start start) {
  switch (start) {
    case config::Start::always:
      return ike::StartAction::always;
    case config::Start::on_demand:
      return ike::StartAction::on_demand;
    case config::Start::passive:
      break;
  }
  return ike::StartAction::passive;
}

ike::ChildConfiguration child_of(const config::Connection& connection) {
  ike::ChildConfiguration child;
  child.name = connection.name;
  child.algorithms = connection.ike->child_algorithms;
  for (const auto& selector : config::protected_by(connection)) {
    add(child.local, selector.local, selector.protocol, selector.local_ports);
    add(child.remote, selector.remote, selector.protocol, selector.remote_ports);
  }
  child.transport = connection.mode == config::Mode::transport;
  child.rekey_after = connection.ike->child_sa.rekey_after;
  child.expires_after = connection.ike->child_sa.expires_after;
  return child;
}

}  // namespace

ike::ConnectionHandle ike_connection(std::span<const config::Connection* const> family) {
  const auto& connection = *family.front();
  const auto& settings = *connection.ike;
  auto result = std::make_shared<ike::Connection>();
  result->name = connection.name;
  result->local = connection.local;
  result->other_locals = settings.other_addresses;
  if (!connection.any_peer) result->remote = connection.remote;
  result->identity = settings.local_id;
  if (const auto* only = settings.remote_id.only()) result->asked_peer = *only;
  result->peer = settings.remote_id.text();
  result->authenticator = settings.credentials.authenticator;
  result->ppk_use = settings.ppk_use;
  result->ppks = settings.ppks;
  result->algorithms = settings.algorithms;
  for (const auto* each : family) result->children.push_back(child_of(*each));
  result->start = start_action(settings.start);
  result->childless = settings.childless;
  result->force_encapsulation = connection.encapsulation == config::Encapsulation::udp;
  result->follow_peer = connection.follow_peer;
  result->fragment_bytes = settings.fragment_bytes;
  result->request_addresses = settings.request_addresses;
  result->peer_addresses = settings.peer_addresses;
  result->peer_dns = settings.peer_dns;
  result->retransmission.tries = settings.tries;
  result->liveness_after = settings.liveness_after;
  result->nat_keepalive = std::chrono::seconds(connection.nat_keepalive_s);
  result->rekey_after = settings.ike_sa.rekey_after;
  result->expires_after = settings.ike_sa.expires_after;
  result->reauthenticate_after = settings.reauthenticate_after;
  return result;
}

bool negotiates_alike(const config::Connection& before, const config::Connection& now) {
  if (!before.ike || !now.ike || *before.ike != *now.ike) return false;
  auto other = before;
  // Of these no SA is made: where it stands in the file, and what the SA manager takes as it comes.
  other.ike = now.ike;
  other.line = now.line;
  other.file = now.file;
  other.priority = now.priority;
  other.nat_keepalive_s = now.nat_keepalive_s;
  other.dummy_rate = now.dummy_rate;
  other.invalid_spi_recovery = now.invalid_spi_recovery;
  return other == now;
}

bool shares_ike_sa(const config::Connection& before, const config::Connection& now) {
  return before.ike && now.ike && *before.ike == *now.ike && before.local == now.local &&
         before.remote == now.remote && before.encapsulation == now.encapsulation &&
         before.follow_peer == now.follow_peer;
}

}  // namespace espgate::daemon
