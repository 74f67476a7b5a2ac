#include "control/ike/prf.hpp"

#include <catch2/catch.hpp>
#include <numeric>

#include "tests/control/ike/hex.hpp"

using namespace espgate::ike;
using espgate::ike::test::hex;

TEST_CASE("the functions are those of RFC 4868 2.7") {
  // PRF-1 to PRF-3's second case: a short key, "what do ya want for nothing?".
  const auto key = hex("4a656665");
  const auto data = hex("7768617420646f2079612077616e7420666f72206e6f7468696e673f");
  const auto of = [&](Prf prf) { return compute(prf, key, {data}).bytes(); };
  CHECK(of(Prf::hmac_sha2_256) == hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
  CHECK(of(Prf::hmac_sha2_384) == hex("af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
                                      "8e2240ca5e69e2c78b3239ecfab21649"));
  CHECK(of(Prf::hmac_sha2_512) == hex("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
                                      "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"));
  // The key of 131 bytes is hashed first.
  CHECK(compute(Prf::hmac_sha2_256, std::vector<std::uint8_t>(131, 0xaa),
                {hex("54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a"
                     "65204b6579202d2048617368204b6579204669727374")})
            .bytes() == hex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"));
}

TEST_CASE("parts are as good as the whole, and an empty key is a key") {
  const auto data = hex("00010203040506070809");
  const std::span<const std::uint8_t> whole(data);
  CHECK(compute(Prf::hmac_sha2_256, {}, {whole}) ==
        compute(Prf::hmac_sha2_256, {}, {whole.first(3), {}, whole.subspan(3)}));
  CHECK_FALSE(compute(Prf::hmac_sha2_256, {}, {whole}) == compute(Prf::hmac_sha2_256, data, {whole}));
}

TEST_CASE("prf+ chains its blocks (RFC 7296 2.13)") {
  std::vector<std::uint8_t> key(20), seed(40);
  std::iota(key.begin(), key.end(), std::uint8_t{0});
  std::iota(seed.begin(), seed.end(), std::uint8_t{100});
  const std::span<const std::uint8_t> parts(seed);
  const auto of = [&](Prf prf, std::size_t bytes) {
    return expand(prf, key, {parts.first(8), parts.subspan(8)}, bytes).bytes();
  };
  // Made with Python's hmac.
  CHECK(of(Prf::hmac_sha2_256, 100) ==
        hex("785b4791c61f22e6510e0864b1ecc59edb6135c2ac32a7d52e29f4a3bd195818b1c0025ef1a2f826"
            "feacc499f463837a455730a30743eba957d64bb5ad4f42bfd37fc4e1a5a6c434e11f52eb64dfc77d"
            "12a89a3a9ff7788e268662745e9e50d1c99b68fc"));
  CHECK(of(Prf::hmac_sha2_384, 100) ==
        hex("291c908750a3a753a397466987987f1e51798bf8616f9728af8243ae499518d6fdf6363d9012729f"
            "0c27e44fc9c66b98c501f26001c4972bc282fc8f839f6723d23789642da3e12dce8d54981a375b99"
            "b2723e272049d06bc93ca8acb35fb00d72ecdee6"));
  CHECK(of(Prf::hmac_sha2_512, 100) ==
        hex("a6be51a9fdab0d901015c764e44ff6325e5c0b2e2491b1b4667f820b4c85ea6ed8fb31eff3b32d42"
            "1f55b9ea73bb8cf5008e4faeaf44477f9a634d232df5af688396beb6b1f693235b3ad62ed75af84c"
            "7049e9f119601a4901a993b66f4159e9457d3313"));
  CHECK(of(Prf::hmac_sha2_256, 0).empty());
  CHECK(of(Prf::hmac_sha2_256, 32 * 255).size() == 32 * 255);
}

TEST_CASE("functions are found by their transform id") {
  CHECK(find_prf(5) == Prf::hmac_sha2_256);
  CHECK(prf_bytes(*find_prf(7)) == 64);
  CHECK_FALSE(find_prf(2));  // HMAC-SHA1
  CHECK_FALSE(find_prf(8));
}
