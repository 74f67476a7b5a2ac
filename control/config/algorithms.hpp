// Which algorithms a connection may negotiate, and why it may not use others: what the `ike` group is read
// by, and what `show proposals` lists. Pure functions.
#pragma once

#include <string_view>
#include <vector>

#include "control/ike/key_exchange.hpp"
#include "control/ike/proposals.hpp"

namespace espgate::config {

enum class AlgorithmKind : std::uint8_t { suite, prf, key_exchange };
std::string_view name(AlgorithmKind kind);

struct Algorithm {
  AlgorithmKind kind;
  std::string_view name;  // as the configuration writes it
  bool for_ike = false;   // whether it may be named for IKE itself ...
  bool for_traffic = false;
  std::string_view refused{};  // why it may not be, or not for IKE; empty: it may for both
};
// All that have a name here, and those that people know from elsewhere.
std::vector<Algorithm> known_algorithms();

// Why an algorithm of that name, or a part of it between hyphens, is refused, of whichever kind; empty: it is
// not, or there is none.
std::string_view why_refused(std::string_view name);
// Why traffic may not be protected by it, or IKE itself; empty: it may.
std::string_view weakness_of(const crypto::Suite& suite);
std::string_view weakness_for_ike(const crypto::Suite& suite);
// Why the method may not be the only one; empty: it may.
std::string_view why_not_alone(const ike::KeyExchangeMethod& method);

inline constexpr std::string_view prf_names[] = {"sha256", "sha384", "sha512"};
inline constexpr ike::Prf prfs[] = {ike::Prf::hmac_sha2_256, ike::Prf::hmac_sha2_384,
                                    ike::Prf::hmac_sha2_512};

// Where the file says nothing.
ike::IkeAlgorithms preset_algorithms();

}  // namespace espgate::config
