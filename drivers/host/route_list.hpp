// The kernel's routes by prefix, kept equal to the kernel's own lists by applying its notices.
//
// A notice does not always tell the whole change: a replaced route is not named, an IPv6 next hop that
// joins or leaves a multipath route comes alone. Each operation therefore says whether the result is
// sure; if it is not, the caller reads the kernel's table again.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "drivers/host/kernel_values.hpp"

namespace espgate::host {

enum class RouteNotice : std::uint8_t {
  listed,     // part of a dump: comes in the kernel's order
  created,    // there was no route with this prefix, table and metric
  prepended,  // before those with the same prefix, table and metric
  appended,   // behind them
  replaced,   // instead of the first of them
};

class RouteList {
 public:
  using Map = std::map<net::Prefix, std::vector<Route>, PrefixOrder>;
  enum class Outcome : std::uint8_t { unchanged, changed, doubtful };

  // Holds at most `limit` routes; further ones are left out, which `overflowed` tells.
  explicit RouteList(std::size_t limit) : limit_(limit) {}

  Outcome add(const Route& route, RouteNotice notice);
  Outcome remove(const Route& route);

  // The routes to exactly this prefix in the order of preference within each table.
  std::span<const Route> at(const net::Prefix& prefix) const;
  // Whether any prefix has this length: lets a search by longest prefix skip most lengths.
  bool has_length(net::Family family, std::uint8_t length) const {
    return prefixes_[family == net::Family::v6][length] != 0;
  }
  const Map& all() const { return routes_; }
  std::size_t size() const { return size_; }
  bool overflowed() const { return overflowed_; }

 private:
  std::uint32_t& count_of(const net::Prefix& prefix) {
    return prefixes_[prefix.address.family == net::Family::v6][prefix.length];
  }

  Map routes_;
  std::array<std::array<std::uint32_t, 129>, 2> prefixes_{};  // how many, by family and length
  std::size_t limit_;
  std::size_t size_ = 0;
  bool overflowed_ = false;
};

}  // namespace espgate::host
