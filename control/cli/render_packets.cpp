#include <fmt/format.h>

#include "control/cli/render_parts.hpp"
#include "control/cli/text_table.hpp"
#include "control/cli/values.hpp"

namespace espgate::cli {
namespace {

using nlohmann::json;

// Enough to show Ethernet and IPv4 headers; whoever wants more writes a pcap file.
constexpr std::size_t shown_bytes = 34;

std::string hex(const json& item) {
  const auto bytes = from_base64(text_at(item, "data"));
  if (!bytes) return "?";
  std::string text;
  for (std::size_t i = 0; i < bytes->size() && i < shown_bytes; ++i)
    text += fmt::format("{:02x}", (*bytes)[i]);
  return bytes->size() > shown_bytes ? text + "…" : text;
}

}  // namespace

std::string render_traced_packet(const json& item, bool color) {
  const std::string verdict = text_at(item, "verdict");
  std::string text = fmt::format("Packet {}  {} UTC  port {}  worker {}  {} bytes\n", text_at(item, "number"),
                                 time_at(item, "time"), text_at(item, "port"), text_at(item, "worker"),
                                 text_at(item, "length_bytes"));
  for (const auto& stage : array_at(item, "stages")) {
    text += fmt::format("  {:<10} {:>7}  {}\n", text_at(stage, "stage"), text_at(stage, "cycles"),
                        text_at(stage, "text"));
  }
  return text +
         fmt::format("  verdict             {}\n", verdict == "FORWARDED" ? verdict : alarm(verdict, color));
}

std::string render_frame(const json& item, bool color) {
  const std::uint64_t ns = count_at(item, "time_ns");
  const auto time = std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds(ns)));
  const std::string verdict = text_at(item, "verdict");
  return fmt::format("{} {} {} {} bytes {}{}\n", time_text(time, 9).substr(11, 18), text_at(item, "port"),
                     text_at(item, "direction"), text_at(item, "length_bytes"),
                     verdict == "-" ? "" : alarm(verdict, color) + " ", hex(item));
}

}  // namespace espgate::cli
