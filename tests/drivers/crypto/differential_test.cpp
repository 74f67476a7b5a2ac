// Every IPsec-MB implementation against OpenSSL, bit for bit.
#include "tests/drivers/crypto/harness.hpp"

using namespace espgate::crypto;
using namespace espgate::crypto::test;

namespace {

// Sizes around every block and loop boundary, then random ones up to a jumbo frame.
std::vector<std::size_t> sizes(std::mt19937& random) {
  std::vector<std::size_t> all;
  for (std::size_t size = 0; size <= 320; ++size) all.push_back(size);
  for (int i = 0; i < 160; ++i) all.push_back(random() % 2001);
  for (int i = 0; i < 60; ++i) all.push_back(random() % 9001);
  all.push_back(9000);
  return all;
}

// Two engines and one key in both.
struct Pair {
  Pair(Engine& engine, Engine& reference, const Suite& suite, std::mt19937& random_source)
      : row(suite),
        random(random_source),
        raw(random_bytes(random, row.keymat_bytes())),
        key(engine, row.id, raw),
        reference_key(reference, row.id, raw) {}

  // Of one packet: what is not as it should be.
  std::size_t differences(Queue& queue, Queue& reference_queue, std::size_t size) {
    const auto plain = random_packet(random, row, size, random() % 2 == 0);
    auto ours = plain, theirs = plain;
    std::size_t differ = 0;
    differ += seal(queue, key, ours) != Status::ok;
    differ += seal(reference_queue, reference_key, theirs) != Status::ok;
    differ += ours != theirs;
    // Each opens what the other has sealed.
    std::swap(ours, theirs);
    differ += open(queue, key, ours) != Status::ok || ours.text() != plain.text();
    differ += open(reference_queue, reference_key, theirs) != Status::ok || theirs.text() != plain.text();
    return differ;
  }

  const Suite& row;
  std::mt19937& random;
  Bytes raw;
  Key key, reference_key;
};

// The most that fits an IP packet, which has at least an IPv4 header.
std::size_t longest_text(const Suite& row) {
  return 65'535 - 20 - 8 - row.iv_bytes - row.icv_bytes;
}

}  // namespace

TEST_CASE("IPsec-MB and OpenSSL agree on every text size") {
  std::mt19937 random(4106);
  const auto reference = std::move(*make_engine("openssl"));
  const auto reference_queue = std::move(*reference->make_queue());
  const auto all_sizes = sizes(random);
  for (const auto& engine : every_engine()) {
    const auto queue = std::move(*engine->make_queue());
    for (const auto& row : suites()) {
      CAPTURE(engine->implementation(), row.name);
      Pair pair(*engine, *reference, row, random);
      std::size_t differ = 0;
      for (const auto size : all_sizes) differ += pair.differences(*queue, *reference_queue, size);
      CHECK(differ == 0);
    }
  }
}

// Where IPsec-MB's jobs count in 16 bits.
TEST_CASE("they agree on the longest texts that IP can carry") {
  std::mt19937 random(65'535);
  const auto reference = std::move(*make_engine("openssl"));
  const auto reference_queue = std::move(*reference->make_queue());
  for (const auto& engine : every_engine()) {
    const auto queue = std::move(*engine->make_queue());
    for (const auto& row : suites()) {
      CAPTURE(engine->implementation(), row.name);
      Pair pair(*engine, *reference, row, random);
      std::size_t differ = 0;
      for (const std::size_t less : {0u, 1u, 15u, 16u, 130u, 490u})
        differ += pair.differences(*queue, *reference_queue, longest_text(row) - less);
      CHECK(differ == 0);
    }
  }
}

TEST_CASE("long texts and short ones go side by side") {
  std::mt19937 random(3);
  const auto reference = std::move(*make_engine("openssl"));
  const auto reference_queue = std::move(*reference->make_queue());
  for (const auto& engine : every_engine()) {
    const auto queue = std::move(*engine->make_queue());
    for (const auto& row : suites()) {
      CAPTURE(engine->implementation(), row.name);
      Pair pair(*engine, *reference, row, random);
      std::vector<Packet> packets;
      for (std::size_t i = 0; i < 32; ++i)
        packets.push_back(random_packet(random, row, i % 4 == 0 ? longest_text(row) - i : i * 16, i % 8 < 4));
      auto expected = packets;
      std::vector<Operation> operations;
      for (auto& packet : packets) operations.push_back(packet.operation(pair.key));
      queue->seal(operations);
      std::size_t differ = 0;
      for (std::size_t i = 0; i < packets.size(); ++i) {
        differ += seal(*reference_queue, pair.reference_key, expected[i]) != Status::ok;
        differ += operations[i].status != Status::ok || packets[i] != expected[i];
      }
      CHECK(differ == 0);
    }
  }
}
