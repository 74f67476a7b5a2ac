#include <catch2/catch.hpp>
#include <cstdlib>
#include <new>
#include <type_traits>

#include "control/config/configuration.hpp"

using espgate::config::Secret;

namespace {

const std::vector<std::uint8_t> bytes{0x47, 0xe9, 0xa2, 0xf1, 0x0c, 0x6b, 0x35, 0xd8, 0x8e, 0x1f, 0x7a, 0x02,
                                      0x47, 0xe9, 0xa2, 0xf1, 0x0c, 0x6b, 0x35, 0xd8, 0x8e, 0x1f, 0x7a, 0x02};

// Watches one block of memory: whether it was all zero when it was given back.
const void* watched = nullptr;
bool was_zero = false;

void look(const void* block) {
  if (block == nullptr || block != watched) return;
  const auto* content = static_cast<const std::uint8_t*>(block);
  was_zero = true;
  for (std::size_t i = 0; i < bytes.size(); ++i) was_zero = was_zero && content[i] == 0;
  watched = nullptr;
}

}  // namespace

// The library's own operators, but for the look at the block. They make this test a program of its own.
void* operator new(std::size_t size) {
  if (void* block = std::malloc(size)) return block;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return std::malloc(size);
}
void operator delete(void* block) noexcept {
  look(block);
  std::free(block);
}
void operator delete(void* block, std::size_t) noexcept {
  look(block);
  std::free(block);
}

TEST_CASE("a secret's bytes are overwritten before their memory is given back") {
  {
    const Secret secret(bytes);
    watched = secret.bytes().data();
  }
  CHECK(watched == nullptr);
  CHECK(was_zero);

  SECTION("on assignment") {
    was_zero = false;
    Secret secret(bytes);
    watched = secret.bytes().data();
    secret = Secret(std::vector<std::uint8_t>(100, 1));
    CHECK(was_zero);
    const Secret other(std::vector<std::uint8_t>(1000, 2));
    Secret target(bytes);
    was_zero = false;
    watched = target.bytes().data();
    target = other;
    CHECK(was_zero);
    CHECK(target == other);
  }
  SECTION("when a vector of them grows") {
    std::vector<Secret> secrets;
    for (int i = 0; i < 100; ++i) secrets.emplace_back(bytes);
    for (const auto& secret : secrets) CHECK(secret.bytes() == bytes);
    was_zero = false;
    watched = secrets[0].bytes().data();
    secrets.clear();
    CHECK(was_zero);
  }
}

TEST_CASE("secrets compare by content and survive copies, moves and self-assignment") {
  Secret one(bytes);
  const Secret copy = one;
  CHECK(copy == one);
  auto& same = one;
  one = same;
  CHECK(one == copy);
  const Secret moved = std::move(one);
  CHECK(moved == copy);
  auto changed = bytes;
  changed.back() ^= 1;
  CHECK_FALSE(Secret(changed) == copy);
  changed.pop_back();
  CHECK_FALSE(Secret(changed) == copy);
  CHECK(Secret() == Secret());
  STATIC_REQUIRE(std::is_nothrow_move_constructible_v<Secret>);
}
