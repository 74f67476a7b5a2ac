#include "tests/datapath/worker/fragments.hpp"

#include <algorithm>
#include <map>

#include "datapath/net/headers.hpp"

namespace espgate::test {
namespace {

constexpr std::size_t link = net::ethernet_bytes;

bool is_v4(const Bytes& frame) {
  return frame[link] >> 4 == 4;
}

// Where the flags and the offset stand.
std::size_t field_of(const Bytes& frame) {
  return link + (is_v4(frame) ? net::ipv4::fragment : net::ipv6_header_bytes + 2);
}

// Addresses, identification, TTL and what follows are those of one packet.
bool same_datagram(const Bytes& a, const Bytes& b) {
  const auto same = [&](std::size_t from, std::size_t to) {
    return std::equal(a.begin() + static_cast<std::ptrdiff_t>(link + from),
                      a.begin() + static_cast<std::ptrdiff_t>(link + to),
                      b.begin() + static_cast<std::ptrdiff_t>(link + from));
  };
  if (is_v4(a)) return same(4, 6) && same(8, 10) && same(12, 20);
  return same(6, 41) && same(44, 48);
}

void mend(Bytes& frame) {
  if (is_v4(frame)) mend_checksum(frame, link);
}

}  // namespace

std::vector<Bytes> fragments_of(const Bytes& frame, std::span<const std::size_t> cuts,
                                std::uint32_t identification) {
  const bool v4 = is_v4(frame);
  const std::size_t header_bytes = v4 ? net::ipv4_header_bytes : net::ipv6_header_bytes;
  const std::size_t payload_bytes = frame.size() - link - header_bytes;
  std::vector<Bytes> parts;
  for (std::size_t i = 0; i <= cuts.size(); ++i) {
    const std::size_t from = i == 0 ? 0 : cuts[i - 1];
    const std::size_t to = i < cuts.size() ? std::min(cuts[i], payload_bytes) : payload_bytes;
    if (from >= to) break;
    const bool more = to < payload_bytes;
    Bytes part(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(link + header_bytes));
    const std::span ip = std::span(part).subspan(link);
    if (v4) {
      net::store_be16(ip, net::ipv4::identification, static_cast<std::uint16_t>(identification));
      net::store_be16(ip, net::ipv4::fragment, static_cast<std::uint16_t>((more ? 0x2000 : 0) | from / 8));
    } else {
      Bytes extension{ip[net::ipv6::next_header], 0, 0, 0, 0, 0, 0, 0};
      ip[net::ipv6::next_header] = net::protocol_fragment;
      net::store_be16(extension, 2, static_cast<std::uint16_t>(from | (more ? 1 : 0)));
      net::store_be32(extension, 4, identification);
      for (const auto byte : extension) part.push_back(byte);
    }
    const auto payload = frame.begin() + static_cast<std::ptrdiff_t>(link + header_bytes);
    std::copy(payload + static_cast<std::ptrdiff_t>(from), payload + static_cast<std::ptrdiff_t>(to),
              std::back_inserter(part));
    set_length(part, part.size() - link);
    parts.push_back(part);
  }
  return parts;
}

Bytes joined(const std::vector<Bytes>& frames) {
  std::map<std::size_t, Bytes> payloads;
  Bytes header;
  std::size_t total = 0;
  for (const auto& frame : frames) {
    const bool v4 = is_v4(frame);
    const std::size_t ip_bytes = v4 ? std::size_t{frame[link]} % 16 * 4 : net::ipv6_header_bytes;
    const bool extended = !v4 && frame[link + net::ipv6::next_header] == net::protocol_fragment;
    const std::size_t field = !v4 && !extended ? 0 : net::load_be16(frame, field_of(frame));
    const std::size_t offset = v4 ? field % 0x2000 * 8 : field & 0xfff8;
    const bool more = v4 ? (field & 0x2000) != 0 : (field & 1) != 0;
    const std::size_t at = link + ip_bytes + (extended ? 8 : 0);
    const Bytes payload(frame.begin() + static_cast<std::ptrdiff_t>(at), frame.end());
    if (v4 && net::header_sum(std::span(frame).subspan(link, ip_bytes)) != 0xffff) return {};
    if (more && payload.size() % 8 != 0) return {};
    if (!more) total = offset + payload.size();
    if (offset == 0) {
      header.assign(frame.begin() + link, frame.begin() + static_cast<std::ptrdiff_t>(link + ip_bytes));
      if (extended) header[net::ipv6::next_header] = frame[link + net::ipv6_header_bytes];
    }
    payloads[offset] = payload;
    if (!same_datagram(frame, frames.front())) return {};
  }
  Bytes packet = header;
  for (const auto& [offset, payload] : payloads) {
    if (packet.size() - header.size() != offset) return {};
    packet.insert(packet.end(), payload.begin(), payload.end());
  }
  if (header.empty() || packet.size() != header.size() + total) return {};
  if (packet[0] >> 4 == 4) {
    net::store_be16(packet, net::ipv4::fragment, 0);
    net::store_be16(packet, net::ipv4::total_length, static_cast<std::uint16_t>(packet.size()));
    mend_checksum(packet);
  } else {
    net::store_be16(packet, net::ipv6::payload_length, static_cast<std::uint16_t>(packet.size() - 40));
  }
  return packet;
}

void clear_more(Bytes& frame) {
  const auto at = field_of(frame);
  const std::uint16_t flag = is_v4(frame) ? 0x2000 : 1;
  net::store_be16(frame, at, static_cast<std::uint16_t>(net::load_be16(frame, at) & ~flag));
  mend(frame);
}

void set_offset(Bytes& frame, std::size_t bytes) {
  const auto at = field_of(frame);
  const bool v4 = is_v4(frame);
  const std::uint16_t flags = v4 ? 0xe000 : 7;
  const auto place = static_cast<std::uint16_t>(v4 ? bytes / 8 : bytes);
  net::store_be16(frame, at, static_cast<std::uint16_t>((net::load_be16(frame, at) & flags) | place));
  mend(frame);
}

void set_length(Bytes& frame, std::size_t ip_bytes) {
  if (is_v4(frame))
    net::store_be16(frame, link + net::ipv4::total_length, static_cast<std::uint16_t>(ip_bytes));
  else
    net::store_be16(frame, link + net::ipv6::payload_length,
                    static_cast<std::uint16_t>(ip_bytes - net::ipv6_header_bytes));
  mend(frame);
}

}  // namespace espgate::test
