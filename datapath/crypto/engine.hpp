// What the datapath asks of a crypto engine. Engines live in drivers/crypto; the datapath sees this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "datapath/base/expected.hpp"
#include "datapath/crypto/suite.hpp"

namespace espgate::crypto {

// A key schedule made by Engine::prepare_key: opaque, aligned to key_alignment, read-only for workers,
// valid only with the engine that made it.
using PreparedKey = const std::byte*;
inline constexpr std::size_t key_alignment = 64;

enum class Status : std::uint8_t {
  ok,
  bad_icv,  // open only: the ICV did not match; the text is garbage and must not be used
  failed,   // the engine could not do it; nothing may be assumed of the text
};

// One packet's work, in place, in one contiguous exclusively owned buffer as RFC 4303 2 lays it out. One
// cache line.
//
//   | SPI, sequence number | IV: suite's iv_bytes | text: text_bytes | ICV: suite's icv_bytes |
//                                                 ^ text             ^ icv()
//
// AEADs take nonce and AAD from here; suites with HMAC, and GMAC, cover the packet's own bytes, with the
// high half of the sequence number from `aad` when that is 12 bytes long.
// CBC: the text is whole blocks. Seal takes the IV for a nonce, which must be unique for the key, and puts
// its encryption there: so the IV is unpredictable (NIST SP 800-38A appendix C, first method).
struct alignas(64) Operation {
  PreparedKey key;
  std::uint8_t* text;  // first byte to encrypt or decrypt
  std::uint32_t text_bytes;
  SuiteId suite;
  std::uint8_t aad_bytes;  // 8, or 12 with extended sequence numbers (RFC 4106 5)
  Status status;           // out
  std::uint8_t unused;
  std::uint8_t
      nonce[12];         // the salt in front of the IV; of three bytes of salt (RFC 4309 4), from nonce[1] on
  std::uint8_t aad[12];  // SPI, [high half,] low half of the sequence number, network order

  // Seal: written; open: compared in constant time, and as it was afterwards.
  std::uint8_t* icv() const { return text + text_bytes; }
};
static_assert(sizeof(Operation) == 64);

// The per-worker half of an engine. One thread uses it at a time. Never allocates, blocks or throws.
// Every operation of a burst is complete on return; one operation's failure does not touch the others.
class Queue {
 public:
  virtual ~Queue() = default;
  virtual void seal(std::span<Operation> burst) = 0;
  virtual void open(std::span<Operation> burst) = 0;
};

// The shared half: control prepares keys with it and makes one queue a worker.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::string_view name() const = 0;
  // Which instruction set or device does the work, for `show workers`: "avx512-vaes".
  virtual std::string_view implementation() const = 0;
  // The library behind it and its version, for `show version`: "IPsec-MB 1.3.0".
  virtual std::string library() const = 0;
  // Bytes that prepare_key writes for this suite, a multiple of key_alignment.
  virtual std::size_t prepared_key_bytes(SuiteId suite) const = 0;
  // `keymat` holds suite.keymat_bytes(), of which the salt is not used. `out` is at least
  // prepared_key_bytes and aligned.
  virtual Expected<void> prepare_key(SuiteId suite, std::span<const std::uint8_t> keymat, std::byte* out) = 0;
  virtual Expected<std::unique_ptr<Queue>> make_queue() = 0;
  // Byte offsets, multiples of 64, of a prepared key's cache lines that even a short packet needs: what the
  // datapath prefetches as soon as it knows the SA. Queues fetch the rest of a burst's keys themselves.
  virtual std::span<const std::uint16_t> hot_key_lines(SuiteId suite) const = 0;
};

}  // namespace espgate::crypto
