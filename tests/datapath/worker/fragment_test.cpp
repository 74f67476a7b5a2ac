// What is cut, where, and what comes of the pieces.
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "datapath/net/headers.hpp"
#include "datapath/worker/cutter.hpp"
#include "datapath/worker/identification.hpp"
#include "tests/datapath/worker/fragments.hpp"
#include "tests/datapath/worker/must.hpp"
#include "tests/datapath/worker/rig.hpp"
#include "tests/datapath/worker/taken_buffers.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

Bytes filled(Bytes packet, std::size_t from) {
  for (std::size_t i = from; i < packet.size(); ++i) packet[i] = static_cast<std::uint8_t>(i * 5 + i / 256);
  return packet;
}

std::vector<Bytes> opened(const Rig& rig, const std::vector<Bytes>& frames) {
  std::vector<Bytes> inner;
  for (const auto& frame : frames) {
    CHECK(frame.size() <= 14 + 1500);
    inner.push_back(rig.frame_to(Rig::outside, rig.open(frame)));
  }
  return inner;
}

void set_df(Bytes& packet) {
  packet[net::ipv4::fragment] = 0x40;
  mend_checksum(packet);
}

}  // namespace

TEST_CASE("a packet too large for the SA's path is cut before it is encrypted") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  const std::uint16_t path_mtu = GENERATE(std::uint16_t{1500}, std::uint16_t{1400}, std::uint16_t{1281});
  Rig rig({.outer = outer});
  rig.sas->outbound(rig.outbound).path_mtu = path_mtu;
  for (const std::size_t payload : {1472u, 1700u}) {
    const auto inner = filled(rig.inner(net::Family::v4, payload, false), 28);
    const auto out = rig.run(Rig::inside, rig.frame_to(Rig::inside, inner));
    CHECK(out.outside.size() == 2);
    for (const auto& frame : out.outside) CHECK(frame.size() <= 14u + path_mtu);
    CHECK(joined(opened(rig, out.outside)) == forwarded(inner));
  }
  CHECK(rig.verdicts() == "FORWARDED=4 FRAGMENTED=2");
  CHECK(rig.conserved());
}

TEST_CASE("exactly what fits goes whole, one byte more in two") {
  Rig rig;
  rig.sas->outbound(rig.outbound).path_mtu = 1400;
  const std::size_t fits = (1400 - 20 - 8 - 8 - 16) / 4 * 4 - 2 - 28;
  for (std::size_t more = 0; more < 2; ++more) {
    const auto inner = rig.inner(net::Family::v4, fits + more, false);
    CHECK(rig.run(Rig::inside, rig.frame_to(Rig::inside, inner)).outside.size() == 1 + more);
  }
  CHECK(rig.conserved());
}

TEST_CASE("a whole burst of packets is cut, more pieces than a burst holds") {
  Rig rig;
  rig.sas->outbound(rig.outbound).path_mtu = 600;
  std::vector<Bytes> burst(64, rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 1400, false)));
  const auto out = rig.run(Rig::inside, burst);
  CHECK(out.outside.size() == 64 * 3);
  std::set<std::uint64_t> sequences;
  for (const auto& frame : out.outside) {
    std::uint64_t sequence = 0;
    CHECK_FALSE(rig.open(frame, &sequence).empty());
    sequences.insert(sequence);
  }
  CHECK(sequences.size() == 64 * 3);
  CHECK(rig.verdicts() == "FORWARDED=192 FRAGMENTED=64");
  CHECK(rig.conserved());
}

TEST_CASE("with DF clear outside and set inside the outer packet is cut") {
  Rig rig({.outer_fields = {.df = sa::DfPolicy::clear}});
  rig.sas->outbound(rig.outbound).path_mtu = 1500;
  auto inner = filled(rig.inner(net::Family::v4, 1472, false), 28);
  set_df(inner);
  const auto out = rig.run(Rig::inside, rig.frame_to(Rig::inside, inner));
  CHECK(out.outside.size() == 2);
  const auto whole = joined(out.outside);
  REQUIRE_FALSE(whole.empty());
  CHECK(rig.open(rig.frame_to(Rig::outside, whole)) == forwarded(inner));
  CHECK(rig.verdicts() == "FORWARDED=2 FRAGMENTED=1");
  CHECK(rig.conserved());
}

