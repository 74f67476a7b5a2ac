// Published vectors of everything but AES-GCM, every engine. AEADs are tested as they are; ciphers and HMACs
// that vectors know apart, in a suite that has both: the cipher's text beside any HMAC, HMACs over the
// null cipher's packets.
#include <openssl/evp.h>

#include "tests/drivers/crypto/harness.hpp"

using namespace espgate::crypto;
using namespace espgate::crypto::test;

namespace {

Bytes text_bytes(std::string_view text) {
  return Bytes(text.begin(), text.end());
}
Bytes counting(std::uint8_t first, std::size_t count) {
  Bytes bytes(count);
  for (auto& byte : bytes) byte = first++;
  return bytes;
}
Bytes joined(Bytes a, const Bytes& b) {
  const auto size = a.size();
  a.resize(size + b.size());
  std::copy(b.begin(), b.end(), a.begin() + static_cast<std::ptrdiff_t>(size));
  return a;
}

// All suites of the cipher with keys of this length.
std::vector<Suite> suites_of(Cipher cipher, std::size_t key_bytes) {
  std::vector<Suite> found;
  for (const auto& row : suites())
    if (row.cipher == cipher && row.key_bytes == key_bytes) found.push_back(row);
  REQUIRE_FALSE(found.empty());
  return found;
}

Bytes keymat_of(const Suite& row, const Bytes& key) {
  return joined(key, counting(1, row.keymat_bytes() - key.size()));
}

// What AES encrypts to this block: the nonce that makes an engine choose a vector's IV.
Bytes decrypted_block(const Bytes& key, const Bytes& block) {
  auto* const context = EVP_CIPHER_CTX_new();
  Bytes plain(32);
  int done = 0;
  REQUIRE(EVP_DecryptInit_ex2(context, EVP_aes_128_ecb(), key.data(), nullptr, nullptr) == 1);
  EVP_CIPHER_CTX_set_padding(context, 0);
  REQUIRE(EVP_DecryptUpdate(context, plain.data(), &done, block.data(), 16) == 1);
  EVP_CIPHER_CTX_free(context);
  plain.resize(16);
  return plain;
}

}  // namespace

TEST_CASE("RFC 3602 4: AES-CBC, cases 1 to 5") {
  struct Vector {
    const char* key;
    const char* iv;
    Bytes plain;
    const char* sealed;
  };
  const Vector vectors[] = {
      {"06a9214036b8a15b512e03d534120006", "3dafba429d9eb430b422da802c9fac41", text_bytes("Single block msg"),
       "e353779c1079aeb82708942dbe77181a"},
      {"c286696d887c9aa0611bbb3e2025a45a", "562e17996d093d28ddb3ba695a2e6f58", counting(0, 32),
       "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1"},
      {"6c3ea0477630ce21a2ce334aa746c2cd", "c782dc4c098c66cbd9cd27d825682c81",
       text_bytes("This is a 48-byte message (exactly 3 AES blocks)"),
       "d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5021c19216bad525c8579695d83ba2684"},
      {"56e47a38c5598974bc46903dba290349", "8ce82eefbea0da3c44699ed7db51b7d9", counting(0xa0, 64),
       "c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e"
       "35907aa632c3ffdf868bb7b29d3d46ad83ce9f9a102ee99d49a53e87f4c3da55"},
      {"90d382b410eeba7ad938c46cec1a82bf", "e96e8c08ab465763fd098d45dd3ff893",
       joined(joined(from_hex("08000ebda70a00008e9c083db95b0700"), counting(8, 48)),
              joined(counting(1, 14), from_hex("0e01"))),
       "f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856a4699e523a55db080b59ec3a8e4b7e52"
       "775b07d1db34ed9c538ab50c551b874aa269add047ad2d5913ac19b7cfbad4a6"},
  };
  for (const auto& engine : every_engine()) {
    const auto queue = std::move(*engine->make_queue());
    for (const auto& vector : vectors) {
      const auto raw = from_hex(vector.key);
      for (const auto& row : suites_of(Cipher::aes_cbc, raw.size())) {
        CAPTURE(engine->implementation(), row.name, vector.iv);
        const Key key(*engine, row.id, keymat_of(row, raw));
        Packet packet(row, Bytes(12), from_hex("0000432100000001"), vector.plain);
        std::ranges::copy(decrypted_block(raw, from_hex(vector.iv)), packet.iv().begin());
        CHECK(seal(*queue, key, packet) == Status::ok);
        CHECK(std::ranges::equal(packet.iv(), from_hex(vector.iv)));
        CHECK(packet.text() == from_hex(vector.sealed));
        CHECK(open(*queue, key, packet) == Status::ok);
        CHECK(packet.text() == vector.plain);
      }
    }
  }
}

