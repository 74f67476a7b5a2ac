// `explain`: a connection's settings, defaults included, and what they mean in effect.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "control/config/algorithms.hpp"
#include "control/config/ike_settings.hpp"
#include "control/daemon/explain.hpp"
#include "control/daemon/standing.hpp"
#include "control/ike/key_exchange.hpp"

namespace espgate::daemon {
namespace {

using nlohmann::json;

class Rows {
 public:
  void add(std::string_view setting, const std::string& value, std::string_view meaning) {
    rows_.push_back({{"setting", setting}, {"value", value}, {"meaning", meaning}});
  }
  json take() { return std::move(rows_); }

 private:
  json rows_ = json::array();
};

std::string suites_text(const std::vector<crypto::SuiteId>& suites) {
  std::vector<std::string_view> names;
  for (const auto id : suites) names.push_back(crypto::suite(id).name);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string prfs_text(const std::vector<ike::Prf>& used) {
  std::vector<std::string_view> names;
  for (const auto prf : used)
    names.push_back(config::prf_names[std::ranges::find(config::prfs, prf) - std::begin(config::prfs)]);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string methods_text(const std::vector<std::uint16_t>& methods) {
  std::vector<std::string_view> names;
  for (const auto id : methods)
    if (const auto* method = ike::find_key_exchange(id)) names.push_back(method->name);
  return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
}

std::string lists_text(const std::vector<std::vector<std::uint16_t>>& lists) {
  std::vector<std::string> texts;
  for (const auto& list : lists) texts.push_back(methods_text(list));
  return fmt::format("{}", fmt::join(texts, "; "));
}

std::string seconds_text(std::chrono::seconds time) {
  return fmt::format("{} s", time.count());
}

void add_start(config::Start start, Rows& rows) {
  switch (start) {
    case config::Start::always:
      return rows.add("start", "always",
                      "it is brought up at once and kept up; after a failure it is tried again, after 2 s at "
                      "first and 120 s at most");
    case config::Start::on_demand:
      return rows.add("start", "on-demand",
                      "the first packet that it is for brings it up, and is dropped itself");
    case config::Start::passive:
      return rows.add("start", "passive", "the peer brings it up, or `initiate`");
  }
}

void add_childless(const config::IkeSettings& ike, Rows& rows) {
  if (ike.childless)
    rows.add("childless", "true",
             "if we begin, IKE is made alone first, and the traffic's first keys have a key exchange of "
             "their own");
}

void add_identities(const config::IkeSettings& ike, Rows& rows) {
  rows.add("local-id", ike::to_string(ike.local_id),
           fmt::format("who we say we are; we prove it by {}", ike.credentials.ours));
  rows.add("remote-id", ike.remote_id.text(),
           fmt::format("who the peer must say it is; it proves it by {}", ike.credentials.theirs));
  if (ike.ppk_use != ike::PpkUse::off)
    rows.add("ppk", ike.ppk_use == ike::PpkUse::required ? "required" : "optional",
             "a postquantum preshared key goes into all keys");
}

void add_algorithms(const config::IkeSettings& ike, Rows& rows) {
  rows.add("suites", suites_text(ike.algorithms.suites), "one of these protects IKE's own messages");
  rows.add("prfs", prfs_text(ike.algorithms.prfs), "keys are derived by one of these");
  rows.add("key-exchanges", methods_text(ike.algorithms.key_exchanges),
           "IKE's keys come from one of these; the first is tried first");
  for (std::size_t i = 0; i < ike.algorithms.additional.size(); ++i)
    rows.add("additional-key-exchanges", methods_text(ike.algorithms.additional[i]),
             fmt::format("then key exchange {} by this method: all have to be broken", i + 2));
  rows.add("child-suites", suites_text(ike.child_algorithms.suites), "one of these protects the traffic");
  rows.add("pfs", methods_text(ike.child_algorithms.key_exchanges),
           ike.child_algorithms.key_exchanges.empty()
               ? "new traffic keys follow from IKE's"
               : "new traffic keys come from a key exchange of their own; the first ones from IKE's");
  const auto& children = ike.child_algorithms;
  if (!ike.algorithms.additional.empty())
    rows.add("additional-key-exchanges", lists_text(ike.algorithms.additional),
             "IKE's keys come from these as well, one exchange each");
  if (!children.additional.empty())
    rows.add("additional-pfs", lists_text(children.additional), "new traffic keys come from these as well");
  rows.add("esn",
           children.extended_sequence && children.short_sequence ? "either"
           : children.extended_sequence                          ? "true"
                                                                 : "false",
           "64-bit sequence numbers, as far as both sides want them");
}

void add_times(const config::IkeSettings& ike, Rows& rows) {
  rows.add("child-rekey-after", seconds_text(ike.child_sa.rekey_after),
           "the traffic's keys are replaced then, or up to a tenth earlier, and no packet is lost");
  rows.add("child-expires-after", seconds_text(ike.child_sa.expires_after),
           "if that failed all the while, they are given up");
  rows.add("rekey-after", seconds_text(ike.ike_sa.rekey_after), "the same for IKE's keys");
  rows.add("expires-after", seconds_text(ike.ike_sa.expires_after), "the same for IKE's keys");
  rows.add("reauthenticate-after", seconds_text(ike.reauthenticate_after),
           ike.reauthenticate_after.count() == 0 ? "who the peer is, is proved once, unless it wants more"
                                                 : "both sides prove again who they are; if the peer began "
                                                   "it is told to see to that, or is closed");
  rows.add("liveness", seconds_text(ike.liveness_after),
           ike.liveness_after.count() == 0 ? "a peer that has died is found out at the next rekey"
                                           : "a peer that has been silent so long is asked");
  rows.add("tries", fmt::format("{}", ike.tries),
           fmt::format("so often a message is sent; without an answer the connection is down after {} s",
                       (1u << ike.tries) - 1));
  rows.add("fragment-bytes", fmt::format("{}", ike.fragment_bytes),
           ike.fragment_bytes == 0 ? "IKE messages go whole" : "longer IKE messages go in parts");
}

template <typename Addresses>
std::string addresses_text(const Addresses& addresses) {
  std::vector<std::string> texts;
  for (const auto& address : addresses) texts.push_back(net::to_string(address));
  return fmt::format("{}", fmt::join(texts, ", "));
}

void add_peer(const config::IkeSettings& ike, bool follow_peer, Rows& rows) {
  rows.add(
      "follow-peer", follow_peer ? "true" : "false",
      follow_peer ? "the peer may move, or its NAT give it another port" : "the peer stays where it began");
  if (!ike.other_addresses.empty())
    rows.add("other-addresses", addresses_text(ike.other_addresses),
             "where the tunnel may move to from local");
  if (!ike.peer_addresses.empty())
    rows.add("assign", addresses_text(ike.peer_addresses), "what the peer gets if it asks for addresses");
  if (!ike.peer_dns.empty())
    rows.add("assign-dns", addresses_text(ike.peer_dns), "the DNS servers that it is told of then");
  if (ike.request_addresses)
    rows.add("request-addresses", "true", "if we begin we ask the peer for addresses within local-networks");
}

void add_recovery(config::InvalidSpiRecovery recovery, Rows& rows) {
  switch (recovery) {
    case config::InvalidSpiRecovery::full:
      return rows.add("invalid-spi-recovery", "full",
                      "a peer that sends with an SPI of no SA is told so, or an IKE SA with it is begun");
    case config::InvalidSpiRecovery::existing_ike_only:
      return rows.add("invalid-spi-recovery", "existing-ike-only",
                      "a peer that sends with an SPI of no SA is told so if there is an IKE SA with it");
    case config::InvalidSpiRecovery::off:
      return rows.add("invalid-spi-recovery", "off",
                      "nothing is done about a peer that sends with an SPI of no SA");
  }
}

void add_lifetime(const sa::Lifetime& lifetime, Rows& rows) {
  if (lifetime.limits_anything())
    rows.add("lifetime", "limited", "past its soft limit it is logged, past its hard limit it drops");
  else
    rows.add("lifetime", "for ever", "the keys stay until the file changes");
}

void add_traffic(const Services& services, const config::Connection& connection, Rows& rows) {
  std::vector<std::string> selectors;
  for (const auto& selector : config::protected_by(connection)) selectors.push_back(net::to_string(selector));
  const auto tunnels = services.tunnels->interface_of(connection.name);
  rows.add("selectors", fmt::format("{}", fmt::join(selectors, "; ")),
           connection.by_route
               ? fmt::format("what routes lead into interface {} is protected", tunnels)
               : "this traffic is protected; without an SA it is dropped, never sent in clear");
  rows.add("mode", connection.mode == config::Mode::transport ? "transport" : "tunnel",
           connection.mode == config::Mode::transport ? "the gateways' own packets are protected"
                                                      : "packets travel whole inside others");
  rows.add("encapsulation", connection.encapsulation == config::Encapsulation::udp ? "udp" : "none",
           connection.encapsulation == config::Encapsulation::udp ? "ESP is in UDP, port 4500"
           : connection.ike ? "ESP is in UDP if there is a NAT on the way, else plain"
                            : "plain ESP, IP protocol 50");
  rows.add("replay-window", fmt::format("{}", connection.replay_window_packets),
           connection.replay_window_packets == 0 ? "repeated packets are taken"
                                                 : "packets that come later than that are dropped");
}

}  // namespace

json explain_settings(const Services& services, const config::Connection& connection) {
  Rows rows;
  rows.add("local", net::to_string(connection.local), "our outer address");
  rows.add(
      "remote", remote_text(connection),
      connection.any_peer ? "peers come from anywhere; who they are decides" : "the peer's outer address");
  add_traffic(services, connection, rows);
  if (!connection.ike) {
    rows.add("suite", std::string(crypto::suite(connection.suite).name), "protects the traffic");
    rows.add("esn", connection.extended_sequence ? "true" : "false", "the peer must have it alike");
    add_lifetime(connection.lifetime, rows);
    return rows.take();
  }
  add_start(connection.ike->start, rows);
  add_childless(*connection.ike, rows);
  add_identities(*connection.ike, rows);
  add_algorithms(*connection.ike, rows);
  add_times(*connection.ike, rows);
  add_peer(*connection.ike, connection.follow_peer, rows);
  add_recovery(connection.invalid_spi_recovery, rows);
  return rows.take();
}

}  // namespace espgate::daemon
