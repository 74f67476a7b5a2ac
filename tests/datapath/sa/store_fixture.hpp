// A store over memory that counts, with an engine whose schedules show their keys.
#pragma once

#include <catch2/catch.hpp>
#include <memory>

#include "datapath/sa/sa_store.hpp"
#include "tests/counting_memory.hpp"

namespace espgate::sa::test {

// A key schedule that is the key over and over, so that a test can see whether it is there.
class FakeEngine : public crypto::Engine {
 public:
  std::string_view name() const override { return "fake"; }
  std::string_view implementation() const override { return "fake"; }
  std::string library() const override { return "none"; }
  std::size_t prepared_key_bytes(crypto::SuiteId suite) const override {
    return suite == crypto::SuiteId::aes_gcm_16_128 ? 192 : 256;
  }
  Expected<void> prepare_key(crypto::SuiteId suite, std::span<const std::uint8_t> keymat,
                             std::byte* out) override {
    const auto key = keymat.first(crypto::suite(suite).key_bytes);  // never of a null cipher here
    if (key[0] == refused) return Error{"refused", ""};
    for (std::size_t i = 0; i < prepared_key_bytes(suite); ++i) out[i] = std::byte{key[i % key.size()]};
    return {};
  }
  Expected<std::unique_ptr<crypto::Queue>> make_queue() override { return Error{"none", ""}; }
  std::span<const std::uint16_t> hot_key_lines(crypto::SuiteId) const override { return {}; }

  static constexpr std::uint8_t refused = 0xff;
};

using testing::CountingMemory;

struct StoreFixture {
  FakeEngine engine;
  CountingMemory memory;
  std::unique_ptr<SaStore> store;

  explicit StoreFixture(Limits limits = {8, 8, 2}) : store(*SaStore::create(limits, engine, memory)) {}
};

inline SaParameters parameters_of(std::uint32_t spi) {
  SaParameters result;
  result.spi = spi;
  for (std::uint8_t byte = 1; byte <= 20; ++byte) result.keymat.push_back(byte);
  result.local = *net::parse_address("192.0.2.1");
  result.remote = *net::parse_address("192.0.2.2");
  result.selectors = {net::between(*net::parse_prefix("10.1.0.0/24"), *net::parse_prefix("10.2.0.0/16"))};
  return result;
}

inline std::uint32_t install(SaStore& store, const SaParameters& parameters) {
  const auto index = store.reserve_inbound(parameters.spi);
  REQUIRE(index);
  const auto result = store.install_inbound(*index, parameters);
  REQUIRE(result);
  return *index;
}

}  // namespace espgate::sa::test
