// What the queue contract says of bursts: any length, any mixture, one failure harms nobody else.
#include <deque>
#include <set>

#include "tests/drivers/crypto/harness.hpp"

using namespace espgate::crypto;
using namespace espgate::crypto::test;

namespace {

// A burst over several keys of all suites, with the plain packets it was made from.
struct Burst {
  Burst(Engine& engine, std::size_t count, std::size_t text_bytes, std::mt19937& random) {
    for (const auto& row : suites())
      for (int i = 0; i < 2; ++i) keys.emplace_back(engine, row.id, random_bytes(random, row.keymat_bytes()));
    for (std::size_t i = 0; i < count; ++i) {
      key_of.push_back(random() % keys.size());
      const auto& row = suite(keys[key_of[i]].suite());
      plain.push_back(random_packet(random, row, text_bytes ? text_bytes : random() % 1500, i % 2 == 0));
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
    for (const std::size_t count : {0u, 1u, 2u, 3u, 31u, 64u, 65u, 200u}) {
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
        CHECK(alone.icv() != Bytes(alone.icv().size()));
      }

      for (auto& op : ops) op.status = Status::failed;
      queue->open(ops);
      for (std::size_t i = 0; i < count; ++i) {
        CHECK(ops[i].status == Status::ok);
        CHECK(burst.packets[i].text() == burst.plain[i].text());
      }
    }
  }
}

TEST_CASE("one wrong bit in any byte of the ICV fails that packet and no other") {
  std::mt19937 random(2);
  for (const auto& engine : every_engine()) {
    const auto queue = std::move(*engine->make_queue());
    for (std::size_t victim = 0; victim < 64; ++victim) {
      CAPTURE(engine->implementation(), victim);
      Burst burst(*engine, 64, 0, random);
      auto ops = burst.operations();
      queue->seal(ops);
      const std::size_t icv_bytes = suite(ops[victim].suite).icv_bytes;
      ops[victim].icv()[victim % icv_bytes] ^= static_cast<std::uint8_t>(1u << random() % 8);
      const auto icv_as_received = burst.packets[victim].icv();
      queue->open(ops);
      for (std::size_t i = 0; i < ops.size(); ++i) {
        CHECK(ops[i].status == (i == victim ? Status::bad_icv : Status::ok));
        if (i != victim) CHECK(burst.packets[i].text() == burst.plain[i].text());
      }
      CHECK(burst.packets[victim].icv() == icv_as_received);
    }
  }
}

TEST_CASE("every byte of every ICV counts") {
  std::mt19937 random(12);
  for (const auto& engine : every_engine()) {
    const auto queue = std::move(*engine->make_queue());
    for (const auto& row : suites()) {
      CAPTURE(engine->implementation(), row.name);
      const Key key(*engine, row.id, random_bytes(random, row.keymat_bytes()));
      for (const bool extended : {false, true}) {
        auto sealed = random_packet(random, row, 80, extended);
        REQUIRE(seal(*queue, key, sealed) == Status::ok);
        for (std::size_t byte = 0; byte < row.icv_bytes; ++byte) {
          auto spoilt = sealed;
          spoilt.text_and_icv()[80 + byte] ^= 0x10;
          CHECK(open(*queue, key, spoilt) == Status::bad_icv);
        }
        CHECK(open(*queue, key, sealed) == Status::ok);
      }
    }
  }
}

TEST_CASE("a wrong bit in header, IV, text, sequence number, salt or key is a bad ICV") {
  std::mt19937 random(3);
  for (const auto& engine : every_engine()) {
    const auto queue = std::move(*engine->make_queue());
    for (const auto& row : suites()) {
      CAPTURE(engine->implementation(), row.name);
      auto raw = random_bytes(random, row.keymat_bytes());
      const Key key(*engine, row.id, raw);
      raw[row.integrity == Integrity::by_cipher ? row.key_bytes - 1u : raw.size() - 1] ^= 0x80;
      const Key other_key(*engine, row.id, raw);
      auto sealed = random_packet(random, row, 96, true);
      REQUIRE(seal(*queue, key, sealed) == Status::ok);

      const bool covers_wire = row.integrity != Integrity::by_cipher;
      const auto opens = [&](auto spoil) {
        auto spoilt = sealed;
        spoil(spoilt);
        return open(*queue, key, spoilt);
      };
      const auto last_text_byte = sealed.text_bytes() - 1;
      CHECK(opens([](Packet& p) { p.text_and_icv()[0] ^= 1; }) == Status::bad_icv);
      CHECK(opens([&](Packet& p) { p.text_and_icv()[last_text_byte] ^= 1; }) == Status::bad_icv);
      CHECK(opens([](Packet& p) { p.aad[4] ^= 1; }) == Status::bad_icv);  // the high half
      if (covers_wire || row.cipher == Cipher::aes_gmac) {
        for (std::size_t i = 0; i < row.iv_bytes; ++i)
          CHECK(opens([&](Packet& p) { p.iv()[i] ^= 1; }) == Status::bad_icv);
      }
      if (covers_wire) {
        for (std::size_t i = 0; i < 8; ++i)
          CHECK(opens([&](Packet& p) { p.header()[i] ^= 1; }) == Status::bad_icv);
      } else {
        for (const std::size_t i : {0u, 3u, 8u, 11u})
          CHECK(opens([&](Packet& p) { p.aad[i] ^= 1; }) == Status::bad_icv);
        for (std::size_t i = 4u - row.salt_bytes; i < 12; ++i)
          CHECK(opens([&](Packet& p) { p.nonce[i] ^= 1; }) == Status::bad_icv);
      }
      CHECK(opens([](Packet& p) { p.aad.resize(8); }) == Status::bad_icv);  // as if without ESN
      auto misread = sealed;
      CHECK(open(*queue, other_key, misread) == Status::bad_icv);
      CHECK(open(*queue, key, sealed) == Status::ok);
    }
  }
}

TEST_CASE("a text that is empty has an ICV all the same") {
  std::mt19937 random(4);
  for (const auto& engine : every_engine()) {
    const auto queue = std::move(*engine->make_queue());
    for (const auto& row : suites()) {
      CAPTURE(engine->implementation(), row.name);
      const Key key(*engine, row.id, random_bytes(random, row.keymat_bytes()));
      auto packet = random_packet(random, row, 0, false);
      CHECK(seal(*queue, key, packet) == Status::ok);
      CHECK(packet.icv() != Bytes(row.icv_bytes));
      CHECK(open(*queue, key, packet) == Status::ok);
      packet.text_and_icv()[0] ^= 1;
      CHECK(open(*queue, key, packet) == Status::bad_icv);
    }
  }
}

TEST_CASE("CBC takes whole blocks only, and makes IVs that do not show the nonce they come from") {
  std::mt19937 random(11);
  for (const auto& engine : every_engine()) {
    const auto queue = std::move(*engine->make_queue());
    for (const auto& row : suites()) {
      if (row.cipher != Cipher::aes_cbc) continue;
      CAPTURE(engine->implementation(), row.name);
      const Key key(*engine, row.id, random_bytes(random, row.keymat_bytes()));
      for (const std::size_t bytes : {1u, 15u, 17u, 100u}) {
        Packet packet(row, Bytes(12), Bytes(8), Bytes(bytes));
        const auto before = packet;
        CHECK(seal(*queue, key, packet) == Status::failed);
        CHECK(open(*queue, key, packet) == Status::failed);
        CHECK(packet == before);
      }
      // Consecutive nonces, one text: no two packets share a block, and most bits of the IVs differ.
      std::set<Bytes> blocks;
      for (std::uint8_t count = 0; count < 100; ++count) {
        Packet packet(row, Bytes(12), Bytes(8), Bytes(32));
        packet.iv()[15] = count;
        REQUIRE(seal(*queue, key, packet) == Status::ok);
        for (std::size_t at = 8; at < 56; at += 16) {
          const auto block = std::span(packet.wire()).subspan(at, 16);
          CHECK(blocks.emplace(block.begin(), block.end()).second);
        }
        CHECK(std::ranges::count(packet.iv(), 0) < 4);
      }
    }
  }
}

TEST_CASE("operation k of a burst fails, for every k, and no other") {
  std::mt19937 random(5);
  for (const auto& engine : every_engine()) {
    const auto queue = std::move(*engine->make_queue());
    for (std::size_t victim = 0; victim < 64; ++victim) {
      CAPTURE(engine->implementation(), victim);
      Burst burst(*engine, 64, 64, random);
      auto ops = burst.operations();
      // A suite the engine does not know, or a text of a length that no ESP packet has.
      const bool unknown = victim % 2 == 0;
      if (unknown)
        ops[victim].suite = static_cast<SuiteId>(suites().size());
      else if (suite(ops[victim].suite).cipher == Cipher::aes_cbc)
        ops[victim].text_bytes = 17;
      else
        continue;
      for (const auto work : {&Queue::seal, &Queue::open}) {
        ((*queue).*work)(ops);
        for (std::size_t i = 0; i < ops.size(); ++i)
          CHECK(ops[i].status == (i == victim ? Status::failed : Status::ok));
        CHECK(burst.packets[victim] == burst.plain[victim]);
      }
      for (std::size_t i = 0; i < ops.size(); ++i)
        if (i != victim) CHECK(burst.packets[i].text() == burst.plain[i].text());
    }
  }
}
