#include "control/ctl/client_commands.hpp"

#include <algorithm>
#include <iterator>

#include "control/cli/client.hpp"
#include "control/cli/completion.hpp"
#include "control/cli/help.hpp"
#include "control/cli/manual.hpp"

namespace espgate::ctl {
namespace {

using nlohmann::json;

// A person waits at the prompt.
constexpr auto completion_patience = std::chrono::milliseconds(500);

// Distinct values of `key` in the answer to a command; none when there is no daemon.
std::vector<std::string> ask_names(const std::string& socket, cli::CommandId id, const char* items,
                                   const char* key, const json& arguments = json::object()) {
  std::vector<std::string> names;
  const auto answer = cli::ask(socket, cli::command(id), arguments, completion_patience);
  if (!answer || !answer->contains(items) || !(*answer)[items].is_array()) return names;
  for (const auto& item : (*answer)[items]) {
    if (item.is_object() && item.contains(key) && item[key].is_string()) names.push_back(item[key]);
  }
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::vector<std::string> names_of(cli::ValueKind kind, const std::string& socket) {
  if (kind == cli::ValueKind::port) return ask_names(socket, cli::CommandId::show_ports, "ports", "name");
  if (kind == cli::ValueKind::connection)  // those that are down, too
    return ask_names(socket, cli::CommandId::show_connections, "connections", "connection");
  constexpr int most_flows = 64;  // in a flood there are thousands
  std::vector<std::string> spis;
  if (kind != cli::ValueKind::spi)
    spis = ask_names(socket, cli::CommandId::show_invalid_spi, "flows", "spi", {{"top", most_flows}});
  if (kind != cli::ValueKind::stray_spi)
    std::ranges::copy(ask_names(socket, cli::CommandId::show_sa, "sas", "spi"), std::back_inserter(spis));
  return spis;
}

json completed(const std::string& socket, const std::vector<std::string>& words) {
  const auto names = [&](cli::ValueKind kind, const std::string& typed) {
    return names_of(kind, typed.empty() ? socket : typed);
  };
  json list = json::array();
  for (const auto& candidate : cli::complete(words, names)) {
    list.push_back({{"word", candidate.word}, {"description", candidate.description}});
  }
  return {{"words", std::move(list)}};
}

json answer_here(const std::string& socket, const cli::Invocation& invocation) {
  switch (invocation.command->id) {
    case cli::CommandId::completion:
      return {{"script", cli::completion_script(invocation.arguments["shell"].get<std::string>())}};
    case cli::CommandId::complete:
      return completed(socket, invocation.arguments["words"]);
    default:
      return {{"page", cli::manual_page()}};
  }
}

}  // namespace

int run_here(const std::string& socket, const cli::Invocation& invocation, Output& output) {
  return output.result(*invocation.command, invocation.arguments, answer_here(socket, invocation));
}

int show_help(const cli::Invocation& invocation, Output& output) {
  if (output.json()) return output.document(cli::help_json(invocation.words));
  return output.text(invocation.command != nullptr ? cli::help_text(*invocation.command)
                                                   : cli::help_text(invocation.words));
}

int show_version(Output& output) {
  if (output.json()) return output.document({{"version", ESPGATE_VERSION}});
  return output.text("espgatectl " ESPGATE_VERSION "\n");
}

}  // namespace espgate::ctl
