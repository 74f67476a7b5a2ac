// What goes out unprotected to whoever asks for it: so much a second in all, to one network, and to one
// address, since whoever forges packets of one network must not use up what others need. One owner.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "control/ike/endpoint.hpp"
#include "datapath/base/per_second.hpp"

namespace espgate::ike {

class UnprotectedBudget {
 public:
  struct Limits {  // a second
    std::uint32_t in_all = 100;
    std::uint32_t to_network = 25;  // an IPv4 /24, an IPv6 /48
    std::uint32_t to_address = 4;
  };
  explicit UnprotectedBudget(const Limits& limits) : limits_(limits), all_(limits.in_all) {}
  bool take(const net::Address& to, Time now);

 private:
  Limits limits_;
  PerSecond all_;
  // Of this second: at most `in_all` of each.
  std::unordered_map<net::Address, std::uint32_t> by_network_;
  std::unordered_map<net::Address, std::uint32_t> by_address_;
};

}  // namespace espgate::ike
