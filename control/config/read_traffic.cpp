// What a connection protects: networks, selectors, or with transport mode the two hosts.
#include <fmt/format.h>

#include <algorithm>

#include "control/config/read.hpp"

namespace espgate::config {
namespace {

constexpr std::size_t most_selectors = 255;  // what an inbound SA counts in one byte

// A claim on traffic, with the connection's name.
std::string owner_of(const Claim& claim, const Checks& checks, const Report& report, unsigned row) {
  const auto text = described(claim, report, row);
  return fmt::format("connection \"{}\", {}",
                     checks.names_of_connections[static_cast<std::size_t>(claim.owner.first_index())], text);
}

std::vector<net::Prefix> read_prefixes(const GroupReader& group, std::string_view key,
                                       std::vector<TextElement>& places, bool& complete) {
  std::vector<net::Prefix> prefixes;
  Claims<net::Prefix> seen;
  for (const auto& element : group.texts(key)) {
    const auto prefix = prefix_of(group, element);
    complete = complete && prefix;
    if (!prefix) continue;
    prefixes.push_back(*prefix);
    places.push_back(element);
    if (const auto* first = seen.claim(*prefix, element.row, element.path)) {
      complete = false;
      group.report().error(element.row, element.path.text(),
                           fmt::format("{} is already {}", net::to_string(*prefix),
                                       described(*first, group.report(), element.row)),
                           "keep one of the two");
    }
  }
  return prefixes;
}

// Whoever else protects the same traffic is told of, once for each place.
void claim_traffic(const GroupReader& group, const Connection& connection,
                   const std::vector<net::TrafficSelector>& selectors, std::string_view what, unsigned row,
                   const Path& path, Checks& checks) {
  // Of connections with peers at any address several may have the same: who the peer is decides.
  if (connection.by_route || connection.any_peer) return;
  const Claim* earlier = nullptr;
  for (const auto& selector : selectors)
    if (const auto* first = checks.protected_traffic.claim(selector, row, path); first && !earlier)
      earlier = first;
  if (earlier != nullptr)
    group.report().error(
        row, path.text(),
        fmt::format("{} of connection \"{}\" already belongs to {}, so it is unclear where packets should go",
                    what, connection.name, owner_of(*earlier, checks, group.report(), row)),
        "keep it in one place, or split it into longer prefixes");
}

// A network is mostly on one side only; everything (a prefix of no bits) is meant to be both's.
void warn_of_same_networks(const GroupReader& group, const Connection& connection) {
  for (const auto& network : connection.remote_networks)
    if (network.length != 0 &&
        std::ranges::find(connection.local_networks, network) != connection.local_networks.end())
      return group.warning("remote-networks",
                           fmt::format("{} is in local-networks as well, so what its hosts send each other "
                                       "goes to the peer where it comes by here",
                                       net::to_string(network)),
                           "name on each side what is behind it");
}

void read_networks(const GroupReader& group, Connection& connection, Checks& checks) {
  if (connection.by_route && !group.given("local-networks") && !group.given("remote-networks") &&
      !group.given("selectors")) {
    const net::Prefix everything4{{{}, net::Family::v4}, 0}, everything6{{{}, net::Family::v6}, 0};
    connection.local_networks = connection.remote_networks = {everything4, everything6};
    return;
  }
  bool complete = true;
  std::vector<TextElement> local_places, remote_places;
  connection.local_networks = read_prefixes(group, "local-networks", local_places, complete);
  connection.remote_networks = read_prefixes(group, "remote-networks", remote_places, complete);
  for (const auto& [key, other] :
       {std::pair("local-networks", "remote-networks"), std::pair("remote-networks", "local-networks")})
    if (!group.given(key) && (group.given(other) || !group.given("selectors")))
      group.report().error(group.row(), group.path_of(key), "missing",
                           fmt::format("add {} = [ ... ];, or name selectors instead of networks", key));
  if (!complete || connection.local_networks.empty() || connection.remote_networks.empty()) return;
  warn_of_same_networks(group, connection);

  bool any_pair = false;
  for (std::size_t i = 0; i < connection.remote_networks.size(); ++i) {
    std::vector<net::TrafficSelector> pairs;
    for (const auto& local : connection.local_networks)
      if (local.address.family == connection.remote_networks[i].address.family)
        pairs.push_back(net::between(local, connection.remote_networks[i]));
    any_pair = any_pair || !pairs.empty();
    claim_traffic(group, connection, pairs, net::to_string(connection.remote_networks[i]),
                  remote_places[i].row, remote_places[i].path, checks);
  }
  if (!any_pair)
    group.error("remote-networks", "no remote network is of the family of a local network",
                "name networks of the same family on both sides");
}

// Transport mode has no addresses but the gateways' own.
void check_ends(const GroupReader& entry, const Connection& connection,
                const net::TrafficSelector& selector) {
  const auto check = [&](std::string_view key, const net::AddressRange& range, const net::Address& end) {
    if (range == net::AddressRange{end, end}) return;
    entry.error(
        key,
        fmt::format("{} is not the connection's {} address, {}, and in transport mode there are no others",
                    net::to_string(range), key, net::to_string(end)),
        fmt::format("write {} = \"{}\";, or set mode = \"tunnel\"", key, net::to_string(end)));
  };
  check("local", selector.local, connection.local);
  if (!connection.any_peer) check("remote", selector.remote, connection.remote);
}

void read_selectors(const GroupReader& group, Connection& connection, Checks& checks) {
  group.visit("selectors", [&](const GroupReader& entry) {
    const auto selectors = selectors_of(entry, {"local", "remote", "local-port", "remote-port"});
    // Both sides are required, so there is one selector or a reported error.
    if (selectors.empty() || !entry.given("local") || !entry.given("remote")) return;
    if (connection.mode == Mode::transport && group.given("local") && group.given("remote"))
      check_ends(entry, connection, selectors[0]);
    connection.selectors.push_back(selectors[0]);
    claim_traffic(entry, connection, selectors, net::to_string(selectors[0]), entry.row(), entry.path(),
                  checks);
  });
  const auto count = protected_by(connection).size();
  if (count > most_selectors)
    group.error("remote-networks",
                fmt::format("{} pairs of a local and a remote network and selectors, and an SA holds {}",
                            count, most_selectors),
                "name fewer, shorter prefixes, or split the connection");
}

// The networks of transport mode: the two gateways, unless selectors say what of their traffic.
void take_hosts(const GroupReader& group, Connection& connection, Checks& checks) {
  if (!group.given("local") || !group.given("remote") || group.given("selectors")) return;
  const auto host = [](const net::Address& address) {
    const int bits = address.is_unspecified() ? 0 : address.bits();
    return net::Prefix{address, static_cast<std::uint8_t>(bits)};
  };
  connection.local_networks = {host(connection.local)};
  connection.remote_networks = {host(connection.remote)};
  const auto hosts = net::between(connection.local_networks.front(), connection.remote_networks.front());
  claim_traffic(group, connection, {hosts}, net::to_string(connection.remote), group.row_of("remote"),
                group.path().child("remote"), checks);
}

}  // namespace

void read_traffic(const GroupReader& group, Connection& connection, Checks& checks) {
  if (connection.mode == Mode::transport)
    take_hosts(group, connection, checks);
  else
    read_networks(group, connection, checks);
  read_selectors(group, connection, checks);
}

}  // namespace espgate::config
