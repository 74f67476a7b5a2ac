// What must be unique over the whole configuration, remembered while it is read: whoever comes second is
// told where the first one stands.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "control/config/group_reader.hpp"
#include "control/config/selector_texts.hpp"
#include "datapath/net/traffic_selector.hpp"

namespace espgate::config {

struct ClaimHash {
  std::size_t operator()(const std::string& text) const { return std::hash<std::string>{}(text); }
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  std::size_t operator()(std::uint32_t number) const { return std::hash<std::uint32_t>{}(number); }
  std::size_t operator()(const net::Address& address) const { return std::hash<net::Address>{}(address); }
  std::size_t operator()(const net::Prefix& prefix) const {
    return (*this)(prefix.address) * 131 + prefix.length;
  }
  std::size_t operator()(const net::TrafficSelector& selector) const {
    return std::hash<net::TrafficSelector>{}(selector);
  }
  std::size_t operator()(const std::pair<std::uint32_t, net::Address>& pair) const {
    return (*this)(pair.second) * 31 + (*this)(pair.first);
  }
};

struct Claim {
  unsigned row;
  Path owner;
};

template <typename Thing>
class Claims {
 public:
  // The earlier claim on `thing`; nullptr when this is the first, which is then remembered.
  const Claim* claim(const Thing& thing, unsigned row, const Path& owner) {
    const auto [entry, fresh] = claims_.try_emplace(thing, Claim{row, owner});
    return fresh ? nullptr : &entry->second;
  }
  const Claim* find(const Thing& thing) const {
    const auto entry = claims_.find(thing);
    return entry == claims_.end() ? nullptr : &entry->second;
  }

 private:
  std::unordered_map<Thing, Claim, ClaimHash> claims_;
};

struct Checks {
  Claims<std::string> port_names;
  Claims<std::string> devices;
  Claims<std::string> kernel_interfaces;  // that ports drive
  Claims<net::Address> port_addresses;
  Claims<net::Prefix> routes;
  Claims<net::TrafficSelector> policies;
  Claims<net::TrafficSelector> protected_traffic;  // of connections
  Claims<std::string> connection_names;
  Claims<std::string> tunnel_connections;  // by the tunnels that name them
  Claims<net::Address> next_hops;          // of multipoint tunnels' peers
  Claims<std::uint32_t> inbound_spis;
  Claims<std::pair<std::uint32_t, net::Address>> outbound_spis;  // with the peer's address
  Claims<std::string_view> cipher_keys;  // views of the secrets in the Configuration, no copies

  std::unordered_map<std::string_view, unsigned> limit_rows;  // of limits that were read without error
  std::vector<std::string> names_of_connections;              // by index in the file's list
  std::vector<unsigned> mtu_rows;                             // by port
  struct TunnelPlace {
    Path path;
    unsigned mtu_row;
    std::vector<Claim> peers;  // where each names its connection
  };
  std::vector<TunnelPlace> places_of_tunnels;  // by index in the Configuration
  std::vector<Claim> places_of_policies;       // by index in the Configuration
  std::vector<Claim> places_of_connections;
  std::size_t manual_sas = 0;
  unsigned first_key_row = 0;
};

// "ports[0] in line 12", as seen from `row`.
std::string described(const Claim& claim, const Report& report, unsigned row);

// Parse one value, or report what is wrong with it.
std::optional<net::Address> address_of(const GroupReader& group, std::string_view key);
std::optional<net::Prefix> prefix_of(const GroupReader& group, std::string_view key);
std::optional<net::Prefix> prefix_of(const GroupReader& group, const TextElement& element);

// An address of ours with its prefix length, which no other interface of the file has.
std::optional<net::InterfaceAddress> interface_address_of(const GroupReader& group,
                                                          const TextElement& element, Checks& checks);

// As read_selectors, from a group; what is wrong is reported.
std::vector<net::TrafficSelector> selectors_of(const GroupReader& group, const SelectorKeys& keys);

// Why `address` cannot be that of a host: unspecified, multicast or broadcast. Empty: it can.
std::string not_a_host(const net::Address& address);

}  // namespace espgate::config