TEST_CASE("RFC 3686 6: AES-CTR, vectors 1 to 9") {
  struct Vector {
    const char* key;
    const char* nonce;  // nonce and IV
    Bytes plain;
    const char* sealed;
  };
  const auto one_block = text_bytes("Single block msg");
  const Vector vectors[] = {
      {"ae6852f8121067cc4bf7a5765577f39e", "000000300000000000000000", one_block,
       "e4095d4fb7a7b3792d6175a3261311b8"},
      {"7e24067817fae0d743d6ce1f32539163", "006cb6dbc0543b59da48d90b", counting(0, 32),
       "5104a106168a72d9790d41ee8edad388eb2e1efc46da57c8fce630df9141be28"},
      {"7691be035e5020a8ac6e618529f9a0dc", "00e0017b27777f3f4a1786f0", counting(0, 36),
       "c1cf48a89f2ffdd9cf4652e9efdb72d74540a42bde6d7836d59a5ceaaef3105325b2072f"},
      {"16af5b145fc9f579c175f93e3bfb0eed863d06ccfdb78515", "0000004836733c147d6d93cb", one_block,
       "4b55384fe259c9c84e7935a003cbe928"},
      {"7c5cb2401b3dc33c19e7340819e0f69c678c3db8e6f6a91a", "0096b03b020c6eadc2cb500d", counting(0, 32),
       "453243fc609b23327edfaafa7131cd9f8490701c5ad4a79cfc1fe0ff42f4fb00"},
      {"02bf391ee8ecb159b959617b0965279bf59b60a786d3e0fe", "0007bdfd5cbd60278dcc0912", counting(0, 36),
       "96893fc55e5c722f540b7dd1ddf7e758d288bc95c69165884536c811662f2188abee0935"},
      {"776beff2851db06f4c8a0542c8696f6c6a81af1eec96b4d37fc1d689e6c1c104", "00000060db5672c97aa8f0b2",
       one_block, "145ad01dbf824ec7560863dc71e3e0c0"},
      {"f6d66d6bd52d59bb0796365879eff886c66dd51a5b6a99744b50590c87a23884", "00faac24c1585ef15a43d875",
       counting(0, 32), "f05e231b3894612c49ee000b804eb2a9b8306b508f839d6a5530831d9344af1c"},
      {"ff7a617ce69148e4f1726e2f43581de2aa62d9f805532edff1eed687fb54153d", "001cc5b751a51d70a1c11148",
       counting(0, 36), "eb6c52821d0bbbf7ce7594462aca4faab407df866569fd07f48cc0b583d6071f1ec0e6b8"},
  };
  for (const auto& engine : every_engine()) {
    const auto queue = std::move(*engine->make_queue());
    for (const auto& vector : vectors) {
      const auto raw = from_hex(vector.key);
      for (const auto& row : suites_of(Cipher::aes_ctr, raw.size())) {
        CAPTURE(engine->implementation(), row.name, vector.nonce);
        const Key key(*engine, row.id, keymat_of(row, raw));
        Packet packet(row, from_hex(vector.nonce), Bytes(8), vector.plain);
        CHECK(seal(*queue, key, packet) == Status::ok);
        CHECK(packet.text() == from_hex(vector.sealed));
        CHECK(open(*queue, key, packet) == Status::ok);
        CHECK(packet.text() == vector.plain);
      }
    }
  }
}

