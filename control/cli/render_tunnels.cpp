#include <fmt/format.h>

#include "control/cli/render_parts.hpp"
#include "control/cli/text_table.hpp"

namespace espgate::cli {
namespace {

using nlohmann::json;

bool is_multipoint(const json& tunnel) {
  return text_at(tunnel, "kind") == "gre-multipoint";
}

std::string connection(const json& tunnel) {
  const auto& peers = array_at(tunnel, "peers");
  if (is_multipoint(tunnel)) return fmt::format("{} peer{}", peers.size(), peers.size() == 1 ? "" : "s");
  return peers.empty() ? "-" : text_at(peers.front(), "connection");
}

std::string peers_of(const json& tunnel, bool color) {
  TextTable table({{"Peer"},
                   {"Next hops"},
                   {"State"},
                   {"Rx packets", Align::right},
                   {"Tx packets", Align::right},
                   {"Drops", Align::right}});
  for (const auto& peer : array_at(tunnel, "peers")) {
    const auto state = text_at(peer, "state");
    table.add({text_at(peer, "connection"),
               text_at(peer, "next_hops"),
               {state, state == "up" ? Mark::plain : Mark::alarm},
               text_at(peer, "rx.packets"),
               text_at(peer, "tx.packets"),
               text_at(peer, "drops")});
  }
  return table.text(color);
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
               connection(tunnel),
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
    if (is_multipoint(tunnel)) rest += fmt::format("\n{}", peers_of(tunnel, color));
  }
  return table.empty() ? "no tunnels\n" : table.text(color) + rest;
}

}  // namespace espgate::cli
