#include <fmt/format.h>

#include "control/cli/render_parts.hpp"
#include "control/cli/text_table.hpp"
#include "datapath/base/counted.hpp"

namespace espgate::cli {
namespace {

using nlohmann::json;

// "10.1.0.0/24", with ports "10.1.0.0/24 port 443".
std::string side(const json& policy, std::string_view addresses, std::string_view ports) {
  auto text = text_at(policy, addresses);
  if (const auto range = text_at(policy, ports); range != "-") text += fmt::format(" port {}", range);
  return text;
}

std::string protocol(const json& policy) {
  const auto name = text_at(policy, "protocol");
  const auto type = text_at(policy, "icmp_type");
  if (name == "-") return "any";
  return type == "-" ? name : fmt::format("{} {}", name, type);
}

std::string policy_table(const json& policies, bool color) {
  TextTable table({{"Priority", Align::right},
                   {"From"},
                   {"To"},
                   {"Protocol"},
                   {"Action"},
                   {"Connection"},
                   {"SPI"},
                   {"Packets", Align::right},
                   {"Comment"}});
  for (const auto& policy : policies) {
    table.add({text_at(policy, "priority"), side(policy, "from", "from_ports"),
               side(policy, "to", "to_ports"), protocol(policy), text_at(policy, "action"),
               text_at(policy, "connection"), text_at(policy, "spi"), text_at(policy, "packets"),
               text_at(policy, "comment")});
  }
  return table.empty() ? std::string() : table.text(color);
}

}  // namespace

std::string render_policies(const json& result, bool color) {
  const auto table = policy_table(array_at(result, "policies"), color);
  if (table.empty()) return "no policies\n";
  return fmt::format("{}\n{}\n", table, counted(count_at(result, "total"), "policy"));
}

std::string render_policy_changes(const Command& command, const json& result, bool color) {
  const bool added = command.id == CommandId::policy_add;
  return fmt::format("{}\n{} in {} us; a reload goes by the configuration file\n",
                     policy_table(array_at(result, "policies"), color), added ? "added" : "deleted",
                     text_at(result, "took_us"));
}

std::string render_policy_match(const json& result, bool color) {
  auto text = fmt::format("{}\n", text_at(result, "explanation"));
  const auto found = result.find("policy");
  if (found != result.end() && found->is_object())
    text += fmt::format("\n{}", policy_table(json::array({*found}), color));
  return text;
}

}  // namespace espgate::cli