TEST_CASE("RFC 2202 3 and RFC 4868 2.7.2: HMAC-SHA1-96 and HMAC-SHA2, with keys as long as their digests") {
  struct Vector {
    const char* suite;
    Bytes key;
    Bytes data;  // the packet from its ESP header on
    const char* icv;
  };
  const auto hi = text_bytes("Hi There"), question = text_bytes("what do ya want for nothing?");
  const Bytes dd(50, 0xdd), cd(50, 0xcd);
  const auto jefe = [](std::size_t count) {
    Bytes key;
    for (std::size_t i = 0; i < count; ++i) key = joined(key, text_bytes("Jefe"));
    return key;
  };
  const Vector vectors[] = {
      {"null-sha1", Bytes(20, 0x0b), hi, "b617318655057264e28bc0b6"},
      {"null-sha1", Bytes(20, 0xaa), dd, "125d7342b9ac11cd91a39af4"},
      {"null-sha1", Bytes(20, 0x0c), text_bytes("Test With Truncation"), "4c1a03424b55e07fe7f27be1"},
      {"null-sha256", Bytes(32, 0x0b), hi, "198a607eb44bfbc69903a0f1cf2bbdc5"},
      {"null-sha256", jefe(8), question, "167f928588c5cc2eef8e3093caa0e87c"},
      {"null-sha256", Bytes(32, 0xaa), dd, "cdcb1220d1ecccea91e53aba3092f962"},
      {"null-sha256", counting(1, 32), cd, "372efcf9b40b35c2115b1346903d2ef4"},
      {"null-sha384", Bytes(48, 0x0b), hi, "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973"},
      {"null-sha384", jefe(12), question, "2c7353974f1842fd66d53c452ca42122b28c0b594cfb184d"},
      {"null-sha384", Bytes(48, 0xaa), dd, "809f439be00274321d4a538652164b53554a508184a0c316"},
      {"null-sha512", Bytes(64, 0x0b), hi,
       "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8"},
      {"null-sha512", jefe(16), question, "cb370917ae8a7ce28cfd1d8f4705d6141c173b2a9362c15df235dfb251b15454"},
      {"null-sha512", Bytes(64, 0xaa), dd,
       "2ee7acd783624ca9398710f3ee05ae41b9f9b0510c87e49e586cc9bf961733d8"},
      {"null-sha512", counting(1, 64), cd,
       "5e6688e5a3daec826ca32eaea224eff5e700628947470e13ad01302561bab108"},
  };
  for (const auto& engine : every_engine()) {
    const auto queue = std::move(*engine->make_queue());
    for (const auto& vector : vectors) {
      CAPTURE(engine->implementation(), vector.suite, vector.icv);
      const auto* row = find_suite(vector.suite);
      REQUIRE(row);
      const Key key(*engine, row->id, vector.key);
      const auto header_end = vector.data.begin() + 8;
      Packet packet(*row, Bytes(12), Bytes(vector.data.begin(), header_end),
                    Bytes(header_end, vector.data.end()));
      CHECK(seal(*queue, key, packet) == Status::ok);
      CHECK(packet.icv() == from_hex(vector.icv));
      CHECK(packet.text() == Bytes(header_end, vector.data.end()));
      CHECK(open(*queue, key, packet) == Status::ok);
      // An extended sequence number's high half counts as if it came behind the text (RFC 4303 2.2.1).
      const std::size_t bytes = vector.data.size();
      if (bytes < 12) continue;
      auto aad = Bytes(vector.data.begin(), vector.data.begin() + 4);
      aad = joined(aad, Bytes(vector.data.end() - 4, vector.data.end()));
      aad = joined(aad, Bytes(vector.data.begin() + 4, header_end));
      Packet extended(*row, Bytes(12), aad, Bytes(header_end, vector.data.end() - 4));
      CHECK(seal(*queue, key, extended) == Status::ok);
      CHECK(extended.icv() == from_hex(vector.icv));
      CHECK(open(*queue, key, extended) == Status::ok);
    }
  }
}

TEST_CASE("RFC 7634 appendix A: ChaCha20-Poly1305 in ESP") {
  const auto plain = from_hex(
      "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec100007362708090a0b0c0d0e0f10111213"
      "1415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363701020204");
  const auto sealed = from_hex(
      "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c614ee8099d52844eb61aa95dfab4c02f7"
      "2aa71e7c4c4f64c9befe2facc638e8f3cbec163fac469b502773f6fb94e664da9165b82829f641e0");
  const auto& row = suite(SuiteId::chacha20_poly1305);
  for (const auto& engine : every_engine()) {
    CAPTURE(engine->implementation());
    const auto queue = std::move(*engine->make_queue());
    const Key key(*engine, row.id, joined(counting(0x80, 32), from_hex("a0a1a2a3")));
    Packet packet(row, from_hex("a0a1a2a31011121314151617"), from_hex("0102030400000005"), plain);
    CHECK(seal(*queue, key, packet) == Status::ok);
    CHECK(packet.text() == sealed);
    CHECK(packet.icv() == from_hex("76aaa8266b7fb0f7b11b369907e1ad43"));
    CHECK(open(*queue, key, packet) == Status::ok);
    CHECK(packet.text() == plain);
  }
}

TEST_CASE("draft-mcgrew-gcm-test: AES-GMAC in ESP, whose ICV covers the IV") {
  const auto plain = from_hex(
      "45000030da3a00008001df3bc0a80005c0a800010800c6cd0200070061626364"
      "65666768696a6b6c6d6e6f707172737401020201");
  const auto& row = suite(SuiteId::aes_gmac_128);
  for (const auto& engine : every_engine()) {
    CAPTURE(engine->implementation());
    const auto queue = std::move(*engine->make_queue());
    const Key key(*engine, row.id, from_hex("4c80cdefbb5d10da906ac73c3613a63422433c64"));
    Packet packet(row, from_hex("22433c640000000000000000"), from_hex("0000432100000007"), plain);
    CHECK(seal(*queue, key, packet) == Status::ok);
    CHECK(packet.text() == plain);
    CHECK(packet.icv() == from_hex("f2a9a836e155106aa8dcd618e4099aaa"));
    CHECK(open(*queue, key, packet) == Status::ok);
  }
}
