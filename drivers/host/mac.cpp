#include "drivers/host/mac.hpp"

namespace espgate::host {

std::string to_string(const Mac& mac) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned byte : mac) {
    if (!text.empty()) text += ':';
    text += digits[byte >> 4];
    text += digits[byte & 0xf];
  }
  return text;
}

}  // namespace espgate::host
