// What goes out unprotected to whoever asks for it: so much a second in all, to one network, and to one
// address, since whoever forges packets of one network must not use up what others need. One owner.
#pragma once

#include <algorithm>
#include <cstdint>
#include <unordered_map>

#include "control/ike/endpoint.hpp"
#include "datapath/base/token_bucket.hpp"

namespace espgate::ike {

class UnprotectedBudget {
 public:
  struct Limits {  // a second; a quarter of each at once
    std::uint32_t in_all = 100;
    std::uint32_t to_network = 25;  // an IPv4 /24, an IPv6 /48
    std::uint32_t to_address = 4;
  };
  explicit UnprotectedBudget(const Limits& limits);
  bool has_room(const net::Address& to, Time now) const;
  // One was sent, for which there was room.
  void took(const net::Address& to, Time now);
  // How much it remembers, of networks or of addresses: at most about twice `in_all`, for which it has room
  // from the start.
  std::size_t size() const { return std::max(by_network_.size(), by_address_.size()); }
  std::size_t room() const { return std::min(by_network_.bucket_count(), by_address_.bucket_count()); }

 private:
  using Buckets = std::unordered_map<net::Address, TokenBucket>;
  static bool has_one(const Buckets& buckets, const net::Address& address, Time now);

  Limits limits_;
  TokenBucket all_;
  Buckets by_network_;  // of what was sent within the last second or two
  Buckets by_address_;
  Time forgot_ = Time::min() / 2;
};

}  // namespace espgate::ike