TEST_CASE("an IPv6 packet of 1280 bytes always passes, in an outer packet that is cut") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  const auto df = GENERATE(sa::DfPolicy::copy, sa::DfPolicy::set);
  Rig rig({.outer = outer, .outer_fields = {.df = df}});
  rig.sas->outbound(rig.outbound).path_mtu = 1280;
  const auto inner = filled(rig.inner(net::Family::v6, 1280 - 48, false), 48);
  const auto out = rig.run(Rig::inside, rig.frame_to(Rig::inside, inner));
  CHECK(out.outside.size() == 2);
  for (const auto& frame : out.outside) CHECK(frame.size() <= 14 + 1280);
  CHECK(rig.open(rig.frame_to(Rig::outside, joined(out.outside))) == forwarded(inner));
  CHECK(rig.verdicts() == "FORWARDED=2 FRAGMENTED=1");
  CHECK(rig.conserved());
}

TEST_CASE("cleartext larger than its way out is cut, decrypted or in transit") {
  Rig rig;
  SECTION("decrypted") {
    const auto inner = filled(rig.inner(net::Family::v4, 1700, true), 28);
    const auto frame = rig.esp_frame(1, inner, net::protocol_ipv4);
    const auto out = rig.run(Rig::outside, frame);
    CHECK(out.inside.size() == 2);
    CHECK(joined(out.inside) == forwarded(inner));
  }
  SECTION("in transit") {
    auto inner = filled(rig.inner(net::Family::v4, 1700, true), 28);
    const std::uint8_t source[] = {192, 0, 2, 2};
    std::copy_n(source, 4, inner.begin() + net::ipv4::source);
    mend_checksum(inner);
    const auto out = rig.run(Rig::inside, rig.frame_to(Rig::inside, inner));
    CHECK(out.inside.size() == 2);
    CHECK(joined(out.inside) == forwarded(inner));
  }
  CHECK(rig.verdicts() == "FORWARDED=2 FRAGMENTED=1");
  CHECK(rig.conserved());
}

TEST_CASE("without buffers for its pieces a packet is dropped by name") {
  Rig rig;
  rig.sas->outbound(rig.outbound).path_mtu = 600;
  auto* const all = rig.shared.buffers;
  for (const unsigned available : {0u, 1u, 2u}) {
    auto* few = rte_pktmbuf_pool_create("few", 7, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    TakenBuffers taken(few, available);
    auto* packet = buffer_with(all, rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 1400, false)));
    rig.shared.buffers = few;
    rig.workers[0]->process_frames(&packet, 1, Rig::inside);
    rig.shared.buffers = all;
    const auto forwarded_text =
        available == 0 ? std::string() : "FORWARDED=" + std::to_string(available) + " ";
    CHECK(rig.verdicts() == forwarded_text + "FRAGMENTED=1 PKT_BUFFER_UNAVAILABLE=1");
    CHECK(rig.run(Rig::inside, Bytes(1)).outside.size() == available);
    CHECK(rig.taken(Verdict::ETH_RUNT) == 1);
    CHECK(rig.conserved());
    taken.give_back();
    CHECK(rte_mempool_in_use_count(few) == 0);
    rte_mempool_free(few);
  }
}

