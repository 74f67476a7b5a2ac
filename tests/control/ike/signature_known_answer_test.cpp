// Signatures that others made: verification takes them, and not with a bit changed.
#include <openssl/ecdsa.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "control/ike/openssl.hpp"
#include "control/ike/signature.hpp"
#include "tests/control/ike/hex.hpp"

using namespace espgate;
using namespace espgate::ike;
using test::hex;

namespace {

using Value = std::vector<std::uint8_t>;

Value bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

// Of a SubjectPublicKeyInfo.
PublicKey public_key(const Value& der) {
  const auto* at = der.data();
  const Key key(d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size())));
  REQUIRE(key);
  return PublicKey::of(key.get()).value();
}

// `head`: of the SubjectPublicKeyInfo (RFC 5480 2), up to the point.
PublicKey ec_key(std::string_view head, std::string_view x, std::string_view y) {
  return public_key(hex(std::string(head).append("04").append(x).append(y)));
}

Value ec_signature(std::string_view r, std::string_view s) {
  const auto number = [](std::string_view digits) {
    const auto bytes = hex(digits);
    return BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr);
  };
  const std::unique_ptr<ECDSA_SIG, Release<ECDSA_SIG_free>> signature(ECDSA_SIG_new());
  REQUIRE(ECDSA_SIG_set0(signature.get(), number(r), number(s)) == 1);  // takes both over
  return der_of<i2d_ECDSA_SIG>(signature.get());
}

// The key of RFC 7520 3.3.
PublicKey rsa_key() {
  return public_key(
      hex("30820122 300d06092a864886f70d0101010500 0382010f00 3082010a 02820101 00"
          "9f810fb4038273d02591e4073f31d2b6001b82cedb4d92f050165d47cfcab8a3c41cb778ac7553793f8ef975"
          "768d1a2374d8712564c3bcd77b9ea434544899407cff0099920a931a24c4414852ab29bdb0a95c0653f36c60"
          "e60bf90b6258dda56f37047ba5c2d1d029af9c9d40bac7aa41c78a0dd1068add699e808fea011ea1441d8a4f"
          "7bb4e97be39f55f1ddd44e9c4ba335159703d4d34b603e65147a4f23d6d3c0996c75edee846a82d190ae1078"
          "3c961cf0387aed2106d2d0555b6fd937fad5535387e0ff72ffbe78941402b0b822ea2a74b6058c1dabf9b34a"
          "76cb63b87faa2c6847b8e2837fff91186e6b1c14911cf989a89092a81ce601ddacd3f9cf"
          "0203010001"));
}

// The payload of RFC 7520 4, behind its header.
Value rsa_octets(std::string header) {
  return bytes_of(
      header +
      ".SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAg"
      "b250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcm"
      "UgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4");
}

// AUTH's data: `algorithm` is the AlgorithmIdentifier.
void must_hold(const PublicKey& key, std::string_view algorithm, const Value& signature, const Value& octets,
               std::string_view name) {
  CAPTURE(name);
  auto data = hex(algorithm);
  data.insert(data.begin(), static_cast<std::uint8_t>(data.size()));
  const auto head = data.size();
  data.insert(data.end(), signature.begin(), signature.end());
  const auto good = verify(key, data, octets);
  REQUIRE(good);
  CHECK(to_string(*good) == name);
  for (auto at = head; at < data.size(); ++at) {
    CAPTURE(at - head);
    auto changed = data;
    changed[at] ^= static_cast<std::uint8_t>(1U << at % 8);
    CHECK_FALSE(verify(key, changed, octets));
  }
  for (const auto at : {std::size_t{0}, octets.size() - 1}) {
    auto changed = octets;
    changed[at] ^= 1;
    CHECK_FALSE(verify(key, data, changed));
  }
}

}  // namespace

TEST_CASE("ECDSA on P-256, P-384 and P-521 (RFC 6979 A.2.5, A.2.6 and A.2.7, \"sample\")") {
  const auto sample = bytes_of("sample");
  must_hold(ec_key("3059301306072a8648ce3d020106082a8648ce3d030107034200",
                   "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6",
                   "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"),
            "300a 06082a8648ce3d040302",
            ec_signature("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
                         "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"),
            sample, "ECDSA with SHA2-256");
  must_hold(
      ec_key("3076301006072a8648ce3d020106052b81040022036200",
             "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a25451"
             "5480bc13",
             "8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd25"
             "33264720"),
      "300a 06082a8648ce3d040303",
      ec_signature("94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e"
                   "80fabe46",
                   "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a"
                   "38628ac8"),
      sample, "ECDSA with SHA2-384");
  must_hold(
      ec_key("30819b301006072a8648ce3d020106052b8104002303818600",
             "01894550d0785932e00eaa23b694f213f8c3121f86dc97a04e5a7167db4e5bcd371123d46e45db6b5d5370a7"
             "f20fb633155d38ffa16d2bd761dcac474b9a2f5023a4",
             "00493101c962cd4d2fddf782285e64584139c2f91b47f87ff82354d6630f746a28a0db25741b5b34a828008b"
             "22acc23f924faafbd4d33f81ea66956dfeaa2bfdfcf5"),
      "300a 06082a8648ce3d040304",
      ec_signature("00c328fafcbd79dd77850370c46325d987cb525569fb63c5d3bc53950e6d4c5f174e25a1ee9017b5d450606a"
                   "dd152b534931d7d4e8455cc91f9b15bf05ec36e377fa",
                   "00617cce7cf5064806c467f678d3b4080d6f1cc50af26ca209417308281b68af282623eaa63e5b5c0723d8b8"
                   "c37ff0777b1a20f8ccb1dccc43997f1ee0e44da4a67a"),
      sample, "ECDSA with SHA2-512");
}

