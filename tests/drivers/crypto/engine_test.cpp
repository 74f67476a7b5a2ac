// The control side of an engine: names, keys, key layout, several queues at work at once.
#include <intel-ipsec-mb.h>

#include <atomic>
#include <deque>
#include <set>
#include <thread>

#include "drivers/crypto/library_image.hpp"
#include "tests/drivers/crypto/harness.hpp"

using namespace espgate::crypto;
using namespace espgate::crypto::test;

TEST_CASE("engines are made by name, and a wrong name is told the right ones") {
  for (const auto name : engine_names()) {
    const auto engine = make_engine(name);
    REQUIRE(engine);
    CHECK((*engine)->name() == name);
    CHECK_FALSE((*engine)->implementation().empty());
  }
  const auto none = make_engine("ipsec_mb");
  REQUIRE_FALSE(none);
  CHECK(none.error().what.find("ipsec_mb") != std::string::npos);
  CHECK(none.error().remedy.find("\"ipsec-mb\"") != std::string::npos);
}

TEST_CASE("every implementation says which it is") {
  std::set<std::string_view> seen;
  const auto engines = every_engine();
  for (const auto& engine : engines) seen.insert(engine->implementation());
  // The best one is one of the others.
  CHECK(seen.size() + 1 == engines.size());
  CHECK(seen.contains(engines[1]->implementation()));
}

TEST_CASE("a key of the wrong length is refused with the right one") {
  alignas(key_alignment) std::byte out[2048];
  for (const auto& engine : every_engine()) {
    for (const auto& row : suites()) {
      for (const std::size_t wrong : {std::size_t{0}, std::size_t{15}, std::size_t{row.keymat_bytes() + 1}}) {
        const auto refused = engine->prepare_key(row.id, Bytes(wrong), out);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().what.find(row.name) != std::string::npos);
        CHECK(refused.error().remedy.find(std::to_string(row.keymat_bytes())) != std::string::npos);
      }
    }
  }
}

TEST_CASE("a prepared key takes what it says and its hot lines lie inside") {
  std::mt19937 random(6);
  for (const auto& engine : every_engine()) {
    for (const auto& row : suites()) {
      CAPTURE(engine->implementation(), row.name);
      const auto bytes = engine->prepared_key_bytes(row.id);
      CHECK(bytes % key_alignment == 0);
      CHECK(bytes > 0);
      CHECK(bytes <= 1024);
      alignas(key_alignment) std::byte out[2048];
      std::memset(out, 0x5a, sizeof out);
      REQUIRE(engine->prepare_key(row.id, random_bytes(random, row.keymat_bytes()), out));
      for (auto i = bytes; i < sizeof out; ++i) REQUIRE(out[i] == std::byte{0x5a});

      const auto lines = engine->hot_key_lines(row.id);
      CHECK(lines.size() >= 1);
      CHECK(lines.size() <= 10);
      for (const auto offset : lines) {
        CHECK(offset % key_alignment == 0);
        CHECK(offset < bytes);
      }
    }
  }
}

TEST_CASE("a short packet depends on the hot lines only") {
  std::mt19937 random(7);
  for (const auto& engine : every_engine()) {
    const auto queue = std::move(*engine->make_queue());
    for (const auto& row : suites()) {
      CAPTURE(engine->implementation(), row.name);
      const auto bytes = engine->prepared_key_bytes(row.id);
      alignas(key_alignment) std::byte whole[1024], hot[1024];
      REQUIRE(engine->prepare_key(row.id, random_bytes(random, row.keymat_bytes()), whole));
      std::memset(hot, 0xee, sizeof hot);
      for (const auto offset : engine->hot_key_lines(row.id)) std::memcpy(hot + offset, whole + offset, 64);

      auto with_whole = random_packet(random, row, 48, false);
      auto with_hot = with_whole;
      const Key key(*engine, row.id, random_bytes(random, row.keymat_bytes()));
      for (auto [packet, schedule] : {std::pair{&with_whole, whole}, std::pair{&with_hot, hot}}) {
        auto op = packet->operation(key);
        op.key = schedule;
        queue->seal({&op, 1});
        CHECK(op.status == Status::ok);
      }
      CHECK(with_whole == with_hot);
      CHECK(bytes >= engine->hot_key_lines(row.id).size() * 64);
    }
  }
}

TEST_CASE("the OpenSSL engine knows a stray pointer from a key of the suite") {
  std::mt19937 random(8);
  const auto engine = std::move(*make_engine("openssl"));
  const auto queue = std::move(*engine->make_queue());
  const Key key(*engine, SuiteId::aes_gcm_16_128, random_bytes(random, 20));
  const auto& other = suite(SuiteId::aes_gcm_16_256);
  auto packet = random_packet(random, other, 32, false);
  auto op = packet.operation(key);
  op.suite = other.id;
  queue->open({&op, 1});
  CHECK(op.status == Status::failed);
}

TEST_CASE("queues of one engine work side by side on shared keys") {
  std::mt19937 seed(9);
  for (const auto& engine : every_engine()) {
    CAPTURE(engine->implementation());
    std::deque<Key> keys;
    for (const auto& row : suites())
      keys.emplace_back(*engine, row.id, random_bytes(seed, row.keymat_bytes()));
    std::atomic<int> failures{0};
    std::vector<std::unique_ptr<Queue>> queues;
    for (int i = 0; i < 3; ++i) queues.push_back(std::move(*engine->make_queue()));
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < queues.size(); ++i) {
      threads.emplace_back([&, i] {
        std::mt19937 random(i);
        for (int round = 0; round < 300; ++round) {
          const auto& key = keys[random() % keys.size()];
          const auto plain = random_packet(random, suite(key.suite()), random() % 1500, false);
          auto packet = plain;
          failures += seal(*queues[i], key, packet) != Status::ok;
          failures += open(*queues[i], key, packet) != Status::ok || packet.text() != plain.text();
          packet.text_and_icv()[packet.text_bytes() + 3] ^= 1;
          failures += open(*queues[i], key, packet) != Status::bad_icv;
        }
      });
    }
    for (auto& thread : threads) thread.join();
    CHECK(failures == 0);
  }
}

TEST_CASE("a library image has the same code at another place") {
  const auto original = &imb_get_version;
  const auto image = LibraryImage::of(reinterpret_cast<const void*>(original));
  REQUIRE(image);
  const auto copy = image->translate(original);
  CHECK(copy != original);
  CHECK(copy() == imb_get_version());
  CHECK(std::memcmp(reinterpret_cast<const void*>(copy), reinterpret_cast<const void*>(original), 16) == 0);
  // Functions from elsewhere stay as they are.
  CHECK(image->translate(&std::strlen) == &std::strlen);
}
