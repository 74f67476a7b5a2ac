// Puts together a message that came in parts (RFC 7383 2.6). Only parts that were authentic come here, so an
// attacker without the keys holds no memory; a peer holds at most one message's worth. One owner.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "control/ike/message.hpp"

namespace espgate::ike {

class Fragments {
 public:
  static constexpr std::size_t most_parts = 128;

  struct Whole {
    PayloadType first{};
    std::vector<std::uint8_t> bytes;
  };

  // Whether decrypting this one is worth it: it is not here yet, and its message may become whole.
  bool wants(std::uint32_t message_id, const EncryptedFragment& fragment) const;
  // `content` is the decrypted part, of a message of at most so many bytes. Gives the message once all are
  // there, and forgets it.
  std::optional<Whole> add(std::uint32_t message_id, const EncryptedFragment& fragment,
                           std::vector<std::uint8_t> content, std::size_t most_bytes);
  void clear();

 private:
  std::uint32_t message_id_ = 0;
  std::vector<std::optional<std::vector<std::uint8_t>>> parts_;  // empty: no message
  PayloadType first_{};
  std::size_t arrived_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace espgate::ike
