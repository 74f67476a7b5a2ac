// Keeps AEAD IVs unique for a key (RFC 4106 3.1), over restarts too, when the key is a configured one
// that outlives the process.
//
// The IV of a packet is base + sequence number mod 2^64, and the base is the second of installation times
// 2^32. A later SA under the same key begins above everything an earlier one can have reached, because
// nothing sends 2^32 packets a second. Several installations of one key within a second get one second
// more each, so they are apart as well.
//
// What remains: the clock must not have been set back since the key was last used; two SAs with extended
// sequence numbers that use one key *at the same time* meet after 2^32 packets. Neither can happen with
// keys that IKE negotiates. Whoever configures keys by hand must give each SA its own.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>

namespace espgate::sa {

// Control thread only.
class IvBases {
 public:
  // The base for an SA that is installed now. `unix_seconds` going backwards within the process is
  // tolerated. Only a digest of `keymat` is kept, and only for the second it concerns.
  std::uint64_t take(std::span<const std::uint8_t> keymat, std::uint64_t unix_seconds);

 private:
  using Digest = std::array<std::uint8_t, 32>;

  std::uint64_t now_s_ = 0;
  std::map<Digest, std::uint64_t> last_second_;  // of keys whose last second is not over
};

}  // namespace espgate::sa
