// Where a datagram comes from or goes to.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>

#include "datapath/net/address.hpp"
#include "datapath/net/headers.hpp"

namespace espgate::ike {

struct Endpoint {
  net::Address address;
  std::uint16_t port = net::ike_port;
  auto operator<=>(const Endpoint&) const = default;
};

// "192.0.2.1:500", "[2001:db8::1]:4500"
std::string to_string(const Endpoint& endpoint);

// A reading of a clock that never jumps, as whoever calls the core has it; the core never looks at one.
using Time = std::chrono::nanoseconds;
inline constexpr Time never = Time::max();

}  // namespace espgate::ike

template <>
struct std::hash<espgate::ike::Endpoint> {
  std::size_t operator()(const espgate::ike::Endpoint& endpoint) const noexcept {
    return std::hash<espgate::net::Address>{}(endpoint.address) * 31 + endpoint.port;
  }
};
