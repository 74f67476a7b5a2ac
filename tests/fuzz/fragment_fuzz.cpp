// Reassembly under any sequence of fragments: in any order and size, overlapping, damaged, too late. What
// becomes whole consists of what was sent, and in the end every buffer is back. The input:
// fragment_input.hpp.
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <algorithm>
#include <cstdlib>

#include "datapath/net/headers.hpp"
#include "datapath/worker/reassembly.hpp"
#include "tests/datapath/worker/rig.hpp"
#include "tests/fuzz/fragment_input.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

constexpr std::size_t most_fragments = 64;
constexpr std::uint32_t flows = 4;
rte_mempool* buffers = nullptr;
rte_mempool* large_buffers = nullptr;

void demand(bool truth) {
  if (!truth) std::abort();
}

// Byte `at` of a datagram's payload. Other content differs in every unit.
std::uint8_t content(bool other, std::size_t at) {
  return static_cast<std::uint8_t>(at * 7 + at / 256 + (other ? 100 : 0));
}

Bytes frame_of(const FragmentInput& input) {
  const bool v6 = (input.flags & FragmentInput::v6) != 0;
  const bool more = (input.flags & FragmentInput::more) != 0;
  const bool options = v6 && (input.flags & FragmentInput::options) != 0;
  const std::size_t payload = std::min(input.payload_bytes, FragmentInput::most_payload);
  const std::size_t header_bytes = v6 ? 40u + (options ? 8u : 0u) + 8u : 20u;
  Bytes frame(14 + header_bytes + payload);
  frame[0] = 2;
  net::store_be16(frame, 12, v6 ? net::ethertype_ipv6 : net::ethertype_ipv4);
  const auto ip = std::span(frame).subspan(14);
  const std::uint8_t congestion = (input.flags & FragmentInput::congested) != 0 ? 3 : 1;
  const std::uint8_t identification = input.flags % 4;
  if (v6) {
    ip[0] = 0x60;
    ip[1] = static_cast<std::uint8_t>(congestion << 4);
    net::store_be16(ip, net::ipv6::payload_length, static_cast<std::uint16_t>(ip.size() - 40));
    ip[net::ipv6::next_header] = options ? net::protocol_hop_by_hop : net::protocol_fragment;
    ip[net::ipv6::source] = ip[net::ipv6::destination] = 0x20;
    if (options) {
      ip[40] = net::protocol_fragment;
      ip[42] = 1;  // PadN of six bytes
      ip[43] = 4;
    }
    const auto extension = ip.subspan(header_bytes - 8);
    extension[0] = net::protocol_esp;
    net::store_be16(extension, 2, static_cast<std::uint16_t>(input.unit << 3 | (more ? 1 : 0)));
    extension[7] = identification;
  } else {
    ip[0] = 0x45;
    ip[1] = congestion;
    net::store_be16(ip, net::ipv4::total_length, static_cast<std::uint16_t>(ip.size()));
    net::store_be16(ip, net::ipv4::fragment,
                    static_cast<std::uint16_t>((more ? 0x2000 : 0) | input.unit % 0x2000));
    ip[net::ipv4::identification] = identification;
    ip[net::ipv4::ttl] = 64;
    ip[net::ipv4::protocol] = net::protocol_esp;
    ip[net::ipv4::source] = ip[net::ipv4::destination] = 10;
  }
  const std::size_t from = std::size_t{input.unit} % 0x2000 * 8;
  for (std::size_t i = 0; i < payload; ++i)
    ip[header_bytes + i] = content((input.flags & FragmentInput::other) != 0, from + i);
  const auto damaged = 12 + input.damage_at % (2 + header_bytes);
  frame[damaged] = static_cast<std::uint8_t>(frame[damaged] ^ input.damage);
  if (!v6) mend_checksum(frame, 14);
  return frame;
}

rte_mbuf* buffer_with(std::span<const std::uint8_t> bytes) {
  auto* mbuf = rte_pktmbuf_alloc(buffers);
  std::ranges::copy(bytes, reinterpret_cast<std::uint8_t*>(
                               rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(bytes.size()))));
  return mbuf;
}

// A frame again, no fragment, whose every unit of eight bytes somebody sent. Damage may have moved a
// datagram's parts to other places, so that only sequences without any are asked for their content.
void examine(rte_mbuf* whole, bool undamaged) {
  demand(rte_mbuf_refcnt_read(whole) == 1 && rte_pktmbuf_is_contiguous(whole));
  const std::span<const std::uint8_t> frame(rte_pktmbuf_mtod(whole, const std::uint8_t*), whole->data_len);
  const auto info = parse::parse_frame(frame, frame.size(), false, 0);
  demand(!info.fragment);
  if (undamaged) {
    demand(info.kind != parse::FrameKind::invalid && info.protocol == net::protocol_esp);
    const auto payload = frame.subspan(info.l4_offset);
    for (std::size_t at = 0; at < payload.size(); at += 8) {
      const auto unit = payload.subspan(at, std::min<std::size_t>(8, payload.size() - at));
      const bool other = unit[0] != content(false, at);
      for (std::size_t i = 0; i < unit.size(); ++i) demand(unit[i] == content(other, at + i));
    }
  }
  rte_pktmbuf_free(whole);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  start_environment();
  buffers = rte_pktmbuf_pool_create("fragments", 15, 0, 0, 9'000, SOCKET_ID_ANY);
  // Fewer than flows, so that they run out, too.
  large_buffers =
      rte_pktmbuf_pool_create("datagrams", flows - 1, 0, 0, worker::large_buffer_bytes, SOCKET_ID_ANY);
  demand(buffers != nullptr && large_buffers != nullptr);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size % FragmentInput::bytes != 0 || size > most_fragments * FragmentInput::bytes) return -1;
  worker::Reassembly reassembly(flows, FragmentInput::timeout, large_buffers);
  std::uint64_t now = 1;
  bool undamaged = true;
  for (std::size_t at = 0; at < size; at += FragmentInput::bytes) {
    const auto input = FragmentInput::read(data + at);
    undamaged = undamaged && input.damage == 0;
    now += input.pause;
    const auto frame = frame_of(input);
    const std::span bytes(frame);
    auto* mbuf = buffer_with(bytes);
    const auto info = parse::parse_frame(bytes, bytes.size(), false, 0);
    if (info.kind != parse::FrameKind::invalid && info.fragment) {
      if ((input.flags & FragmentInput::split) != 0 && bytes.size() > 128) {
        rte_pktmbuf_trim(mbuf, static_cast<std::uint16_t>(bytes.size() - 128));
        demand(rte_pktmbuf_chain(mbuf, buffer_with(bytes.subspan(128))) == 0);
      }
      const auto result = reassembly.add(*mbuf, info, now);
      demand(result.verdict != Verdict::undecided);
      demand(result.whole == nullptr || result.verdict == Verdict::REASSEMBLY_PART);
      if (result.whole != nullptr) examine(result.whole, undamaged);
    }
    rte_pktmbuf_free(mbuf);
    demand(rte_mempool_in_use_count(buffers) == 0);
    demand(rte_mempool_in_use_count(large_buffers) == reassembly.held());
  }
  reassembly.expire(now + FragmentInput::timeout);
  demand(reassembly.held() == 0 && rte_mempool_in_use_count(large_buffers) == 0);
  return 0;
}
