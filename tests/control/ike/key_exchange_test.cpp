#include "control/ike/key_exchange.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

#include "tests/control/ike/hex.hpp"

using namespace espgate::ike;
using espgate::ike::test::hex;

TEST_CASE("both sides of every method get the same secret, of the length that its RFC says") {
  for (const auto& method : key_exchange_methods()) {
    CAPTURE(std::string(method.name));
    const KeyExchangeHalf ours(method), theirs(method);
    CHECK(ours.value().size() == method.value_bytes);
    CHECK(ours.value() != theirs.value());
    const auto secret = ours.shared_secret(theirs.value());
    REQUIRE(secret);
    CHECK(*secret == *theirs.shared_secret(ours.value()));
    const bool is_point = method.id >= 19 && method.id <= 21;
    CHECK(secret->size() == (is_point ? method.value_bytes / 2u : method.value_bytes));
  }
}

TEST_CASE("values of another length are refused") {
  for (const auto& method : key_exchange_methods()) {
    CAPTURE(std::string(method.name));
    const KeyExchangeHalf ours(method);
    auto value = KeyExchangeHalf(method).value();
    value.pop_back();
    CHECK_FALSE(ours.shared_secret(value));
    value.resize(method.value_bytes + 1u);
    CHECK_FALSE(ours.shared_secret(value));
    CHECK_FALSE(ours.shared_secret({}));
  }
}

TEST_CASE("values that would give the secret away are refused") {
  for (const auto& method : key_exchange_methods()) {
    CAPTURE(std::string(method.name));
    const KeyExchangeHalf ours(method);
    std::vector<std::uint8_t> value(method.value_bytes);
    CHECK_FALSE(ours.shared_secret(value));  // 0; not on the curve; of small order
    value.back() = 1;
    if (method.id != 31 && method.id != 32) CHECK_FALSE(ours.shared_secret(value));
    std::ranges::fill(value, std::uint8_t{0xff});  // at least the prime
    if (method.id != 31 && method.id != 32) CHECK_FALSE(ours.shared_secret(value));
  }
  // A point of order 8 (RFC 7748 6.1).
  const KeyExchangeHalf ours(*find_key_exchange(31));
  CHECK_FALSE(ours.shared_secret(hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")));
}

TEST_CASE("MODP secrets keep their leading zeros (RFC 7296 2.14)") {
  // One in 256 begins with one.
  const auto& method = *find_key_exchange(14);
  const KeyExchangeHalf ours(method);
  bool seen = false;
  for (int i = 0; i < 5'000 && !seen; ++i) {
    const auto secret = ours.shared_secret(KeyExchangeHalf(method).value());
    REQUIRE(secret);
    REQUIRE(secret->size() == 256);
    seen = secret->bytes().front() == 0;
  }
  CHECK(seen);
}

TEST_CASE("methods are found by their transform id") {
  CHECK(find_key_exchange(31)->name == "x25519");
  CHECK(find_key_exchange(14)->value_bytes == 256);
  CHECK(find_key_exchange(2) == nullptr);  // MODP-1024
  CHECK(find_key_exchange(0) == nullptr);
}
