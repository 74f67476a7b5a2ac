// Tells whether an SA would come out the same, without keeping its key: a SHA-256 over everything that
// goes into it. Keys are random, so the digest gives nothing away.
#pragma once

#include <array>
#include <cstdint>

#include "datapath/sa/sa_store.hpp"

namespace espgate::sa {

struct Fingerprint {
  std::array<std::uint8_t, 32> sa{};   // all parameters, but not what was used of the lifetime
  std::array<std::uint8_t, 32> key{};  // SPI, suite, ESN and key: the sequence number space

  bool operator==(const Fingerprint&) const = default;
  bool same_sequence_space(const Fingerprint& other) const { return key == other.key; }
};

Fingerprint fingerprint(const SaParameters& parameters);

}  // namespace espgate::sa
