// What the engine tests share: every engine this machine can run, keys, and packets that fill operations.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <new>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "drivers/crypto/engines.hpp"
#include "drivers/crypto/ipsec_mb_engine.hpp"

namespace espgate::crypto::test {

using Bytes = std::vector<std::uint8_t>;

inline Bytes from_hex(const std::string& hex) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<std::uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

inline Bytes random_bytes(std::mt19937& random, std::size_t count) {
  Bytes bytes(count);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

// The OpenSSL engine and IPsec-MB with each instruction set that the processor has.
inline std::vector<std::unique_ptr<Engine>> every_engine() {
  std::vector<std::unique_ptr<Engine>> engines;
  engines.push_back(std::move(*make_engine("openssl")));
  for (const auto set : {InstructionSet::best, InstructionSet::sse, InstructionSet::avx, InstructionSet::avx2,
                         InstructionSet::avx512, InstructionSet::avx512_vaes})
    if (auto engine = make_ipsec_mb_engine(set)) engines.push_back(std::move(*engine));
  return engines;
}

// A prepared key in memory of just the size the engine asks for.
class Key {
 public:
  Key(Engine& engine, SuiteId suite, std::span<const std::uint8_t> keymat)
      : suite_(suite), prepared_(allocate(engine.prepared_key_bytes(suite))) {
    const auto done = engine.prepare_key(suite, keymat, prepared_.get());
    REQUIRE(done);
  }
  SuiteId suite() const { return suite_; }
  PreparedKey prepared() const { return prepared_.get(); }

 private:
  struct Free {
    void operator()(std::byte* bytes) const { ::operator delete[](bytes, std::align_val_t{key_alignment}); }
  };
  using Memory = std::unique_ptr<std::byte[], Free>;
  static Memory allocate(std::size_t bytes) {
    return Memory(static_cast<std::byte*>(::operator new[](bytes, std::align_val_t{key_alignment})));
  }

  SuiteId suite_;
  Memory prepared_;
};

// One ESP packet from header to ICV, in memory of just the size it needs, so that a sanitizer sees an engine
// that oversteps.
class Packet {
 public:
  // Nonce and AAD as an Operation has them; the header and the IV are part of them.
  Packet(const Suite& suite, Bytes nonce_bytes, Bytes aad_bytes, const Bytes& text)
      : nonce(std::move(nonce_bytes)),
        aad(std::move(aad_bytes)),
        text_offset_(8u + suite.iv_bytes),
        text_bytes_(text.size()),
        wire_(text_offset_ + text_bytes_ + suite.icv_bytes) {
    put(0, aad, 0, 4);
    put(4, aad, aad.size() < 4 ? 0 : aad.size() - 4, 4);
    if (suite.iv_bytes == 8) put(8, nonce, 4, 8);
    std::copy(text.begin(), text.end(), wire_.begin() + static_cast<std::ptrdiff_t>(text_offset_));
  }

  Operation operation(const Key& key) {
    Operation op{};
    op.key = key.prepared();
    op.suite = key.suite();
    op.text = wire_.data() + text_offset_;
    op.text_bytes = static_cast<std::uint32_t>(text_bytes_);
    op.aad_bytes = static_cast<std::uint8_t>(aad.size());
    op.status = Status::failed;
    std::memcpy(op.nonce, nonce.data(), nonce.size());
    if (!aad.empty()) std::memcpy(op.aad, aad.data(), aad.size());
    return op;
  }

  Bytes text() const { return part(text_offset_, text_bytes_); }
  Bytes icv() const { return part(text_offset_ + text_bytes_, wire_.size()); }
  std::span<std::uint8_t> iv() { return std::span(wire_).subspan(8, text_offset_ - 8); }
  std::span<std::uint8_t> header() { return std::span(wire_).first(8); }
  std::span<std::uint8_t> text_and_icv() { return std::span(wire_).subspan(text_offset_); }
  std::size_t text_bytes() const { return text_bytes_; }
  const Bytes& wire() const { return wire_; }

  bool operator==(const Packet&) const = default;

  Bytes nonce, aad;

 private:
  void put(std::size_t at, const Bytes& from, std::size_t offset, std::size_t count) {
    for (std::size_t i = 0; i < count && offset + i < from.size(); ++i) wire_[at + i] = from[offset + i];
  }
  Bytes part(std::size_t offset, std::size_t count) const {
    const auto view = std::span(wire_).subspan(offset);
    const auto some = view.first(std::min(count, view.size()));
    return Bytes(some.begin(), some.end());
  }

  std::size_t text_offset_, text_bytes_;
  Bytes wire_;
};

// `text_bytes` rounded down to what the suite can encrypt.
inline Packet random_packet(std::mt19937& random, const Suite& suite, std::size_t text_bytes,
                            bool extended_sequence) {
  if (suite.cipher == Cipher::aes_cbc) text_bytes -= text_bytes % 16;
  auto nonce = random_bytes(random, 12);
  auto aad = random_bytes(random, extended_sequence ? 12 : 8);
  Packet packet(suite, std::move(nonce), std::move(aad), random_bytes(random, text_bytes));
  for (auto& byte : packet.iv())
    if (suite.iv_bytes == 16) byte = static_cast<std::uint8_t>(random());
  return packet;
}

inline Status seal(Queue& queue, const Key& key, Packet& packet) {
  auto op = packet.operation(key);
  queue.seal({&op, 1});
  return op.status;
}
inline Status open(Queue& queue, const Key& key, Packet& packet) {
  auto op = packet.operation(key);
  queue.open({&op, 1});
  return op.status;
}

}  // namespace espgate::crypto::test
