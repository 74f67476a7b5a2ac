// Policies and packets from text, and the linear search that the classifier must agree with.
#pragma once

#include <array>
#include <catch2/catch.hpp>
#include <map>
#include <memory_resource>
#include <numeric>
#include <span>
#include <string>

#include "datapath/net/flow.hpp"
#include "datapath/policy/classifier.hpp"

namespace espgate::testing {

// Five fields as a test writes them; a fragment has no ports.
struct Packet {
  net::Address local;
  net::Address remote;
  std::uint8_t protocol = 17;
  std::uint16_t local_port = 0;
  std::uint16_t remote_port = 0;
  bool ports_known = true;

  net::Flow flow() const {
    net::Flow flow{};
    flow.set_addresses(local.family, local.bytes.data(), remote.bytes.data());
    flow.set_upper(protocol, ports_known ? local_port : std::uint16_t{0},
                   ports_known ? remote_port : std::uint16_t{0});
    flow.ports_known = ports_known;
    return flow;
  }
};

struct Entry {
  net::TrafficSelector selector;
  std::uint32_t rule = 0;
  policy::Decision decision;
};
using Model = std::map<std::uint64_t, Entry>;  // by order

inline policy::Decision first_match(const Model& model, const Packet& packet) {
  for (const auto& [order, entry] : model) {
    const auto& selector = entry.selector;
    if (!selector.local.contains(packet.local) || !selector.remote.contains(packet.remote)) continue;
    if (selector.protocol && *selector.protocol != packet.protocol) continue;
    if (selector.needs_ports() && !packet.ports_known) return policy::Decision::ports_unknown();
    if (selector.local_ports.contains(packet.local_port) &&
        selector.remote_ports.contains(packet.remote_port))
      return entry.decision;
  }
  return policy::Decision::none();
}

inline net::TrafficSelector selector(const std::string& local, const std::string& remote) {
  return {net::parse_range(local).value(), net::parse_range(remote).value(), std::nullopt, {}, {}};
}

inline net::TrafficSelector selector(const std::string& local, const std::string& remote,
                                     std::uint8_t protocol, net::PortRange local_ports = {},
                                     net::PortRange remote_ports = {}) {
  auto result = selector(local, remote);
  result.protocol = protocol;
  result.local_ports = local_ports;
  result.remote_ports = remote_ports;
  return result;
}

inline Packet packet(const std::string& local, const std::string& remote, std::uint8_t protocol = 17,
                     std::uint16_t local_port = 1000, std::uint16_t remote_port = 2000) {
  return {net::parse_address(local).value(),
          net::parse_address(remote).value(),
          protocol,
          local_port,
          remote_port,
          true};
}

inline Packet without_ports(Packet packet) {
  packet.ports_known = false;
  return packet;
}

inline std::unique_ptr<policy::Classifier> classifier(
    std::uint32_t rules, forward::ReaderBarrier barrier = {},
    std::pmr::memory_resource* memory = std::pmr::new_delete_resource()) {
  auto made = policy::Classifier::create(rules, 2, *memory, barrier);
  REQUIRE(made);
  return *std::move(made);
}

// All of them, in their order.
inline void look_up_all(const policy::Classifier& classifier, std::span<const net::Flow> flows,
                        policy::Match* out) {
  std::array<std::uint8_t, policy::Classifier::most_in_burst> rows;
  std::iota(rows.begin(), rows.end(), std::uint8_t{0});
  classifier.look_up(flows.data(), {rows.data(), flows.size()}, out);
}

inline policy::Decision decision(const policy::Classifier& classifier, const Packet& packet) {
  const auto flow = packet.flow();
  policy::Match match;
  look_up_all(classifier, {&flow, 1}, &match);
  return match.decision;
}

}  // namespace espgate::testing
