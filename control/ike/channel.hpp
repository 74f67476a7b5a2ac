// The encrypted messages of one IKE SA: payloads to datagrams and back, whole or in parts. One owner.
#pragma once

#include <optional>

#include "control/ike/fragments.hpp"
#include "control/ike/keys.hpp"
#include "control/ike/protection.hpp"
#include "control/ike/window.hpp"
#include "control/ike/write.hpp"

namespace espgate::ike {

class Channel {
 public:
  // `is_initiator`: of this IKE SA, we are.
  Channel(const Spis& spis, bool is_initiator, const crypto::Suite& suite, const SaKeys& keys);

  // Messages of at most `most_bytes` each; 0: one of any length.
  Messages seal(ExchangeType exchange, bool is_response, std::uint32_t id, const PayloadWriter& payloads,
                std::size_t most_bytes);

  struct Opened {
    PayloadType first = PayloadType::none;
    std::vector<std::uint8_t> bytes;  // of the payloads
    // False: an authentic part of a message that is not whole yet.
    bool is_whole = true;
    // It is the first part of a message, or all of it: the one to answer when it comes again (RFC
    // 7383 2.6.1).
    bool is_first = true;
  };
  // None: not authentic, not encrypted, or a part that is not wanted. Parts are put together up to so many
  // bytes; 0: not at all.
  std::optional<Opened> open(const Header& header, Bytes datagram, std::size_t most_bytes);
  // Of messages that are not whole yet.
  void forget_parts();

 private:
  Spis spis_;
  bool is_initiator_;
  Protection ours_;
  Protection theirs_;
  Fragments parts_[2];  // of requests, of responses
};

}  // namespace espgate::ike
