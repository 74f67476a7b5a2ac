#include <fmt/format.h>

#include <algorithm>
#include <type_traits>

#include "control/config/key_material.hpp"
#include "control/config/read.hpp"
#include "control/config/read_file.hpp"
#include "control/config/words.hpp"

namespace espgate::config {
namespace {

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
  read_traffic(group, connection, checks);
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