TEST_CASE("RSA-PSS (RFC 7520 4.2)") {
  must_hold(rsa_key(),
            "3041 06092a864886f70d01010a 3034 a00f 300d06096086480165030402020500"
            "a11c 301a 06092a864886f70d010108 300d06096086480165030402020500 a203 020130",
            hex("72edb6781aa46032a02254e9cc35c6bda15fcfa586a33edf50371f4f49243b2e369a2021daac81ce4d7112c9"
                "e4d88a4debeb4f89de95ae494792ab06a83a8709d3fa3bc4d30797430c8b65955a3aff538b3e971b52b86251"
                "23316db5d4bddbd65f383e503f1b8a245e40595fcf6f3319656c76234051ff199f23c4815167e38d9974daa2"
                "54946606aad84577bc3ff8a343ba7c55dcf44d3af151e4f7966f1df6c867af695f253f089948ef000d977b3d"
                "8c969f1c044e5ac03cd3d2a2349faba23f568237fdbf8cb01e41396a447b5f6bae1041252614002354a3db07"
                "28bbc61a34b9339c6c7e75d1ae8662625401f9968f067aa03e227caa3c0d833e5fbd846b"),
            rsa_octets("eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9"),
            "RSA-PSS with SHA2-384");
}

TEST_CASE("RSA PKCS#1 v1.5 (RFC 7520 4.1)") {
  must_hold(rsa_key(), "300d 06092a864886f70d01010b 0500",
            hex("3118dd925cbbffea133d34b70173f8d6240818a6bcd00d19993b95e4c11a1e8c675b67b9099e4d94ab5a8a7a"
                "0598a668a5d1ccd4ed94e26c3325d431f7dea2be9f37c6e825208ecf3438bce309c1f810e4a01c00efcd7ce6"
                "15fe12ce092309832c92b795f5916be5ed2f446796db98bfbe3a8984e1fea1d10faf0136dd6e48d0ab5024c9"
                "0ede5a004eb1f305b52adf5e468e103e871269d9c75c5c67b7c22cf54ce911157478f3d074bb96dc84bf75ed"
                "f1c88ac368b19d8e5b8fc540216fa2f669789cd54d76a6874653428b510484fe823e66798a277178b8e6439d"
                "de9065626eb21678d40c5ffdf7087bcbbd8a91fce28828ade7bbbe36d4e72d7c903aae0e"),
            rsa_octets("eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9"),
            "RSA PKCS#1 v1.5 with SHA2-256");
}

TEST_CASE("the AlgorithmIdentifiers of RFC 7427 appendix A and RFC 8420 appendix A") {
  const struct {
    const char* clause;
    const char* der;
    const char* name;  // null: refused, since it has SHA-1 or is DSA
  } cases[] = {
      {"A.1.1", "300d 06092a864886f70d010105 0500", nullptr},
      {"A.1.2", "300d 06092a864886f70d01010b 0500", "RSA PKCS#1 v1.5 with SHA2-256"},
      {"A.1.3", "300d 06092a864886f70d01010c 0500", "RSA PKCS#1 v1.5 with SHA2-384"},
      {"A.1.4", "300d 06092a864886f70d01010d 0500", "RSA PKCS#1 v1.5 with SHA2-512"},
      {"A.2.1", "3009 06072a8648ce380403", nullptr},
      {"A.2.2", "300b 0609608648016503040302", nullptr},
      {"A.3.1", "3009 06072a8648ce3d0401", nullptr},
      {"A.3.2", "300a 06082a8648ce3d040302", "ECDSA with SHA2-256"},
      {"A.3.3", "300a 06082a8648ce3d040303", "ECDSA with SHA2-384"},
      {"A.3.4", "300a 06082a8648ce3d040304", "ECDSA with SHA2-512"},
      {"A.4.1", "300d 06092a864886f70d01010a 3000", nullptr},
      {"A.4.2",
       "303e 06092a864886f70d01010a 3031 a00b 300906052b0e03021a0500"
       "a118 3016 06092a864886f70d010108 300906052b0e03021a0500 a203 020114 a303 020101",
       nullptr},
      {"A.4.3",
       "3046 06092a864886f70d01010a 3039 a00f 300d06096086480165030402010500"
       "a11c 301a 06092a864886f70d010108 300d06096086480165030402010500 a203 020120 a303 020101",
       "RSA-PSS with SHA2-256"},
      {"RFC 8420 A", "3005 06032b6570", "Ed25519"},
  };
  for (const auto& example : cases) {
    CAPTURE(example.clause);
    const auto algorithm = decode_algorithm(hex(example.der));
    REQUIRE(algorithm.has_value() == (example.name != nullptr));
    if (algorithm) CHECK(to_string(*algorithm) == example.name);
  }
}
