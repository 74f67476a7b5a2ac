// A store over memory that counts, with an engine whose schedules show their keys.
#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <memory_resource>
#include <new>

#include "datapath/sa/sa_store.hpp"

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

// Fails when more than `limit` bytes are out.
class CountingMemory : public std::pmr::memory_resource {
 public:
  std::size_t out_bytes = 0;
  std::size_t limit = ~std::size_t{0};

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (out_bytes + bytes > limit) throw std::bad_alloc();
    out_bytes += bytes;
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    out_bytes -= bytes;
    std::pmr::new_delete_resource()->deallocate(memory, bytes, alignment);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

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
