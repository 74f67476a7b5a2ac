// Takes fields off the front of received bytes. A take that goes beyond the end gives zeros and marks the
// reader, which is asked once at the end of a structure.
#pragma once

#include <cstdint>
#include <span>

#include "datapath/net/bytes.hpp"

namespace espgate::ike {

class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

  bool failed() const { return failed_; }
  bool at_end() const { return rest_.empty(); }
  std::size_t left() const { return rest_.size(); }

  std::uint8_t take_u8() {
    const auto bytes = take(1);
    return bytes.empty() ? std::uint8_t{0} : bytes[0];
  }
  std::uint16_t take_u16() {
    const auto bytes = take(2);
    return bytes.empty() ? std::uint16_t{0} : net::load_be16(bytes, 0);
  }
  std::uint32_t take_u32() {
    const auto bytes = take(4);
    return bytes.empty() ? 0 : net::load_be32(bytes, 0);
  }
  std::uint64_t take_u64() {
    const auto bytes = take(8);
    return bytes.empty() ? 0 : net::load_be64(bytes, 0);
  }
  std::span<const std::uint8_t> take(std::size_t count) {
    if (count > rest_.size()) {
      failed_ = true;
      rest_ = {};
      return {};
    }
    const auto taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  std::span<const std::uint8_t> take_rest() { return take(rest_.size()); }

 private:
  std::span<const std::uint8_t> rest_;
  bool failed_ = false;
};

}  // namespace espgate::ike
