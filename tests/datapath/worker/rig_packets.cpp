// The packets that a rig's peers send, and what they make of those they get.
#include <algorithm>
#include <array>
#include <cstring>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/must.hpp"
#include "tests/datapath/worker/rig.hpp"

namespace espgate::test {
rte_mbuf* buffer_with(rte_mempool* pool, const Bytes& bytes) {
  auto* mbuf = rte_pktmbuf_alloc(pool);
  std::ranges::copy(bytes, reinterpret_cast<std::uint8_t*>(
                               rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(bytes.size()))));
  return mbuf;
}

Bytes forwarded(Bytes packet) {
  if (packet[0] >> 4 == 4)
    net::decrement_ttl(packet);
  else
    --packet[net::ipv6::hop_limit];
  return packet;
}

void mend_checksum(Bytes& bytes, std::size_t ip_offset) {
  const auto header = std::span(bytes).subspan(ip_offset, net::ipv4_header_bytes);
  net::store_be16(header, net::ipv4::checksum, 0);
  net::store_be16(header, net::ipv4::checksum, net::header_checksum(header));
}

Bytes Rig::inner(net::Family family, std::size_t payload_bytes, bool from_peer) const {
  const bool v4 = family == net::Family::v4;
  const auto there = *net::parse_address(v4 ? "10.2.0.9" : "2001:db8:2::9");
  const auto here = *net::parse_address(v4 ? "10.1.0.9" : "2001:db8:1::9");
  const auto& source = from_peer ? there : here;
  const auto& destination = from_peer ? here : there;
  const std::size_t header_bytes = v4 ? net::ipv4_header_bytes : net::ipv6_header_bytes;
  Bytes packet(header_bytes + net::udp_header_bytes + payload_bytes);
  const auto address_bytes = static_cast<std::size_t>(source.bits()) / 8;
  if (v4) {
    packet[0] = 0x45;
    net::store_be16(packet, net::ipv4::total_length, static_cast<std::uint16_t>(packet.size()));
    packet[net::ipv4::ttl] = 64;
    packet[net::ipv4::protocol] = net::protocol_udp;
    std::memcpy(&packet[net::ipv4::source], source.bytes.data(), address_bytes);
    std::memcpy(&packet[net::ipv4::destination], destination.bytes.data(), address_bytes);
    net::store_be16(packet, net::ipv4::checksum, net::header_checksum(std::span(packet).first(20)));
  } else {
    packet[0] = 0x60;
    net::store_be16(packet, net::ipv6::payload_length,
                    static_cast<std::uint16_t>(packet.size() - header_bytes));
    packet[net::ipv6::next_header] = net::protocol_udp;
    packet[net::ipv6::hop_limit] = 64;
    std::memcpy(&packet[net::ipv6::source], source.bytes.data(), address_bytes);
    std::memcpy(&packet[net::ipv6::destination], destination.bytes.data(), address_bytes);
  }
  net::store_be16(packet, header_bytes, 1234);
  net::store_be16(packet, header_bytes + 2, 9);
  net::store_be16(packet, header_bytes + 4,
                  static_cast<std::uint16_t>(net::udp_header_bytes + payload_bytes));
  return packet;
}

Bytes Rig::frame_to(std::uint8_t port, std::span<const std::uint8_t> ip_packet) const {
  Bytes frame(net::ethernet_bytes + ip_packet.size());
  std::memcpy(frame.data(), ports_[port]->mac.data(), 6);
  const std::uint8_t station[6] = {2, 0, 0, 0, port, 2};
  std::memcpy(&frame[6], station, 6);
  const bool v4 = ip_packet.empty() || ip_packet[0] >> 4 == 4;
  net::store_be16(frame, 12, v4 ? net::ethertype_ipv4 : net::ethertype_ipv6);
  std::copy(ip_packet.begin(), ip_packet.end(), frame.begin() + net::ethernet_bytes);
  return frame;
}