TEST_CASE("packets of several SAs between two gateways have no identification twice") {
  const auto outer = GENERATE(net::Family::v4, net::Family::v6);
  constexpr unsigned worker_count = 3, rounds = 40;  // three divide neither 2^16 nor 2^32
  Rig rig({.outer = outer, .outer_fields = {.df = sa::DfPolicy::clear}}, worker_count);
  auto second = rig.parameters(false);
  second.spi ^= 0x777;
  second.selectors.clear();  // the policy below has them
  const auto other = must(rig.sas->install_outbound(second));
  const bool v4 = outer == net::Family::v4;
  const auto there = *net::parse_range(v4 ? "10.77.0.0/16" : "2001:db8:4d::/48");
  rig.add_policy({net::AddressRange::everything(outer), there, {}, {}, {}}, 1,
                 policy::Decision::protect(other));
  for (const auto sa : {rig.outbound, other}) rig.sas->outbound(sa).path_mtu = 1'280;
  auto packet = rig.inner(outer, v4 ? 1'252 : 1'232, false);
  if (v4) set_df(packet);  // so that the outer packet is cut
  std::vector<Bytes> burst;
  for (int i = 0; i < 16; ++i) {
    packet[v4 ? 17 : 29] = i % 2 == 0 ? 77 : 2;
    if (v4) mend_checksum(packet);
    burst.push_back(rig.frame_to(Rig::inside, packet));
  }
  std::map<std::uint32_t, unsigned> seen;  // pieces, by identification
  for (unsigned round = 0; round < rounds; ++round)
    for (unsigned worker = 0; worker < worker_count; ++worker)
      for (const auto& frame : rig.run(Rig::inside, burst, worker).outside)
        ++seen[v4 ? net::load_be16(frame, 14 + net::ipv4::identification)
                  : net::load_be32(frame, 14 + net::ipv6_header_bytes + 4)];
  CHECK(seen.size() == rounds * worker_count * burst.size());
  CHECK(std::ranges::all_of(seen, [](const auto& entry) { return entry.second == 2; }));
  CHECK(rig.sas->outbound(other).sequence == rounds * worker_count * burst.size() / 2);
  CHECK(rig.conserved());
}

