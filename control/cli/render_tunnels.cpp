#include <fmt/format.h>

#include "control/cli/render_parts.hpp"
#include "control/cli/text_table.hpp"

namespace espgate::cli {
namespace {

using nlohmann::json;

std::string connections(const json& tunnel) {
  std::string text;
  for (const auto& peer : array_at(tunnel, "peers"))
    text += fmt::format("{}{}", text.empty() ? "" : ", ", text_at(peer, "connection"));
  return text.empty() ? "-" : text;
}

}  // namespace

std::string render_tunnels(const json& result, bool color) {
  TextTable table({{"Tunnel"},
                   {"Kind"},
                   {"Connection"},
                   {"State"},
                   {"MTU", Align::right},
                   {"Rx packets", Align::right},
                   {"Rx bytes", Align::right},
                   {"Tx packets", Align::right},
                   {"Tx bytes", Align::right},
                   {"Drops", Align::right}});
  std::string rest;
  for (const auto& tunnel : array_at(result, "tunnels")) {
    const auto state = text_at(tunnel, "state");
    table.add({text_at(tunnel, "name"),
               text_at(tunnel, "kind"),
               connections(tunnel),
               {state, state == "up" ? Mark::plain : Mark::alarm},
               text_at(tunnel, "mtu"),
               text_at(tunnel, "rx.packets"),
               text_at(tunnel, "rx.bytes"),
               text_at(tunnel, "tx.packets"),
               text_at(tunnel, "tx.bytes"),
               text_at(tunnel, "drops")});
    rest += fmt::format("\n{}\n", text_at(tunnel, "name"));
    if (const auto key = text_at(tunnel, "key"); key != "-") rest += detail_line("GRE key", key);
    rest += detail_line("addresses", text_at(tunnel, "addresses"));
    if (const auto reason = text_at(tunnel, "reason"); reason != "-")
      rest += detail_line("down because", reason);
  }
  return table.empty() ? "no tunnels\n" : table.text(color) + rest;
}

}  // namespace espgate::cli
