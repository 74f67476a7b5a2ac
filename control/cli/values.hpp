// How values are written on the command line and in JSON.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace espgate::cli {

// 4097 -> "0x00001001"
std::string spi_text(std::uint32_t spi);
// "0x1001" or "4097"; nothing for anything else, 0 and what exceeds 32 bits included.
std::optional<std::uint32_t> parse_spi(std::string_view text);
// Decimal digits only; nothing for anything else.
std::optional<std::uint64_t> parse_number(std::string_view text);
// RFC 3339 in UTC: "2025-03-01T12:00:00Z", with `fraction_digits` (0, 3, 6 or 9) after the seconds.
std::string time_text(std::chrono::system_clock::time_point time, int fraction_digits = 0);

// RFC 4648 section 4.
std::string base64(std::span<const std::uint8_t> bytes);
// Nothing when the text is not base64 with its padding.
std::optional<std::vector<std::uint8_t>> from_base64(std::string_view text);

}  // namespace espgate::cli
