// How the messages of an IKE SA are encrypted and authenticated, one direction each (RFC 7296 3.14, RFC 5282,
// RFC 7634, RFC 7383). The suites are ESP's. One owner; calls do not overlap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "control/ike/message.hpp"
#include "datapath/base/secret.hpp"
#include "datapath/crypto/suite.hpp"

namespace espgate::ike {

// Whether an IKE SA may use it: it encrypts, with AES-CBC, AES-GCM or ChaCha20.
bool protects_ike(const crypto::Suite& suite);

class Protection {
 public:
  // `key` is the cipher's with its salt behind it, `integrity_key` empty with an AEAD; both of the suite's
  // sizes. Throws std::bad_alloc when OpenSSL cannot.
  Protection(const crypto::Suite& suite, Secret key, Secret integrity_key);
  ~Protection();
  Protection(Protection&&) noexcept;
  Protection& operator=(Protection&&) noexcept;

  // A whole message with the payloads in SK. header.first is set.
  std::vector<std::uint8_t> seal(const Header& header, PayloadType first, Bytes payloads);
  // The same as several messages of at most `most_bytes` each with a part in SKF, or one with SK if that
  // fits. `most_bytes` has room for at least one byte of content.
  std::vector<std::vector<std::uint8_t>> seal_in_parts(const Header& header, PayloadType first,
                                                       Bytes payloads, std::size_t most_bytes);

  // The payloads in `content`, which decoding gave of SK or SKF of this datagram. None: not authentic.
  std::optional<std::vector<std::uint8_t>> open(Bytes datagram, Bytes content);

 private:
  struct State;
  std::size_t sealed_bytes(std::size_t text_bytes) const;
  std::size_t most_text(std::size_t room) const;
  void append_sealed(std::vector<std::uint8_t>& message, Bytes text);

  std::unique_ptr<State> state_;
};

}  // namespace espgate::ike
