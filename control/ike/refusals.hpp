// What peers began and were refused because of a limit: counted, and told of once a minute for each limit.
// One owner.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "control/ike/endpoint.hpp"

namespace espgate::ike {

enum class Limit : std::uint8_t { ike_sas, ike_half_open, ike_half_open_per_source, ike_sas_per_peer };
inline constexpr std::array all_limits = {Limit::ike_sas, Limit::ike_half_open,
                                          Limit::ike_half_open_per_source, Limit::ike_sas_per_peer};
// As the configuration's `limits` has it.
constexpr std::string_view name(Limit limit) {
  constexpr std::string_view names[] = {"ike-sas", "ike-half-open", "ike-half-open-per-source",
                                        "ike-sas-per-peer"};
  return names[static_cast<std::size_t>(limit)];
}

class Refusals {
 public:
  // One more; whether it is to be told of.
  bool add(Limit limit, Time now) {
    constexpr Time minute = std::chrono::minutes(1);
    auto& one = ones_[static_cast<std::size_t>(limit)];
    ++one.count;
    if (one.told != Time::min() && now < one.told + minute) return false;
    one.told = now;
    return true;
  }
  std::uint64_t count(Limit limit) const { return ones_[static_cast<std::size_t>(limit)].count; }

 private:
  struct One {
    std::uint64_t count = 0;
    Time told = Time::min();
  };
  std::array<One, all_limits.size()> ones_{};
};

}  // namespace espgate::ike