TEST_CASE("a worker's identifications come back after all of its share, and others' never come") {
  const unsigned workers = GENERATE(1u, 2u, 3u, 7u);
  std::map<std::uint16_t, unsigned> times;
  const std::uint8_t addresses[8] = {192, 0, 2, 1, 192, 0, 2, 2};
  for (unsigned worker = 0; worker < workers; ++worker) {
    worker::Identifications identifications(worker, workers, 12'345 + worker);
    for (unsigned i = 0; i < 65'536 / workers; ++i) ++times[identifications.next4(addresses)];
  }
  CHECK(times.size() == 65'536 / workers * workers);
  CHECK(std::ranges::all_of(times, [](const auto& entry) { return entry.second == 1; }));
}

TEST_CASE("a fragment that ends where no packet does is not cut") {
  Rig rig;
  auto fragment = rig.inner(net::Family::v4, 1'700, true);
  const std::uint8_t source[] = {192, 0, 2, 2};
  std::copy_n(source, 4, fragment.begin() + net::ipv4::source);
  const auto ends_at = [&](std::size_t bytes) {  // of the whole packet, its header included
    const auto offset = (bytes - fragment.size()) / 8;
    net::store_be16(fragment, net::ipv4::fragment, static_cast<std::uint16_t>(offset));
    mend_checksum(fragment);
    return rig.run(Rig::inside, rig.frame_to(Rig::inside, fragment)).inside.size();
  };
  CHECK(ends_at(65'535 / 8 * 8) == 2);
  CHECK(ends_at(65'600) == 0);
  CHECK(rig.verdicts() == "FORWARDED=2 FRAGMENTED=1 MTU_EXCEEDED=1");
  (void)rig.refused();
  CHECK(rig.conserved());
}

TEST_CASE("what is too long once it is encapsulated is dropped as that, not for want of buffers") {
  const std::size_t payload_bytes = GENERATE(65'270u, 65'400u);  // with ESP around, or even without
  const bool before = GENERATE(false, true);                     // to be cut before it is encrypted, or after
  Rig rig({.outer_fields = {.df = sa::DfPolicy::clear}});
  auto packet = rig.inner(net::Family::v4, payload_bytes, false);
  if (!before) set_df(packet);
  const auto frame = rig.frame_to(Rig::inside, packet);
  std::vector<std::size_t> ends;
  for (std::size_t at = 2'000; at < frame.size(); at += 2'000) ends.push_back(at);
  CHECK(rig.run_split(Rig::inside, frame, ends).outside.empty());
  CHECK(rig.verdicts() == "OUT_INFRA_V4_PKT_LEN_TOO_BIG=1");
  CHECK(rig.sas->outbound_faults(rig.outbound).of(Verdict::OUT_INFRA_V4_PKT_LEN_TOO_BIG) == 1);
  CHECK(rig.conserved());
}

TEST_CASE("texts of more than 65,000 bytes go under every kind of suite, both ways") {
  using enum crypto::SuiteId;
  const auto suite = GENERATE(aes_gcm_16_128, chacha20_poly1305, aes_ccm_16_128, aes_ccm_16_192,
                              aes_cbc_128_sha1, aes_cbc_256_sha512, aes_ctr_128_sha256, null_sha384);
  Rig rig({.outer_fields = {.df = sa::DfPolicy::clear}, .suite = suite});
  CAPTURE(crypto::suite(suite).name);
  auto packet = filled(rig.inner(net::Family::v4, 65'260, false), 28);
  set_df(packet);
  const auto frame = rig.frame_to(Rig::inside, packet);
  std::vector<std::size_t> ends;
  for (std::size_t at = 2'000; at < frame.size(); at += 2'000) ends.push_back(at);
  const auto esp = joined(rig.run_split(Rig::inside, frame, ends).outside);
  REQUIRE_FALSE(esp.empty());
  CHECK(rig.open(rig.frame_to(Rig::outside, esp)) == forwarded(packet));

  const auto answer = filled(rig.inner(net::Family::v4, 65'000 - 28, true), 28);
  std::vector<std::size_t> cuts;
  for (std::size_t at = 1'480; at < answer.size() + 100; at += 1'480) cuts.push_back(at);
  std::vector<Bytes> arrived;
  for (const auto& part : fragments_of(rig.esp_frame(1, answer, net::protocol_ipv4), cuts, 9))
    for (auto& piece : rig.run(Rig::outside, part).inside) arrived.push_back(std::move(piece));
  CHECK(joined(arrived) == forwarded(answer));
  CHECK(rig.taken(Verdict::CRYPTO_DEVICE_IPSEC_STOP) == 0);
  CHECK(rig.conserved());
}

TEST_CASE("padding behind a packet is taken off whatever segments it lies in") {
  Rig rig;
  const auto inner = filled(rig.inner(net::Family::v4, 100, false), 28);
  auto frame = rig.frame_to(Rig::inside, inner);
  const auto packet_end = frame.size();
  frame.resize(packet_end + 60, 0xee);
  std::uint64_t sent = 0;
  for (std::size_t first = packet_end - 20; first < packet_end + 20; first += 4) {
    const std::size_t ends[] = {first, first + 10, first + 30};
    const auto out = rig.run_split(Rig::inside, frame, ends);
    REQUIRE(out.outside.size() == 1);
    CHECK(rig.open(out.outside[0]) == forwarded(inner));
    ++sent;
  }
  CHECK(rig.taken(Verdict::FORWARDED) == sent);
  CHECK(rig.conserved());
}

TEST_CASE("fragments of IPv4 have the options that belong into each, and keep their place") {
  Rig rig;
  Bytes packet(24 + 100);
  packet[0] = 0x48;  // eight words: an option to be copied, one that is not, padding
  packet.resize(32 + 100);
  const std::uint8_t options[] = {0x94, 4, 0, 0, 0x07, 7, 4, 0, 0, 0, 0, 0};  // router alert, record route
  std::copy_n(options, 12, packet.begin() + 20);
  net::store_be16(packet, net::ipv4::total_length, static_cast<std::uint16_t>(packet.size()));
  net::store_be16(packet, net::ipv4::fragment, 0x2000 | 10);  // itself the part from 80 on
  packet = filled(packet, 32);
  auto* whole = buffer_with(rig.shared.buffers, packet);
  worker::Cutter cutter(*whole, net::Family::v4, 72, 0);
  std::vector<Bytes> pieces;
  while (!cutter.done()) {
    auto* piece = cutter.next(rig.shared.buffers);
    REQUIRE(piece != nullptr);
    const auto* data = rte_pktmbuf_mtod(piece, const std::uint8_t*);
    pieces.emplace_back(data, data + piece->data_len);
    rte_pktmbuf_free(piece);
  }
  rte_pktmbuf_free(whole);
  REQUIRE(pieces.size() == 3);
  CHECK(pieces[0].size() == 32 + 40);
  CHECK(pieces[1].size() == 24 + 48);
  CHECK(pieces[2].size() == 24 + 12);
  const std::size_t offsets[] = {80, 120, 168};
  for (std::size_t i = 0; i < 3; ++i) {
    const auto field = net::load_be16(pieces[i], net::ipv4::fragment);
    CHECK((field & 0x2000) != 0);  // the last, too: it was not the end of the packet
    CHECK(field % 0x2000 * 8 == offsets[i]);
    CHECK(net::load_be16(pieces[i], net::ipv4::total_length) == pieces[i].size());
    CHECK(net::header_sum(std::span(pieces[i]).first(pieces[i][0] % 16u * 4)) == 0xffff);
  }
  CHECK(std::equal(options, options + 4, pieces[2].begin() + 20));
  CHECK(rig.conserved());
}

TEST_CASE("the fragment header of IPv6 comes behind what routers on the way read, and before the rest") {
  Rig rig;
  auto packet = filled(rig.inner(net::Family::v6, 100, false), 48);
  const Bytes extensions{
      net::protocol_destination_options, 0, 1, 4, 0, 0, 0, 0, net::protocol_udp, 0, 1, 4, 0, 0, 0, 0};
  packet.insert(packet.begin() + 40, extensions.begin(), extensions.end());
  packet[net::ipv6::next_header] = 0;  // hop-by-hop options
  net::store_be16(packet, net::ipv6::payload_length, static_cast<std::uint16_t>(packet.size() - 40));
  auto* whole = buffer_with(rig.shared.buffers, packet);
  CHECK_FALSE(worker::Cutter::possible(packet.data(), net::Family::v6, 164, 40 + 8 + 8 + 7));
  REQUIRE(worker::Cutter::possible(packet.data(), net::Family::v6, 164, 120));
  worker::Cutter cutter(*whole, net::Family::v6, 120, 0x12345678);
  Bytes payload;
  for (bool last = false; !last;) {
    auto* buffer = cutter.next(rig.shared.buffers);
    REQUIRE(buffer != nullptr);
    const auto* data = rte_pktmbuf_mtod(buffer, const std::uint8_t*);
    const Bytes piece(data, data + buffer->data_len);
    rte_pktmbuf_free(buffer);
    CHECK(piece.size() <= 120);
    CHECK(net::load_be16(piece, net::ipv6::payload_length) == piece.size() - 40);
    CHECK(piece[net::ipv6::next_header] == 0);
    CHECK(piece[40] == net::protocol_fragment);
    CHECK(piece[48] == net::protocol_destination_options);
    CHECK((net::load_be16(piece, 50) & 0xfff8) == payload.size());
    CHECK(net::load_be32(piece, 52) == 0x12345678);
    payload.insert(payload.end(), piece.begin() + 56, piece.end());
    last = (net::load_be16(piece, 50) & 1) == 0;
    CHECK(last == cutter.done());
  }
  CHECK(payload == Bytes(packet.begin() + 48, packet.end()));
  rte_pktmbuf_free(whole);
  CHECK(rig.conserved());
}