namespace {

// The outer headers of `parameters`, from the peer's side or from ours.
Bytes outer_headers(const sa::SaParameters& sa, std::size_t esp_bytes) {
  const bool udp = sa.encapsulation == sa::Encapsulation::udp;
  const std::size_t payload_bytes = esp_bytes + (udp ? net::udp_header_bytes : 0);
  Bytes headers;
  if (sa.local.family == net::Family::v4) {
    headers.resize(net::ipv4_header_bytes);
    headers[0] = 0x45;
    net::store_be16(headers, net::ipv4::total_length, static_cast<std::uint16_t>(20 + payload_bytes));
    headers[net::ipv4::ttl] = 64;
    headers[net::ipv4::protocol] = udp ? net::protocol_udp : net::protocol_esp;
    std::memcpy(&headers[net::ipv4::source], sa.remote.bytes.data(), 4);
    std::memcpy(&headers[net::ipv4::destination], sa.local.bytes.data(), 4);
    net::store_be16(headers, net::ipv4::checksum, net::header_checksum(headers));
  } else {
    headers.resize(net::ipv6_header_bytes);
    headers[0] = 0x60;
    net::store_be16(headers, net::ipv6::payload_length, static_cast<std::uint16_t>(payload_bytes));
    headers[net::ipv6::next_header] = udp ? net::protocol_udp : net::protocol_esp;
    headers[net::ipv6::hop_limit] = 64;
    std::memcpy(&headers[net::ipv6::source], sa.remote.bytes.data(), 16);
    std::memcpy(&headers[net::ipv6::destination], sa.local.bytes.data(), 16);
  }
  if (udp) {
    Bytes header(net::udp_header_bytes);
    net::store_be16(header, 0, sa.remote_port);
    net::store_be16(header, 2, sa.local_port);
    net::store_be16(header, 4, static_cast<std::uint16_t>(payload_bytes));
    headers.insert(headers.end(), header.begin(), header.end());
  }
  return headers;
}

// Runs one operation of the reference engine over ESP bytes: header, IV, text, ICV.
bool reference_crypto(crypto::Engine& engine, const sa::SaParameters& sa, std::uint64_t sequence, Bytes& esp,
                      bool seal) {
  const auto& suite = crypto::suite(sa.suite);
  alignas(crypto::key_alignment) std::array<std::byte, 4096> prepared;
  must(engine.prepare_key(sa.suite, sa.keymat, prepared.data()));
  auto queue = must(engine.make_queue());
  crypto::Operation operation{};
  operation.key = prepared.data();
  operation.suite = sa.suite;
  const std::size_t headers_bytes = net::esp_header_bytes + suite.iv_bytes;
  operation.text = esp.data() + headers_bytes;
  operation.text_bytes = static_cast<std::uint32_t>(esp.size() - headers_bytes - suite.icv_bytes);
  std::memcpy(operation.nonce + 4 - suite.salt_bytes, sa.keymat.data() + suite.key_bytes, suite.salt_bytes);
  if (suite.iv_bytes == 8) std::memcpy(operation.nonce + 4, esp.data() + net::esp_header_bytes, 8);
  std::memcpy(operation.aad, esp.data(), 4);
  operation.aad_bytes = sa.extended_sequence ? 12 : 8;
  if (sa.extended_sequence)
    net::store_be64(operation.aad, 4, sequence);
  else
    net::store_be32(operation.aad, 4, static_cast<std::uint32_t>(sequence));
  std::span one(&operation, 1);
  seal ? queue->seal(one) : queue->open(one);
  return operation.status == crypto::Status::ok;
}

}  // namespace

Bytes Rig::sealed_frame(std::uint64_t sequence, std::span<const std::uint8_t> text) const {
  const auto sa = parameters(true);
  const auto& suite = crypto::suite(options.suite);
  const std::size_t text_offset = net::esp_header_bytes + suite.iv_bytes;
  Bytes esp(text_offset + text.size() + suite.icv_bytes);
  net::store_be32(esp, 0, sa.spi);
  net::store_be32(esp, 4, static_cast<std::uint32_t>(sequence));
  if (suite.iv_bytes != 0) net::store_be64(esp, text_offset - 8, sequence ^ 0xa5a5'0000'0000'0000);
  std::copy(text.begin(), text.end(), esp.begin() + static_cast<std::ptrdiff_t>(text_offset));
  reference_crypto(*reference_, sa, sequence, esp, true);
  auto packet = outer_headers(sa, esp.size());
  packet.insert(packet.end(), esp.begin(), esp.end());
  return frame_to(outside, packet);
}

Bytes Rig::esp_frame(std::uint64_t sequence, std::span<const std::uint8_t> inner_packet,
                     std::uint8_t next_header) const {
  Bytes text(inner_packet.begin(), inner_packet.end());
  const unsigned mask = crypto::suite(options.suite).align_bytes - 1u;
  const auto padding = static_cast<std::uint8_t>((0u - static_cast<unsigned>(text.size()) - 2) & mask);
  for (std::uint8_t i = 1; i <= padding; ++i) text.push_back(i);
  text.push_back(padding);
  text.push_back(next_header);
  return sealed_frame(sequence, text);
}

Bytes Rig::open(std::span<const std::uint8_t> frame, std::uint64_t* sequence) const {
  const auto sa = parameters(false);
  const auto headers = outer_headers(sa, 0).size() + net::ethernet_bytes;
  const auto& suite = crypto::suite(options.suite);
  const std::size_t text_offset = net::esp_header_bytes + suite.iv_bytes;
  if (frame.size() < headers + text_offset + suite.icv_bytes + 2) return {};
  Bytes esp(frame.begin() + static_cast<std::ptrdiff_t>(headers), frame.end());
  const std::uint64_t number = net::load_be32(esp, 4);
  if (sequence != nullptr) *sequence = number;
  if (net::load_be32(esp, 0) != sa.spi || !reference_crypto(*reference_, sa, number, esp, false)) return {};
  const std::size_t text_end = esp.size() - suite.icv_bytes;
  const std::size_t padding = esp[text_end - 2];
  return Bytes(esp.begin() + static_cast<std::ptrdiff_t>(text_offset),
               esp.begin() + static_cast<std::ptrdiff_t>(text_end - 2 - padding));
}

}  // namespace espgate::test
