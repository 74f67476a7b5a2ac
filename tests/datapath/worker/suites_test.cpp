// Every suite through a real worker, both ways, with OpenSSL as the peer: lengths, padding, IVs.
#include <catch2/catch.hpp>
#include <set>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/rig.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

constexpr std::size_t esp_at = net::ethernet_bytes + net::ipv4_header_bytes;

Bytes with_one_hop_less(Bytes packet) {
  net::decrement_ttl(packet);
  return packet;
}

Bytes iv_of(const Bytes& frame, const crypto::Suite& suite) {
  const auto iv = frame.begin() + esp_at + net::esp_header_bytes;
  return Bytes(iv, iv + suite.iv_bytes);
}

}  // namespace

TEST_CASE("with every suite good ESP comes out as the inner packet, ESN on and off, with either engine") {
  for (const auto& suite : crypto::suites()) {
    for (const bool esn : {false, true}) {
      for (const auto* engine : {"ipsec-mb", "openssl"}) {
        CAPTURE(suite.name, esn, engine);
        Rig rig({.extended_sequence = esn, .suite = suite.id, .engine = engine});
        std::vector<Bytes> inner, burst;
        for (std::size_t payload = 0; payload < 48; ++payload)
          inner.push_back(rig.inner(net::Family::v4, payload, true));
        for (const std::size_t payload : {500u, 1'000u, 1'300u})
          inner.push_back(rig.inner(net::Family::v4, payload, true));
        for (const auto& packet : inner)
          burst.push_back(rig.esp_frame(burst.size() + 1, packet, net::protocol_ipv4));
        const auto out = rig.run(Rig::outside, burst);
        REQUIRE(out.inside.size() == inner.size());
        for (std::size_t i = 0; i < inner.size(); ++i)
          CHECK(Bytes(out.inside[i].begin() + net::ethernet_bytes, out.inside[i].end()) ==
                with_one_hop_less(inner[i]));
        CHECK(rig.conserved());
      }
    }
  }
}

TEST_CASE(
    "with every suite a protected packet leaves as ESP that the peer opens, aligned as the suite wants") {
  for (const auto& suite : crypto::suites()) {
    for (const bool esn : {false, true}) {
      CAPTURE(suite.name, esn);
      Rig rig({.extended_sequence = esn, .suite = suite.id});
      std::vector<Bytes> inner, burst;
      for (std::size_t payload = 0; payload < 40; ++payload)
        inner.push_back(rig.inner(net::Family::v4, payload, false));
      inner.push_back(rig.inner(net::Family::v4, 1'300, false));
      for (const auto& packet : inner) burst.push_back(rig.frame_to(Rig::inside, packet));
      const auto out = rig.run(Rig::inside, burst);
      REQUIRE(out.outside.size() == inner.size());
      for (std::size_t i = 0; i < inner.size(); ++i) {
        CHECK(rig.open(out.outside[i]) == with_one_hop_less(inner[i]));
        const auto text_bytes =
            out.outside[i].size() - esp_at - net::esp_header_bytes - suite.iv_bytes - suite.icv_bytes;
        CHECK(text_bytes % suite.align_bytes == 0);
        CHECK(text_bytes < inner[i].size() + 2 + suite.align_bytes);
      }
      CHECK(rig.conserved());
    }
  }
}

TEST_CASE("with every suite runts and misaligned lengths are dropped before any key is used") {
  for (const auto& suite : crypto::suites()) {
    Rig rig({.suite = suite.id});
    const auto whole = rig.esp_frame(1, rig.inner(net::Family::v4, 100, true), net::protocol_ipv4);
    const std::size_t overhead = net::esp_header_bytes + suite.iv_bytes + suite.icv_bytes;
    for (std::size_t esp_bytes = 0; esp_at + esp_bytes < whole.size(); ++esp_bytes) {
      CAPTURE(suite.name, esp_bytes);
      Bytes frame(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(esp_at + esp_bytes));
      net::store_be16(frame, net::ethernet_bytes + net::ipv4::total_length,
                      static_cast<std::uint16_t>(net::ipv4_header_bytes + esp_bytes));
      mend_checksum(frame, net::ethernet_bytes);
      CHECK(rig.run(Rig::outside, frame).inside.empty());
      const bool runt = esp_bytes < overhead + 2;
      const bool aligned = !runt && (esp_bytes - overhead) % suite.align_bytes == 0;
      CHECK(rig.verdicts() == (runt      ? "IN_ESP_RUNT=1"
                               : aligned ? "IN_CD_SW_IPSEC_MAC_EXCEPTION=1"
                                         : "IN_ESP_LENGTH_MISALIGNED=1"));
      rig.spi_misses();
    }
    CHECK(rig.conserved());
  }
}

TEST_CASE("IVs are never used twice, by two workers neither, and CBC's do not tell the sequence number") {
  for (const auto& suite : crypto::suites()) {
    if (suite.iv_bytes == 0) continue;
    CAPTURE(suite.name);
    Rig rig({.suite = suite.id}, 2);
    const std::vector<Bytes> burst(32, rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 64, false)));
    std::set<Bytes> ivs;
    std::set<std::uint64_t> steps;  // from one IV's last 8 bytes to the next one's
    std::uint64_t before = 0;
    for (unsigned round = 0; round < 8; ++round) {
      for (const auto& frame : rig.run(Rig::inside, burst, round % 2).outside) {
        const auto iv = iv_of(frame, suite);
        CHECK(ivs.insert(iv).second);
        const auto number = net::load_be64(iv, iv.size() - 8);
        steps.insert(number - before);
        before = number;
        if (suite.cipher == crypto::Cipher::aes_cbc) CHECK(net::load_be64(iv, 0) != 0);
      }
    }
    CHECK(ivs.size() == 256);
    // A counter has one step, beside that of its first value from nothing.
    CHECK(steps.size() == (suite.cipher == crypto::Cipher::aes_cbc ? 256 : 2));
  }
}

TEST_CASE("a burst of all suites is opened, and one damaged packet harms no other") {
  const auto count = crypto::suites().size();
  std::vector<Bytes> burst;
  std::vector<sa::SaParameters> peers;
  for (const auto& suite : crypto::suites()) {
    const Rig peer({.suite = suite.id, .inbound_spi = 0x4000 + static_cast<std::uint32_t>(burst.size())});
    burst.push_back(peer.esp_frame(1, peer.inner(net::Family::v4, 20, true), net::protocol_ipv4));
    peers.push_back(peer.parameters(true));
  }
  Rig rig({.window_packets = 0});
  for (auto& peer : peers) {
    peer.window_packets = 0;
    const auto index = rig.sas->reserve_inbound(peer.spi);
    REQUIRE(index);
    REQUIRE(rig.sas->install_inbound(*index, peer));
  }
  CHECK(rig.run(Rig::outside, burst).inside.size() == count);
  for (std::size_t victim = 0; victim < count; ++victim) {
    CAPTURE(crypto::suites()[victim].name);
    auto damaged = burst;
    damaged[victim].back() ^= 1;
    CHECK(rig.run(Rig::outside, damaged).inside.size() == count - 1);
    CHECK(rig.taken(Verdict::IN_CD_SW_IPSEC_MAC_EXCEPTION) == 1);
  }
  CHECK(rig.conserved());
}
