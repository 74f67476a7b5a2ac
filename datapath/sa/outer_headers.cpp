#include "datapath/sa/outer_headers.hpp"

#include <algorithm>

namespace espgate::sa {
namespace {

constexpr std::uint8_t protocol_udp = 17;
constexpr std::uint8_t protocol_esp = 50;

class Writer {
 public:
  explicit Writer(std::span<std::uint8_t> out) : out_(out) {}

  void u8(std::uint8_t value) { out_[at_++] = value; }
  void u16(std::uint16_t value) {
    u8(static_cast<std::uint8_t>(value >> 8));
    u8(static_cast<std::uint8_t>(value));
  }
  void u32(std::uint32_t value) {
    u16(static_cast<std::uint16_t>(value >> 16));
    u16(static_cast<std::uint16_t>(value));
  }
  void address(const net::Address& address) {
    const auto bytes = std::span(address.bytes).first(static_cast<std::size_t>(address.bits()) / 8);
    std::ranges::copy(bytes, out_.subspan(at_).begin());
    at_ += bytes.size();
  }
  std::size_t written() const { return at_; }

 private:
  std::span<std::uint8_t> out_;
  std::size_t at_ = 0;
};

void ipv4(Writer& out, const SaParameters& parameters, std::uint8_t protocol) {
  constexpr std::uint16_t dont_fragment = 0x4000;
  out.u8(0x45);
  out.u8(static_cast<std::uint8_t>(parameters.outer.dscp.value_or(0) << 2));
  out.u16(0);  // total length
  out.u16(0);
  out.u16(parameters.outer.df == DfPolicy::set ? dont_fragment : 0);
  out.u8(parameters.outer.hop_limit);
  out.u8(protocol);
  out.u16(0);  // header checksum
  out.address(parameters.local);
  out.address(parameters.remote);
}

void ipv6(Writer& out, const SaParameters& parameters, std::uint8_t protocol) {
  out.u32(0x6000'0000 | std::uint32_t{parameters.outer.dscp.value_or(0)} << 22);
  out.u16(0);  // payload length
  out.u8(protocol);
  out.u8(parameters.outer.hop_limit);
  out.address(parameters.local);
  out.address(parameters.remote);
}

}  // namespace

std::uint8_t copied_traffic_class(const OuterFields& outer) {
  constexpr std::uint8_t dscp_bits = 0xfc, ecn_bits = 0x03;
  return static_cast<std::uint8_t>((outer.dscp ? 0 : dscp_bits) | (outer.ecn ? ecn_bits : 0));
}

std::uint8_t write_outer_headers(const SaParameters& parameters, std::span<std::uint8_t, 64> out) {
  std::ranges::fill(out, std::uint8_t{0});
  Writer writer(out);
  const bool udp = parameters.encapsulation == Encapsulation::udp;
  const std::uint8_t protocol = udp ? protocol_udp : protocol_esp;
  if (parameters.local.family == net::Family::v4)
    ipv4(writer, parameters, protocol);
  else
    ipv6(writer, parameters, protocol);
  if (udp) {
    writer.u16(parameters.local_port);
    writer.u16(parameters.remote_port);
    writer.u32(0);  // length and checksum
  }
  writer.u32(parameters.spi);
  writer.u32(0);  // sequence number
  return static_cast<std::uint8_t>(writer.written());
}

}  // namespace espgate::sa
