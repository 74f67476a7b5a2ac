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
      const auto raw = random_bytes(random, row.keymat_bytes());
      const Key key(*engine, row.id, raw), reference_key(*reference, row.id, raw);
      std::size_t differ = 0;
      for (const auto size : all_sizes) {
        const auto plain = random_packet(random, row, size, random() % 2 == 0);
        auto ours = plain, theirs = plain;
        differ += seal(*queue, key, ours) != Status::ok;
        differ += seal(*reference_queue, reference_key, theirs) != Status::ok;
        differ += ours != theirs;
        // Each opens what the other has sealed.
        std::swap(ours, theirs);
        differ += open(*queue, key, ours) != Status::ok || ours.text() != plain.text();
        differ +=
            open(*reference_queue, reference_key, theirs) != Status::ok || theirs.text() != plain.text();
      }
      CHECK(differ == 0);
    }
  }
}
