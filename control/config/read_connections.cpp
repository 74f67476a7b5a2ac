#include <fmt/format.h>

#include <algorithm>
#include <type_traits>

#include "control/config/key_material.hpp"
#include "control/config/read.hpp"
#include "control/config/read_file.hpp"
#include "control/config/words.hpp"

namespace espgate::config {
namespace {

constexpr std::size_t most_selectors = 255;  // what an inbound SA counts in one byte
constexpr std::uint32_t least_window_packets = 64;
constexpr std::uint16_t nat_t_port = 4'500;

// Claims on cipher keys look at the secrets where they are, however the vector of connections grows.
static_assert(std::is_nothrow_move_constructible_v<Connection>);

void read_name(const GroupReader& group, Connection& connection, Checks& checks) {
  if (!group.text("name", connection.name)) return;
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  if (!std::ranges::all_of(connection.name, is_plain))
    return group.error("name",
                       fmt::format("{} has a character that a name cannot have", shown(connection.name)),
                       "use letters, digits, hyphen, underscore and dot");
  const auto row = group.row_of("name");
  if (const auto* first = checks.connection_names.claim(connection.name, row, group.path()))
    group.error("name",
                fmt::format("{} is already the name of {}", shown(connection.name),
                            described(*first, group.report(), row)),
                "give each connection a name of its own");
}

void read_outer(const GroupReader& group, Connection& connection) {
  const auto local = address_of(group, "local");
  if (local) connection.local = *local;
  std::string text;
  connection.any_peer = group.text("remote", text) && text == "any";
  connection.remote.family = connection.local.family;
  const auto remote = connection.any_peer ? std::nullopt : address_of(group, "remote");
  if (remote) connection.remote = *remote;
  if (connection.any_peer && !group.given("ike"))
    group.error("remote", "keys that stand here are for one peer, at one address",
                "name the address, or add ike to negotiate the keys");
  if (local && remote) {
    if (local->family != remote->family)
      group.error("remote",
                  fmt::format("{} and local {} are of different families", net::to_string(*remote),
                              net::to_string(*local)),
                  "use two IPv4 addresses or two IPv6 addresses");
    else if (*local == *remote)
      group.error("remote", fmt::format("{} is local as well", net::to_string(*remote)),
                  "write the peer's address in remote and ours in local");
  }
  const bool encapsulation_is_good = group.choice("encapsulation", connection.encapsulation);
  group.integer("local-port", connection.local_port);  // one value is possible
  group.integer("remote-port", connection.remote_port);
  if (encapsulation_is_good && connection.encapsulation == Encapsulation::none)
    if (connection.remote_port != nat_t_port)
      group.warning("remote-port",
                    fmt::format("{} has no effect without UDP encapsulation", connection.remote_port),
                    "set encapsulation = \"udp\", or remove the port");
}

void read_outer_fields(const GroupReader& group, sa::OuterFields& outer) {
  group.choice("df", outer.df);
  std::uint8_t dscp = 0;
  if (group.given("dscp") && group.integer("dscp", dscp)) outer.dscp = dscp;
  group.boolean("ecn", outer.ecn);
  group.integer("ttl", outer.hop_limit);
  group.boolean("flow-label", outer.flow_label);
}

// Transport mode has the two gateways for networks.
void read_mode(const GroupReader& group, Connection& connection) {
  if (!group.choice("mode", connection.mode)) return;
  for (const auto* key : {"local-networks", "remote-networks"}) {
    if (connection.mode == Mode::transport && group.given(key))
      group.error(key, "a connection in transport mode has no networks",
                  "remove them, or set mode = \"tunnel\"");
  }
}

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

std::optional<Secret> read_keymat(const GroupReader& group, const crypto::Suite& suite) {
  const auto report = [&](std::string_view key, const Error& error) {
    group.error(key, error.what, error.remedy);
    return std::nullopt;
  };
  if (group.given("key") && group.given("key-file"))
    return report("key-file", {"both key and key-file are given", "keep one of the two"});
  std::string file;
  Expected<Secret> keymat = Secret();
  std::string_view source = "key";
  if (const auto* text = group.secret("key")) {
    keymat = decode_keymat(text->bytes(), suite);
  } else if (group.text("key-file", file)) {
    source = "key-file";
    file = beside(group.report().places().file_of(group.row_of(source)), file);
    const auto content = read_key_file(file);
    if (!content) return report(source, content.error());
    if (content->group_readable)
      group.warning(source, fmt::format("the group of {} can read the key", file),
                    fmt::format("chmod 600 {}", file));
    keymat = decode_keymat(content->text.bytes(), suite);
    if (!keymat) keymat.error().what = fmt::format("{}: {}", file, keymat.error().what);
  } else {
    if (!group.given("key") && !group.given("key-file"))
      group.report().error(
          group.row(), group.path_of("key"), "missing",
          fmt::format("add key = \"0x...\"; with {} hexadecimal digits, or key-file = \"...\";",
                      2 * suite.keymat_bytes()));
    return std::nullopt;
  }
  if (!keymat) return report(source, keymat.error());
  if (is_placeholder(*keymat, suite))
    group.warning(source, "all bytes of the key are equal, which no real key has",
                  fmt::format("generate one with: openssl rand -hex {}", suite.keymat_bytes()));
  return std::move(*keymat);
}

// Reads into its final place, so that a claim on the key stays valid.
void read_sa(const GroupReader& group, std::optional<ManualSa>& sa, const crypto::Suite* suite,
             Checks& checks) {
  sa.emplace();
  group.integer("spi", sa->spi);
  if (suite == nullptr) return;
  auto keymat = read_keymat(group, *suite);
  if (!keymat) return;
  sa->keymat = std::move(*keymat);

  const auto row = group.row_of(group.given("key") ? "key" : "key-file");
  if (checks.manual_sas++ == 0) checks.first_key_row = row;
  // The salt is left out: with one cipher key, only the salt would keep two SAs' nonces apart.
  const auto key = secret_key(sa->keymat, *suite);
  const std::string_view cipher_key(reinterpret_cast<const char*>(key.data()), key.size());
  if (const auto* first = checks.cipher_keys.claim(cipher_key, row, group.path()))
    group.error(
        group.given("key") ? "key" : "key-file",
        fmt::format("the same cipher key as {}; {}", described(*first, group.report(), row),
                    suite->salt_bytes != 0 ? "two SAs with one key use the same nonces, which reveals the "
                                             "traffic of both (RFC 4106 2)"
                                           : "whoever learns one has both"),
        fmt::format("give each SA and each direction a key of its own: openssl rand -hex {}",
                    suite->keymat_bytes()));
}

void read_sas(const GroupReader& group, Connection& connection, const crypto::Suite* suite, Checks& checks) {
  group.visit("inbound", [&](const GroupReader& sa) {
    read_sa(sa, connection.inbound, suite, checks);
    const auto spi = connection.inbound->spi;
    const auto row = sa.row_of("spi");
    if (spi == 0) return;
    if (const auto* first = checks.inbound_spis.claim(spi, row, sa.path()))
      sa.error("spi",
               fmt::format("SPI {:#x} is already that of {}", spi, described(*first, sa.report(), row)),
               "give each inbound SA an SPI of its own, and tell the peer");
  });
  group.visit("outbound", [&](const GroupReader& sa) {
    read_sa(sa, connection.outbound, suite, checks);
    const auto spi = connection.outbound->spi;
    const auto row = sa.row_of("spi");
    if (spi == 0 || connection.remote.is_unspecified()) return;
    if (const auto* first = checks.outbound_spis.claim({spi, connection.remote}, row, sa.path()))
      sa.error("spi",
               fmt::format("SPI {:#x} to {} is already that of {}", spi, net::to_string(connection.remote),
                           described(*first, sa.report(), row)),
               "use the SPI that this peer expects for this connection");
  });
  if (!group.given("inbound") && !group.given("outbound") && !group.given("ike"))
    group.report().error(
        group.row(), group.path().text(), "neither inbound nor outbound is given, nor ike",
        "add inbound = { spi = ...; key = ...; }; or outbound = { ... }; or both; or ike = { ... };");
}

// What is IKE's to negotiate, or to count, cannot be fixed here.
void read_negotiated(const GroupReader& group, Connection& connection) {
  if (!group.given("ike")) return;
  for (const auto* key : {"inbound", "outbound", "suite", "lifetime"})
    if (group.given(key))
      group.error(key, "has no place besides ike, which negotiates it",
                  "remove it; ike has child-suites, child-rekey-after and child-expires-after");
  const auto esn = group.given("esn") ? std::optional(connection.extended_sequence) : std::nullopt;
  group.visit("ike", [&](const GroupReader& ike) { read_ike(ike, esn, connection); });
}

void read_window(const GroupReader& group, Connection& connection) {
  if (group.integer("replay-window", connection.replay_window_packets) &&
      connection.replay_window_packets != 0 && connection.replay_window_packets < least_window_packets)
    group.error("replay-window", fmt::format("{} packets are too few", connection.replay_window_packets),
                fmt::format("choose {} to 65536, or 0 for no anti-replay", least_window_packets));
}

void read_lifetime(const GroupReader& group, sa::Lifetime& lifetime) {
  const auto pair = [&](std::string_view soft_key, std::string_view hard_key, std::uint64_t& soft,
                        std::uint64_t& hard) {
    group.integer(soft_key, soft);
    group.integer(hard_key, hard);
    if (soft == 0 || hard == 0 || soft < hard) return;
    group.error(soft_key, fmt::format("{} is not less than {} = {}", soft, hard_key, hard),
                "leave some way between the two, to replace the SA in");
  };
  pair("soft-packets", "hard-packets", lifetime.soft_packets, lifetime.hard_packets);
  pair("soft-bytes", "hard-bytes", lifetime.soft_bytes, lifetime.hard_bytes);
  pair("soft-seconds", "hard-seconds", lifetime.soft_seconds, lifetime.hard_seconds);
}

// RFC 4303 2.6 and 2.7. In transport mode the receiver could not tell where padding begins.
void read_confidentiality(const GroupReader& group, Connection& connection) {
  group.integer("tfc-padding", connection.tfc_bytes);
  group.integer("dummy-rate", connection.dummy_rate);
  if (connection.mode == Mode::tunnel) return;
  for (const auto* key : {"tfc-padding", "dummy-rate"})
    if (group.given(key))
      group.error(key, "a connection in transport mode cannot hide its traffic so",
                  "remove it, or set mode = \"tunnel\"");
}

void read_connection(const GroupReader& group, Connection& connection, Checks& checks) {
  const auto& place = group.report().places().of(group.row());
  connection.line = place.line;
  connection.file = place.file;
  read_name(group, connection, checks);
  checks.names_of_connections.resize(static_cast<std::size_t>(group.path().first_index()) + 1);
  checks.names_of_connections.back() = connection.name;
  read_outer(group, connection);
  read_mode(group, connection);
  connection.by_route =
      connection.mode == Mode::tunnel && checks.tunnel_connections.find(connection.name) != nullptr;
  read_outer_fields(group, connection.outer);
  read_confidentiality(group, connection);
  group.boolean("follow-peer", connection.follow_peer);
  group.integer("nat-keepalive", connection.nat_keepalive_s);
  group.choice("invalid-spi-recovery", connection.invalid_spi_recovery);
  if (connection.mode == Mode::transport)
    take_hosts(group, connection, checks);
  else
    read_networks(group, connection, checks);
  read_selectors(group, connection, checks);
  group.integer("priority", connection.priority);
  checks.places_of_connections.push_back({group.row(), group.path()});
  const bool suite_is_good = group.choice("suite", connection.suite);
  group.boolean("esn", connection.extended_sequence);
  read_window(group, connection);
  group.visit("lifetime", [&](const GroupReader& lifetime) { read_lifetime(lifetime, connection.lifetime); });
  read_negotiated(group, connection);
  if (group.given("invalid-spi-recovery") && !connection.ike)
    group.error("invalid-spi-recovery", "nothing can be repaired without IKE",
                "remove it, or add an ike group");
  read_sas(group, connection, suite_is_good ? &crypto::suite(connection.suite) : nullptr, checks);
}

}  // namespace

void read_connections(const GroupReader& top, Configuration& configuration, Checks& checks) {
  top.visit("connections", [&](const GroupReader& group) {
    read_connection(group, configuration.connections.emplace_back(), checks);
  });
  settle_children(top, configuration.connections, checks);
}

}  // namespace espgate::config
