#include <fmt/format.h>

#include <filesystem>
#include <system_error>
#include <unordered_set>

#include "control/config/others_write.hpp"
#include "control/config/read.hpp"
#include "control/config/words.hpp"
#include "datapath/base/counted.hpp"

namespace espgate::config {
namespace {

void read_limits(const GroupReader& group, Limits& limits, Checks& checks) {
  const auto read = [&](std::string_view key, std::uint32_t& limit) {
    if (group.integer(key, limit)) checks.limit_rows[key] = group.row_of(key);
  };
  read("inbound-sas", limits.inbound_sas);
  read("outbound-sas", limits.outbound_sas);
  read("routes", limits.routes);
  read("policies", limits.policies);
  read("neighbours", limits.neighbours);
  read("tunnels", limits.tunnels);
  read("buffers", limits.buffers);
  read("punt-ring", limits.punt_ring);
  read("punt-host-pps", limits.punt_host_pps);
  read("punt-ike-pps", limits.punt_ike_pps);
  read("punt-spi-pps", limits.punt_spi_pps);
  read("icmp-error-pps", limits.icmp_error_pps);
  read("reassembly-flows", limits.reassembly_flows);
  read("reassembly-ms", limits.reassembly_ms);
  read("tombstones", limits.tombstones);
  read("tombstone-seconds", limits.tombstone_s);
  read("linger-seconds", limits.linger_s);
  read("invalid-spi-flows", limits.invalid_spi_flows);
  read("invalid-spi-repairs", limits.invalid_spi_repairs_per_s);
  read("ike-sas", limits.ike_sas);
  read("ike-sas-per-peer", limits.ike_sas_per_peer);
  read("ike-half-open", limits.ike_half_open);
  read("ike-cookies-from", limits.ike_cookies_from);
  read("ike-half-open-per-source", limits.ike_half_open_per_source);
}

void check_limit(const GroupReader& top, const Checks& checks, std::string_view key, std::string_view what,
                 std::size_t needed, std::uint32_t limit) {
  const auto row = checks.limit_rows.find(key);
  const bool known = row != checks.limit_rows.end() || !top.given("limits");
  if (needed <= limit || !known) return;
  top.report().error(row == checks.limit_rows.end() ? top.row() : row->second, fmt::format("limits.{}", key),
                     fmt::format("room for {}, and the configuration has {} {}", limit, needed, what),
                     fmt::format("raise the limit: limits = {{ {} = {}; }};", key, needed));
}

// Outer addresses that no port of the file has, each once. A file that gives no port any leaves all to the
// kernel.
void warn_of_strange_locals(Report& report, const Configuration& configuration, const Checks& checks) {
  std::unordered_set<net::Address, ClaimHash> known;
  for (const auto& port : configuration.ports)
    for (const auto& entry : port.addresses) known.insert(entry.address);
  if (known.empty()) return;
  for (std::size_t i = 0; i < configuration.connections.size(); ++i) {
    const auto& local = configuration.connections[i].local;
    if (local == net::Address{} || !known.insert(local).second) continue;
    const auto& place = checks.places_of_connections[i];
    report.warning(place.row, place.owner.of("local"),
                   fmt::format("{} is on no port of this file", net::to_string(local)),
                   "add it to the addresses of a port, unless the kernel gets it from elsewhere");
  }
}

// It is made by the daemon if it is not there yet.
void warn_of_state_directory(const GroupReader& top, const std::string& folder) {
  std::error_code problem;
  const auto path = std::filesystem::canonical(folder, problem);
  if (folder.empty() || problem) return;
  if (const auto fault = others_write(path, "replace secrets of espgate and files of others"))
    top.warning("state-directory", fault->what, "name a folder of its own, or " + fault->remedy);
}

}  // namespace

void read_settings(const GroupReader& top, Configuration& configuration, Checks& checks) {
  top.integer("control-cpu", configuration.control_cpu);
  if (top.given("worker-cpus")) {
    configuration.worker_cpus.clear();
    for (const auto cpu : top.integers("worker-cpus"))
      configuration.worker_cpus.push_back(static_cast<unsigned>(cpu));
  }
  top.choice("idle", configuration.idle);
  top.integer("idle-sleep-us", configuration.idle_sleep_us);
  top.boolean("path-mtu-discovery", configuration.path_mtu_discovery);
  top.boolean("hugepages", configuration.hugepages);
  top.integer("memory-mb", configuration.memory_mb);
  top.text("crypto-engine", configuration.crypto_engine);
  top.text("socket", configuration.socket);
  top.text("state-directory", configuration.state_directory);
  top.text("log-level", configuration.log_level);
  top.boolean("debug-keys-export", configuration.debug_keys_export);
  read_hook(top, configuration.on_invalid_spi);
  top.visit("limits", [&](const GroupReader& group) { read_limits(group, configuration.limits, checks); });
  const auto place_of = [&](std::string_view key) {
    return top.given(key) ? top.report().places().of(top.row_of(key)) : Place{};
  };
  configuration.place_of_socket = place_of("socket");
  configuration.place_of_cpus = place_of(top.given("worker-cpus") ? "worker-cpus" : "control-cpu");
  configuration.place_of_hugepages = place_of(top.given("hugepages") ? "hugepages" : "memory-mb");
  if (!configuration.socket.starts_with('/'))
    top.error("socket", fmt::format("{} is not an absolute path", shown(configuration.socket)),
              "write the path from the root directory, such as \"/run/espgate/espgate.sock\"");
  if (!configuration.state_directory.empty() && !configuration.state_directory.starts_with('/'))
    top.error("state-directory",
              fmt::format("{} is not an absolute path", shown(configuration.state_directory)),
              "write the path from the root directory, such as \"/var/lib/espgate\"");
  warn_of_state_directory(top, configuration.state_directory);
}

void check_whole(const GroupReader& top, const Configuration& configuration, const Checks& checks) {
  std::size_t inbound = 0;
  std::size_t outbound = 0;
  std::size_t negotiated = 0;
  std::size_t policies = configuration.policies.size();
  for (const auto& connection : configuration.connections) {
    policies += policies_of(connection).size();
    inbound += connection.inbound.has_value();
    outbound += connection.outbound.has_value();
    negotiated += connection.ike != nullptr;
  }
  const auto& limits = configuration.limits;
  // While keys are replaced the old inbound SA is there beside the new one.
  inbound += 2 * negotiated;
  outbound += negotiated;
  check_limit(top, checks, "inbound-sas",
              negotiated == 0 ? "inbound SAs" : "inbound SAs, two for each connection with ike", inbound,
              limits.inbound_sas);
  check_limit(top, checks, "outbound-sas", "outbound SAs", outbound, limits.outbound_sas);
  check_limit(top, checks, "ike-sas", "connections with ike", negotiated, limits.ike_sas);
  check_limit(top, checks, "routes", "routes", configuration.routes.size(), limits.routes);
  check_limit(top, checks, "policies", "policies, those of connections included", policies, limits.policies);
  check_limit(top, checks, "tunnels", "tunnels, peers of multipoint ones included",
              tunnel_entries(configuration.tunnels), limits.tunnels);
  warn_of_shadows(top.report(), configuration, checks);
  warn_of_lockout(top.report(), configuration, checks);
  warn_of_needless_bypass(top.report(), configuration, checks);

  if (checks.manual_sas > 0)
    top.report().warning(
        checks.first_key_row, "connections",
        fmt::format(
            "{} with manual keys, the first here; AES-GCM is not meant for manual keys, since an IV used "
            "twice under one key breaks it (RFC 4106 2)",
            counted(checks.manual_sas, "SA")),
        "espgate starts each run with IVs of its own, but the keys stay the same until you change them: "
        "change them often, never copy a key to another box, or let IKE negotiate them: ike = { ... };");
  if (configuration.debug_keys_export)
    top.warning("debug-keys-export", "root can have all keys written to a file",
                "set debug-keys-export = false when the debugging is over");
  if (!configuration.hugepages)
    top.warning("hugepages", "espgate runs without huge pages, which is for trying out only",
                "set hugepages = true where speed matters");
  warn_of_strange_locals(top.report(), configuration, checks);
  bool decrypts = false;
  for (const auto& port : configuration.ports) decrypts = decrypts || port.ipsec;
  if (inbound > 0 && !decrypts && !configuration.ports.empty())
    top.warning("ports", "no port has ipsec = true, so no ESP will be decrypted",
                "set ipsec = true on the port that faces the peers");
}

}  // namespace espgate::config
