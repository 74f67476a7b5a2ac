#include "control/cli/pcap.hpp"

namespace espgate::cli {
namespace {

constexpr std::uint32_t magic_ns = 0xa1b23c4d;
constexpr std::uint32_t link_type_ethernet = 1;
constexpr std::uint32_t snap_bytes = 262'144;
constexpr std::uint64_t ns_a_second = 1'000'000'000;

void put(std::string& out, std::uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

}  // namespace

std::string pcap_header() {
  std::string out;
  put(out, magic_ns, 4);
  put(out, 2, 2);  // version 2.4
  put(out, 4, 2);
  put(out, 0, 4);  // times are UTC
  put(out, 0, 4);
  put(out, snap_bytes, 4);
  put(out, link_type_ethernet, 4);
  return out;
}

std::string pcap_record(std::uint64_t time_ns, std::uint32_t length_bytes,
                        std::span<const std::uint8_t> data) {
  std::string out;
  put(out, static_cast<std::uint32_t>(time_ns / ns_a_second), 4);
  put(out, static_cast<std::uint32_t>(time_ns % ns_a_second), 4);
  put(out, static_cast<std::uint32_t>(data.size()), 4);
  put(out, length_bytes, 4);
  out.append(data.begin(), data.end());
  return out;
}

}  // namespace espgate::cli
