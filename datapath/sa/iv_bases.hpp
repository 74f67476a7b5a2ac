// Keeps AEAD IVs unique for a key (RFC 4106 3.1), over restarts too, when the key is a configured one
// that outlives the process.
//
// The IV of a packet is base + sequence number mod 2^64, and the base is the time at which the SA was
// installed, in 2^-32 s since 1970. No two packets of a key have the same IV, because
//   1. no IV is ahead of the clock when it is used: the base is not, and nothing sends 2^32 packets a second;
//   2. so a base is above all IVs that were used before it was taken, by this process or by one before it,
//      whether that ended well or was killed a moment ago;
//   3. an SA that goes on sending when its key is installed again is stopped below the new base: it gets a
//      last sequence number, and the new base is taken once the clock is past the IV of that.
//
// What remains: the machine's clock must not have been set back since a process before this one used the
// key. While the process runs it may be set as one likes; it is looked at once.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "datapath/base/digest.hpp"
#include "datapath/sa/security_association.hpp"
#include "datapath/sa/slab.hpp"

namespace espgate::sa {

// Control thread only.
class IvBases {
 public:
  // How many numbers more an SA gets whose key is installed again: what all workers together can send on it
  // until nothing names it any more, and two bursts of each worker beyond.
  static constexpr std::uint64_t handover_packets = std::uint64_t{1} << 20;

  // `sas` outlives this.
  IvBases(const FixedArray<OutboundSa>& sas, std::uint32_t count);
  IvBases(const IvBases&) = delete;
  IvBases& operator=(const IvBases&) = delete;

  // The base for the SA that is about to be installed in entry `index`. Takes half a millisecond at most,
  // which is for a key that was installed as lately as that. Only a digest of `keymat` is kept.
  std::uint64_t take(std::uint32_t index, std::span<const std::uint8_t> keymat);
  // The entry's SA is gone.
  void forget(std::uint32_t index);

 private:
  using Users = std::map<Digest, std::uint32_t>;

  std::uint64_t now() const;

  const FixedArray<OutboundSa>& sas_;
  std::uint64_t start_;                   // what `now` was when the steady clock was 0
  Users users_;                           // the newest SA under each key
  std::vector<Users::iterator> user_of_;  // by entry; end: none, or there is a newer one
};

}  // namespace espgate::sa
