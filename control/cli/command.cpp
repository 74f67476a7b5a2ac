#include "control/cli/command.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "control/cli/command_rows.hpp"

namespace espgate::cli {
namespace {

std::string shown(const Parameter& option) {
  if (option.kind == ValueKind::flag) return fmt::format("--{}", option.name);
  return fmt::format("--{} {}", option.name, option.value_name);
}

std::string shown_exclusive(const Command& command) {
  std::string text;
  for (const auto& option : command.options) {
    if (option.exclusive) text += fmt::format("{}{}", text.empty() ? "" : " | ", shown(option));
  }
  if (text.empty()) return text;
  return fmt::format(fmt::runtime(command.needs_exclusive ? " ({})" : " [{}]"), text);
}

}  // namespace

std::span<const Command> commands() {
  static const std::vector<Command> rows = [] {
    std::vector<Command> all;
    for (const auto part : {show_rows(), forwarding_rows(), ike_rows(), action_rows(), client_rows()})
      all.insert(all.end(), part.begin(), part.end());
    std::ranges::sort(all, {}, &Command::id);
    return all;
  }();
  return rows;
}

const Command& command(CommandId id) {
  return commands()[static_cast<std::size_t>(id)];
}

const Command* find_command(std::string_view path) {
  const auto found = std::ranges::find(commands(), path, &Command::path);
  return found == commands().end() ? nullptr : &*found;
}

std::vector<std::string_view> path_words(const Command& command) {
  std::vector<std::string_view> words;
  for (std::string_view rest = command.path; !rest.empty();) {
    const auto space = std::min(rest.find(' '), rest.size());
    words.push_back(rest.substr(0, space));
    rest.remove_prefix(std::min(space + 1, rest.size()));
  }
  return words;
}

const Parameter* find_parameter(const Command& command, std::string_view name) {
  for (const auto part : {command.arguments, command.options}) {
    const auto found = std::ranges::find(part, name, &Parameter::name);
    if (found != part.end()) return &*found;
  }
  return nullptr;
}

std::string usage(const Command& command) {
  std::string text{command.path};
  for (const auto& argument : command.arguments) {
    text += fmt::format(fmt::runtime(argument.required ? " {}" : " [{}]"), argument.value_name);
  }
  text += shown_exclusive(command);
  for (const auto& option : command.options) {
    if (!option.exclusive) text += fmt::format(" [{}]", shown(option));
  }
  return text;
}

}  // namespace espgate::cli
