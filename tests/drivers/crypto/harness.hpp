// What the engine tests share: every engine this machine can run, keys, and packets that fill operations.
#pragma once

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
  Key(Engine& engine, SuiteId suite, std::span<const std::uint8_t> key)
      : suite_(suite), prepared_(allocate(engine.prepared_key_bytes(suite))) {
    const auto done = engine.prepare_key(suite, key, prepared_.get());
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

// One packet's bytes, of just the size they need, so that a sanitizer sees an engine that oversteps.
struct Packet {
  Bytes nonce, aad, text, icv = Bytes(16);

  Operation operation(const Key& key) {
    Operation op{};
    op.key = key.prepared();
    op.suite = key.suite();
    op.text = text.data();
    op.icv = icv.data();
    op.text_bytes = static_cast<std::uint32_t>(text.size());
    op.aad_bytes = static_cast<std::uint8_t>(aad.size());
    op.status = Status::failed;
    std::memcpy(op.nonce, nonce.data(), nonce.size());
    if (!aad.empty()) std::memcpy(op.aad, aad.data(), aad.size());
    return op;
  }

  bool operator==(const Packet&) const = default;
};

inline Packet random_packet(std::mt19937& random, std::size_t text_bytes, bool extended_sequence) {
  Packet packet;
  packet.nonce = random_bytes(random, 12);
  packet.aad = random_bytes(random, extended_sequence ? 12 : 8);
  packet.text = random_bytes(random, text_bytes);
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
