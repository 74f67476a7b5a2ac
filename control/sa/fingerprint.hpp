// Tells whether an SA would come out the same, without keeping its key: a SHA-256 over everything that
// goes into it. Keys are random, so the digest gives nothing away.
#pragma once

#include "datapath/base/digest.hpp"
#include "datapath/sa/sa_store.hpp"

namespace espgate::sa {

struct Fingerprint {
  Digest sa{};   // all parameters, but not what was used of the lifetime
  Digest key{};  // SPI, suite, ESN and key: the sequence number space

  bool operator==(const Fingerprint&) const = default;
};

Fingerprint fingerprint(const SaParameters& parameters);

}  // namespace espgate::sa
