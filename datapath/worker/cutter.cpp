#include "datapath/worker/cutter.hpp"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "datapath/net/headers.hpp"

namespace espgate::worker {
namespace {

constexpr std::size_t fragment_header_bytes = 8;
constexpr std::uint16_t more_fragments = 0x2000, offset_mask = 0x1fff;

// The header of fragments behind the first: only options that say so go into each (RFC 791 3.1). Returns its
// length.
std::size_t later_header(const std::uint8_t* packet, std::size_t header_bytes, std::span<std::uint8_t> out) {
  constexpr std::uint8_t end_of_options = 0, no_operation = 1, copied = 0x80;
  std::memcpy(out.data(), packet, net::ipv4_header_bytes);
  std::size_t bytes = net::ipv4_header_bytes;
  for (std::size_t at = net::ipv4_header_bytes; at < header_bytes && packet[at] != end_of_options;) {
    const std::size_t length = packet[at] == no_operation || at + 1 == header_bytes ? 1 : packet[at + 1];
    if (length == 0 || at + length > header_bytes) break;  // malformed: not ours to pass on
    if ((packet[at] & copied) != 0) {
      std::memcpy(&out[bytes], packet + at, length);
      bytes += length;
    }
    at += length;
  }
  while (bytes % 4 != 0) out[bytes++] = end_of_options;
  out[0] = static_cast<std::uint8_t>(0x40 | bytes / 4);
  return bytes;
}

}  // namespace

bool Cutter::possible(const std::uint8_t* ip, net::Family family, std::uint32_t packet_bytes,
                      std::uint32_t limit) {
  const auto headers = net::esp_position({ip, packet_bytes}, family).bytes;
  if (family == net::Family::v4) {
    const std::size_t offset = std::size_t{net::load_be16({ip, headers}, net::ipv4::fragment)} % 0x2000 * 8;
    if (offset + packet_bytes > net::ip_packet_max) return false;
  }
  return limit >= headers + (family == net::Family::v4 ? 0 : fragment_header_bytes) + 8;
}

Cutter::Cutter(const rte_mbuf& packet, net::Family family, std::uint32_t limit, std::uint32_t identification)
    : packet_(rte_pktmbuf_mtod(&packet, const std::uint8_t*)),
      family_(family),
      limit_(limit),
      identification_(identification),
      first_header_(net::esp_position({packet_, packet.data_len}, family)),
      later_header_bytes_(family == net::Family::v4
                              ? later_header(packet_, first_header_.bytes, later_header_)
                              : first_header_.bytes),
      at_(first_header_.bytes),
      end_(packet.data_len) {}

rte_mbuf* Cutter::next(rte_mempool* pool) {
  const bool first = at_ == first_header_.bytes;
  const std::size_t headers = (first ? first_header_.bytes : later_header_bytes_) +
                              (family_ == net::Family::v4 ? 0 : fragment_header_bytes);
  const std::size_t left = end_ - at_;
  const bool last = headers + left <= limit_;
  const std::size_t payload = last ? left : (limit_ - headers) & ~std::size_t{7};
  auto* piece = rte_pktmbuf_alloc(pool);
  if (piece == nullptr) return nullptr;
  auto* room = reinterpret_cast<std::uint8_t*>(
      rte_pktmbuf_append(piece, static_cast<std::uint16_t>(headers + payload)));
  if (room == nullptr) {
    rte_pktmbuf_free(piece);
    return nullptr;
  }
  write_header({room, headers}, payload, last);
  std::memcpy(room + headers, packet_ + at_, payload);
  at_ += payload;
  return piece;
}

void Cutter::write_header(std::span<std::uint8_t> out, std::size_t payload_bytes, bool last) const {
  const bool first = at_ == first_header_.bytes;
  const std::size_t offset = at_ - first_header_.bytes;
  if (family_ == net::Family::v4) {
    std::memcpy(out.data(), first ? packet_ : later_header_.data(), out.size());
    // What is cut may be a fragment itself.
    const auto own = net::load_be16({packet_, first_header_.bytes}, net::ipv4::fragment);
    const unsigned more = last ? own & more_fragments : more_fragments;
    const std::size_t place = ((own & offset_mask) + offset / 8) & offset_mask;
    net::store_be16(out, net::ipv4::fragment, static_cast<std::uint16_t>(more | place));
    net::store_be16(out, net::ipv4::total_length, static_cast<std::uint16_t>(out.size() + payload_bytes));
    net::store_be16(out, net::ipv4::checksum, 0);
    net::store_be16(out, net::ipv4::checksum, net::header_checksum(out));
    return;
  }
  std::memcpy(out.data(), packet_, first_header_.bytes);
  net::store_be16(out, net::ipv6::payload_length,
                  static_cast<std::uint16_t>(out.size() - net::ipv6_header_bytes + payload_bytes));
  const auto extension = out.subspan(first_header_.bytes);
  extension[0] = packet_[first_header_.next_header_at];
  extension[1] = 0;
  net::store_be16(extension, 2, static_cast<std::uint16_t>(offset | (last ? 0 : 1)));
  net::store_be32(extension, 4, identification_);
  out[first_header_.next_header_at] = net::protocol_fragment;
}

}  // namespace espgate::worker
