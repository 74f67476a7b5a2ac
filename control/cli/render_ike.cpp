#include <fmt/format.h>

#include "control/cli/render_parts.hpp"
#include "control/cli/text_table.hpp"

namespace espgate::cli {
namespace {

using nlohmann::json;

std::string spis_of(const json& sa, std::string_view key) {
  std::string text;
  for (const auto& child : array_at(sa, "children"))
    text += fmt::format("{}{}", text.empty() ? "" : ", ", text_at(child, key));
  return text.empty() ? "-" : text;
}

}  // namespace

std::string render_ike(const json& result, bool color) {
  TextTable table(
      {{"Connection"}, {"State"}, {"Role"}, {"Local"}, {"Remote"}, {"Peer"}, {"SPI in"}, {"SPI out"}});
  std::string rest;
  for (const auto& sa : array_at(result, "ike_sas")) {
    const auto state = text_at(sa, "state");
    table.add({text_at(sa, "connection"),
               {state, state == "up" ? Mark::plain : Mark::alarm},
               text_at(sa, "role"),
               endpoint_at(sa, "local", "local_port"),
               endpoint_at(sa, "remote", "remote_port"),
               text_at(sa, "peer_id"),
               spis_of(sa, "inbound_spi"),
               spis_of(sa, "outbound_spi")});
    if (const auto reason = text_at(sa, "reason"); reason != "-" && state != "up")
      rest += fmt::format("\n{} is {}: {}\n", text_at(sa, "connection"), state, reason);
  }
  return table.empty() ? "no connection negotiates its keys\n" : table.text(color) + rest;
}

}  // namespace espgate::cli
