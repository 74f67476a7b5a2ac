// What the queue contract says of bursts: any length, any mixture, one failure harms nobody else.
#include <deque>

#include "tests/drivers/crypto/harness.hpp"

using namespace espgate::crypto;
using namespace espgate::crypto::test;

namespace {

// A burst over several keys of all suites, with the plain packets it was made from.
struct Burst {
  Burst(Engine& engine, std::size_t count, std::size_t text_bytes, std::mt19937& random) {
    for (const auto& row : suites())
      for (int i = 0; i < 2; ++i) keys.emplace_back(engine, row.id, random_bytes(random, row.key_bytes));
    for (std::size_t i = 0; i < count; ++i) {
      plain.push_back(random_packet(random, text_bytes ? text_bytes : random() % 1500, i % 2 == 0));
      key_of.push_back(random() % keys.size());
    }
    packets = plain;
  }

  std::vector<Operation> operations() {
    std::vector<Operation> all;
    for (std::size_t i = 0; i < packets.size(); ++i) all.push_back(packets[i].operation(keys[key_of[i]]));
    return all;
  }

  std::deque<Key> keys;
  std::vector<std::size_t> key_of;
  std::vector<Packet> plain, packets;
};

}  // namespace

TEST_CASE("bursts of any length and mixture of suites come back whole") {
  std::mt19937 random(1);
  for (const auto& engine : every_engine()) {
    const auto queue = std::move(*engine->make_queue());
    for (const std::size_t count : {0u, 1u, 2u, 3u, 31u, 64u}) {
      CAPTURE(engine->implementation(), count);
      Burst burst(*engine, count, 0, random);
      auto ops = burst.operations();
      queue->seal(ops);
      for (const auto& op : ops) CHECK(op.status == Status::ok);

      // In one burst or one by one must make no difference.
      for (std::size_t i = 0; i < count; ++i) {
        auto alone = burst.plain[i];
        CHECK(seal(*queue, burst.keys[burst.key_of[i]], alone) == Status::ok);
        CHECK(alone == burst.packets[i]);
        if (!alone.text.empty()) CHECK(alone.text != burst.plain[i].text);
      }

      for (auto& op : ops) op.status = Status::failed;
      queue->open(ops);
      for (std::size_t i = 0; i < count; ++i) {
        CHECK(ops[i].status == Status::ok);
        CHECK(burst.packets[i].text == burst.plain[i].text);
      }
    }
  }
}

TEST_CASE("one wrong bit in any byte of the ICV fails that packet and no other") {
  std::mt19937 random(2);
  for (const auto& engine : every_engine()) {
    const auto queue = std::move(*engine->make_queue());
    for (std::size_t byte = 0; byte < 16; ++byte) {
      for (const std::size_t victim : {0u, 7u, 15u}) {
        CAPTURE(engine->implementation(), byte, victim);
        Burst burst(*engine, 16, 0, random);
        auto ops = burst.operations();
        queue->seal(ops);
        const auto flipped = static_cast<std::uint8_t>(1u << random() % 8);
        burst.packets[victim].icv[byte] =
            static_cast<std::uint8_t>(burst.packets[victim].icv[byte] ^ flipped);
        const auto icv_as_received = burst.packets[victim].icv;
        queue->open(ops);
        for (std::size_t i = 0; i < ops.size(); ++i) {
          CHECK(ops[i].status == (i == victim ? Status::bad_icv : Status::ok));
          if (i != victim) CHECK(burst.packets[i].text == burst.plain[i].text);
        }
        CHECK(burst.packets[victim].icv == icv_as_received);
      }
    }
  }
}

TEST_CASE("a wrong bit in text, AAD, nonce or key is a bad ICV") {
  std::mt19937 random(3);
  for (const auto& engine : every_engine()) {
    CAPTURE(engine->implementation());
    const auto queue = std::move(*engine->make_queue());
    for (const auto& row : suites()) {
      auto raw = random_bytes(random, row.key_bytes);
      const Key key(*engine, row.id, raw);
      raw[row.key_bytes - 1u] ^= 0x80;
      const Key other_key(*engine, row.id, raw);
      auto sealed = random_packet(random, 100, true);
      REQUIRE(seal(*queue, key, sealed) == Status::ok);

      for (auto part : {&Packet::nonce, &Packet::aad, &Packet::text}) {
        for (const bool last : {false, true}) {
          auto spoilt = sealed;
          auto& byte = last ? (spoilt.*part).back() : (spoilt.*part).front();
          byte ^= 0x01;
          CHECK(open(*queue, key, spoilt) == Status::bad_icv);
        }
      }
      auto shortened = sealed;
      shortened.aad.resize(8);
      CHECK(open(*queue, key, shortened) == Status::bad_icv);
      auto misread = sealed;
      CHECK(open(*queue, other_key, misread) == Status::bad_icv);
      CHECK(open(*queue, key, sealed) == Status::ok);
    }
  }
}

TEST_CASE("a text that is empty has an ICV all the same") {
  std::mt19937 random(4);
  for (const auto& engine : every_engine()) {
    CAPTURE(engine->implementation());
    const auto queue = std::move(*engine->make_queue());
    const Key key(*engine, SuiteId::aes_gcm_16_128, random_bytes(random, 16));
    auto packet = random_packet(random, 0, false);
    auto op = packet.operation(key);
    op.text = nullptr;
    queue->seal({&op, 1});
    CHECK(op.status == Status::ok);
    CHECK(packet.icv != Bytes(16));
    queue->open({&op, 1});
    CHECK(op.status == Status::ok);
    packet.icv[0] ^= 1;
    queue->open({&op, 1});
    CHECK(op.status == Status::bad_icv);
  }
}

TEST_CASE("a suite the engine does not know fails its packet and no other") {
  std::mt19937 random(5);
  for (const auto& engine : every_engine()) {
    CAPTURE(engine->implementation());
    const auto queue = std::move(*engine->make_queue());
    Burst burst(*engine, 3, 64, random);
    auto ops = burst.operations();
    ops[1].suite = static_cast<SuiteId>(suites().size());
    queue->seal(ops);
    CHECK(ops[0].status == Status::ok);
    CHECK(ops[1].status == Status::failed);
    CHECK(ops[2].status == Status::ok);
    CHECK(burst.packets[1].text == burst.plain[1].text);
    queue->open(ops);
    CHECK(ops[0].status == Status::ok);
    CHECK(ops[1].status == Status::failed);
    CHECK(ops[2].status == Status::ok);
  }
}
