#include "datapath/sa/sa_store.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <thread>

#include "tests/datapath/sa/store_fixture.hpp"

using namespace espgate;
using namespace espgate::sa;
using namespace espgate::sa::test;

namespace {

void remove(SaStore& store, std::uint32_t index) {
  store.retire_inbound(index);
  store.unpublish_inbound(index);
  store.release_inbound(index);
}

bool all_zero(const std::byte* bytes, std::size_t count) {
  return std::all_of(bytes, bytes + count, [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace

TEST_CASE("an inbound SA goes from larval through active and retired to nothing") {
  StoreFixture f;
  const auto index = f.store->reserve_inbound(0x1001);
  REQUIRE(index);
  auto& entry = f.store->inbound(*index);
  CHECK(f.store->find(0x1001) == *index);
  CHECK(entry.state == State::larval);
  CHECK(entry.spi == 0x1001);

  REQUIRE(f.store->install_inbound(*index, parameters_of(0x1001)));
  CHECK(entry.state == State::active);
  const std::uint8_t salt[] = {17, 18, 19, 20};
  CHECK(std::memcmp(entry.salt, salt, 4) == 0);
  CHECK(entry.key[0] == std::byte{1});
  CHECK(entry.key[16] == std::byte{1});
  CHECK(reinterpret_cast<std::uintptr_t>(entry.key) % crypto::key_alignment == 0);
  CHECK(net::Address::from_bytes(entry.outer_family, entry.source) == *net::parse_address("192.0.2.2"));
  CHECK(net::Address::from_bytes(entry.outer_family, entry.destination) == *net::parse_address("192.0.2.1"));
  CHECK(entry.selector_count == 1);
  CHECK(entry.window_packets == 1024);
  CHECK(entry.cell_mask + 1 == replay_cells(1024));
  const auto source = *net::parse_address("10.2.3.4");
  const auto destination = *net::parse_address("10.1.0.4");
  CHECK(matches(entry.selector, net::Family::v4, source.bytes.data(), destination.bytes.data()));
  CHECK_FALSE(matches(entry.selector, net::Family::v4, destination.bytes.data(), source.bytes.data()));

  CHECK_FALSE(f.store->install_inbound(*index, parameters_of(0x1001)));
  f.store->retire_inbound(*index);
  CHECK(f.store->find(0x1001) == *index);
  CHECK(entry.state == State::retired);
  f.store->unpublish_inbound(*index);
  CHECK(f.store->find(0x1001) == no_sa);
  f.store->release_inbound(*index);
}

TEST_CASE("the salt lies behind the cipher key and before the integrity key, and ends the SA's field") {
  StoreFixture f;
  const auto salt_with = [&](std::uint32_t spi, crypto::SuiteId suite) {
    auto parameters = parameters_of(spi);
    parameters.suite = suite;
    parameters.keymat.clear();
    for (unsigned i = 0; i < crypto::suite(suite).keymat_bytes(); ++i)
      parameters.keymat.push_back(static_cast<std::uint8_t>(i + 1));
    const auto& entry = f.store->inbound(install(*f.store, parameters));
    return std::vector<int>(entry.salt, entry.salt + 4);
  };
  CHECK(salt_with(0x1001, crypto::SuiteId::aes_ctr_128_sha256) == std::vector{17, 18, 19, 20});
  CHECK(salt_with(0x1002, crypto::SuiteId::aes_ccm_16_256) == std::vector{0, 33, 34, 35});
  CHECK(salt_with(0x1003, crypto::SuiteId::aes_cbc_128_sha1) == std::vector{0, 0, 0, 0});
}

TEST_CASE("more inbound SAs than the table can number are refused") {
  FakeEngine engine;
  CountingMemory memory;
  const auto store = SaStore::create({SaTable::most_entries, 1, 1}, engine, memory);
  REQUIRE_FALSE(store);
  CHECK(store.error().text().find("8388608 inbound SAs") != std::string::npos);
  CHECK(memory.out_bytes == 0);
}

TEST_CASE("reserved, used and too many SPIs are refused") {
  StoreFixture f({2, 1, 1});
  CHECK_FALSE(f.store->reserve_inbound(0));
  CHECK_FALSE(f.store->reserve_inbound(255));
  REQUIRE(f.store->reserve_inbound(256));
  const auto again = f.store->reserve_inbound(256);
  REQUIRE_FALSE(again);
  CHECK(again.error().text() == "SPI 0x00000100 is in use; choose another");
  REQUIRE(f.store->reserve_inbound(257));
  const auto third = f.store->reserve_inbound(258);
  REQUIRE_FALSE(third);
  CHECK(third.error().remedy == "raise limits.inbound-sas");
  CHECK(f.store->find(258) == no_sa);

  CHECK_FALSE(f.store->install_outbound(parameters_of(255)));
  REQUIRE(f.store->install_outbound(parameters_of(256)));
  CHECK_FALSE(f.store->install_outbound(parameters_of(257)));
}

TEST_CASE("SPIs of another process's SAs are retired, take no entry, and give way") {
  StoreFixture f({2, 1, 1});
  CHECK_FALSE(f.store->publish_earlier(255));
  REQUIRE(f.store->publish_earlier(256));
  CHECK_FALSE(f.store->publish_earlier(256));
  REQUIRE(f.store->publish_earlier(257));
  CHECK_FALSE(f.store->has_spi_room());
  CHECK_FALSE(f.store->publish_earlier(258));
  const auto seen = f.store->table().find(256);
  CHECK(f.store->table().find(257) == seen);
  CHECK(f.store->inbound(seen).state == State::retired);
  CHECK(f.store->find(256) == no_sa);

  const auto index = f.store->reserve_inbound(256);
  REQUIRE(index);
  CHECK(f.store->find(256) == *index);
  CHECK_FALSE(f.store->is_earlier(256));
  f.store->unpublish_earlier(256);
  CHECK(f.store->find(256) == *index);
  CHECK_FALSE(f.store->publish_earlier(256));
  f.store->unpublish_earlier(257);
  CHECK(f.store->table().find(257) == no_sa);
  REQUIRE(f.store->reserve_inbound(258));
  CHECK(f.store->inbound(*index).state == State::larval);
}

TEST_CASE("wrong parameters are refused and the entry stays larval") {
  StoreFixture f;
  const auto index = f.store->reserve_inbound(0x1001);
  REQUIRE(index);
  const auto good = parameters_of(0x1001);
  auto bad = good;
  SECTION("short key") {
    bad.keymat.pop_back();
  }
  SECTION("key of another suite") {
    bad.suite = crypto::SuiteId::aes_gcm_16_256;
  }
  SECTION("two families") {
    bad.remote = *net::parse_address("2001:db8::1");
  }
  SECTION("window too small") {
    bad.window_packets = 63;
  }
  SECTION("window too large") {
    bad.window_packets = 65'537;
  }
  SECTION("no selector") {
    bad.selectors.clear();
  }
  SECTION("too many selectors") {
    bad.selectors.resize(256, bad.selectors[0]);
  }
  SECTION("selector of two families") {
    bad.selectors[0].remote = *net::parse_range("::/0");
  }
  SECTION("another SPI") {
    bad.spi = 0x1002;
  }
  SECTION("port 0") {
    bad.encapsulation = Encapsulation::udp;
    bad.remote_port = 0;
  }
  SECTION("key that the engine refuses") {
    bad.keymat[0] = FakeEngine::refused;
  }
  SECTION("no memory for a large window") {
    bad.window_packets = 65'536;
    f.memory.limit = f.memory.out_bytes;
  }
  SECTION("no memory for selectors after the window") {
    bad.window_packets = 65'536;
    bad.selectors.resize(255, bad.selectors[0]);
    f.memory.limit = f.memory.out_bytes + replay_cells(65'536) * sizeof(ReplayCell);
  }
  const std::size_t before = f.memory.out_bytes;
  const auto result = f.store->install_inbound(*index, bad);
  REQUIRE_FALSE(result);
  CHECK_FALSE(result.error().what.empty());
  CHECK(f.memory.out_bytes == before);
  CHECK(f.store->inbound(*index).state == State::larval);
  CHECK(f.store->install_inbound(*index, good));
}

TEST_CASE("release destroys the key, and so does the end of the store") {
  StoreFixture f;
  const std::uint32_t index = install(*f.store, parameters_of(0x1001));
  const auto* key = f.store->inbound(index).key;
  CHECK_FALSE(all_zero(key, 192));
  remove(*f.store, index);
  CHECK(all_zero(key, 192));
  CHECK(f.store->inbound(index).key == nullptr);
  CHECK(std::count(f.store->inbound(index).salt, f.store->inbound(index).salt + 4, 0) == 4);

  const auto outbound = f.store->install_outbound(parameters_of(0x2001));
  REQUIRE(outbound);
  key = f.store->outbound(*outbound).key;
  CHECK_FALSE(all_zero(key, 192));
  f.store->retire_outbound(*outbound);
  CHECK(f.store->outbound(*outbound).state == State::retired);
  f.store->release_outbound(*outbound);
  CHECK(all_zero(key, 192));
}

TEST_CASE("a released entry starts anew: counters, window, selectors") {
  StoreFixture f({1, 1, 2});
  auto large = parameters_of(0x1001);
  large.window_packets = 65'536;
  large.selectors.resize(3, large.selectors[0]);
  const std::size_t empty_bytes = f.memory.out_bytes;
  const std::uint32_t index = install(*f.store, large);
  auto& entry = f.store->inbound(index);
  CHECK(f.memory.out_bytes > empty_bytes);
  CHECK(entry.cell_mask + 1 == 4'096);
  CHECK(entry.selector_count == 3);
  REQUIRE(entry.more != nullptr);
  REQUIRE(entry.more->prefixes.size() == 2);
  CHECK(matches(entry.more->prefixes[1], net::Family::v4, large.selectors[0].remote.first.bytes.data(),
                large.selectors[0].local.first.bytes.data()));

  ReplayWindow window(entry.top, entry.cells, entry.window_packets, entry.cell_mask);
  CHECK(window.commit(1) == Replay::fresh);
  f.store->inbound_usage(0, index).packets = 3;
  f.store->inbound_usage(1, index).packets = 4;
  f.store->inbound_usage(1, index).bytes = 100;
  f.store->inbound_faults(index).count(Verdict::IN_ESP_RUNT);
  f.store->inbound_usage(0, index).last_tsc = 5;
  f.store->inbound_usage(1, index).last_tsc = 4;
  CHECK(f.store->inbound_total(index).packets == 7);
  CHECK(f.store->inbound_total(index).bytes == 100);
  CHECK(f.store->inbound_total(index).last_tsc == 5);
  remove(*f.store, index);
  CHECK(f.memory.out_bytes == empty_bytes);

  for (int round = 0; round < 2; ++round) {
    REQUIRE(install(*f.store, parameters_of(0x1002)) == index);
    CHECK(f.memory.out_bytes == empty_bytes);
    CHECK(f.store->inbound_total(index).packets == 0);
    CHECK(f.store->inbound_total(index).bytes == 0);
    CHECK(f.store->inbound_faults(index).of(Verdict::IN_ESP_RUNT) == 0);
    CHECK(f.store->inbound_total(index).last_tsc == 0);
    ReplayWindow next(entry.top, entry.cells, entry.window_packets, entry.cell_mask);
    CHECK(next.commit(1) == Replay::fresh);
    remove(*f.store, index);
  }
}

TEST_CASE("no window means no cells") {
  StoreFixture f;
  auto parameters = parameters_of(0x1001);
  parameters.window_packets = 0;
  const auto& entry = f.store->inbound(install(*f.store, parameters));
  CHECK(entry.window_packets == 0);
  CHECK(entry.cells == nullptr);
}

TEST_CASE("windows of neighbours do not touch each other") {
  StoreFixture f;
  const auto& first = f.store->inbound(install(*f.store, parameters_of(0x1001)));
  const auto& second = f.store->inbound(install(*f.store, parameters_of(0x1002)));
  const auto distance = std::abs(second.cells - first.cells);
  CHECK(distance * static_cast<std::ptrdiff_t>(sizeof(ReplayCell)) >= 64 * 8);
}

TEST_CASE("an outbound SA is ready to send") {
  StoreFixture f;
  auto parameters = parameters_of(0x2001);
  parameters.encapsulation = Encapsulation::udp;
  const auto index = f.store->install_outbound(parameters);
  REQUIRE(index);
  const auto& entry = f.store->outbound(*index);
  CHECK(entry.state == State::active);
  CHECK(entry.sequence == 0);
  CHECK(entry.sequence_limit == 0xffff'ffff);
  CHECK(entry.spi == 0x2001);
  CHECK(entry.headers_bytes == 36);
  CHECK(entry.headers[9] == 17);
  parameters.extended_sequence = true;
  const auto extended = f.store->install_outbound(parameters);
  REQUIRE(extended);
  CHECK(f.store->outbound(*extended).sequence_limit == ~std::uint64_t{0});
}

TEST_CASE("an outbound SA keeps its selectors, or is refused for want of memory") {
  StoreFixture f;
  CHECK(f.store->outbound(*f.store->install_outbound(parameters_of(0x2001))).selectors != nullptr);
  f.memory.limit = f.memory.out_bytes;
  CHECK_FALSE(f.store->install_outbound(parameters_of(0x2002)));
}

TEST_CASE("the IVs of one key never meet, however soon it is installed again, by another process too") {
  std::uint64_t above = 0;  // all IVs so far
  for (int process = 0; process < 3; ++process) {
    StoreFixture f({1, 8, 1});
    for (int round = 0; round < 8; ++round) {
      const auto index = f.store->install_outbound(parameters_of(0x2001));
      REQUIRE(index);
      auto& entry = f.store->outbound(*index);
      CHECK(entry.iv_base >= above);
      entry.sequence = 10;
      above = entry.iv_base + 11;
      if (round % 2 == 0) f.store->release_outbound(*index);
    }
  }
}

TEST_CASE("a key that comes back starts with its number, in IVs that were never used") {
  StoreFixture f;
  auto parameters = parameters_of(0x2001);
  const auto first = f.store->install_outbound(parameters);
  REQUIRE(first);
  parameters.sequence = 9'000;
  const auto second = f.store->install_outbound(parameters);
  REQUIRE(second);
  const auto& before = f.store->outbound(*first);
  const auto& entry = f.store->outbound(*second);
  CHECK(entry.sequence == 9'000);
  CHECK(entry.iv_base + 9'000 > before.iv_base + before.sequence_limit);

  parameters.spi = 0x1001;
  parameters.sequence = 5'000;
  CHECK(f.store->inbound(install(*f.store, parameters)).top == 5'000);
}

TEST_CASE("a reader that finds an SA active sees all of it") {
  constexpr std::uint32_t count = 2'000;
  StoreFixture f({count, 1, 1});
  std::atomic<std::uint64_t> wrong{0};
  std::thread reader([&] {
    for (std::uint32_t spi = 0x1000; spi < 0x1000 + count; ++spi) {
      std::uint32_t index = no_sa;
      while ((index = f.store->table().find(spi)) == no_sa) std::this_thread::yield();
      const auto& entry = f.store->inbound(index);
      while (entry.state.load(std::memory_order_acquire) != State::active) std::this_thread::yield();
      wrong += entry.spi != spi || entry.key == nullptr || entry.key[3] != std::byte{4} ||
               entry.selector_count != 1 || entry.cells == nullptr || entry.salt[3] != 20;
    }
  });
  for (std::uint32_t spi = 0x1000; spi < 0x1000 + count; ++spi) install(*f.store, parameters_of(spi));
  reader.join();
  CHECK(wrong == 0);
}
