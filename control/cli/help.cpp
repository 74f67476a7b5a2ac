#include "control/cli/help.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "control/cli/parse.hpp"

namespace espgate::cli {
namespace {

using nlohmann::json;

struct Line {
  std::string left;
  std::string right;
};

std::string shown(const Parameter& option) {
  if (option.kind == ValueKind::flag) return fmt::format("--{}", option.name);
  return fmt::format("--{} {}", option.name, option.value_name);
}

std::vector<Line> option_lines(std::span<const Parameter> options) {
  std::vector<Line> lines;
  for (const auto& option : options) lines.push_back({shown(option), std::string(option.help)});
  return lines;
}

std::string two_columns(std::string_view title, const std::vector<Line>& lines) {
  if (lines.empty()) return {};
  std::size_t width = 0;
  for (const auto& line : lines) width = std::max(width, line.left.size());
  std::string text = fmt::format("\n{}:\n", title);
  for (const auto& line : lines) text += fmt::format("  {:<{}}  {}\n", line.left, width, line.right);
  return text;
}

// The path and the positional arguments: an overview is no place for options.
std::string words_of(const Command& command) {
  std::string text{command.path};
  for (const auto& argument : command.arguments)
    text += argument.required ? fmt::format(" {}", argument.value_name)
                              : fmt::format(" [{}]", argument.value_name);
  return text;
}

json parameters_json(std::span<const Parameter> parameters, std::string_view prefix) {
  json all = json::array();
  for (const auto& parameter : parameters) {
    json one = {{"name", std::string(prefix) + std::string(parameter.name)}, {"help", parameter.help}};
    one["value"] = parameter.kind == ValueKind::flag ? json() : json(parameter.value_name);
    one["required"] = parameter.required;
    all.push_back(std::move(one));
  }
  return all;
}

}  // namespace

std::string help_text(std::span<const std::string> path) {
  std::vector<Line> lines;
  for (const auto* entry : commands_under(path))
    lines.push_back({words_of(*entry), std::string(entry->summary)});
  std::string text = "usage: espgatectl [--socket PATH] [--json] COMMAND...\n";
  text += two_columns("Commands (words may be abbreviated: `sh dr ip`)", lines);
  if (path.empty()) text += two_columns("Options", option_lines(global_options));
  text += "\n`espgatectl COMMAND --help` explains a command. Exit status: 0 done, 1 failed, 2 wrong usage.\n";
  return text;
}

std::string help_text(const Command& command) {
  std::vector<Line> arguments;
  for (const auto& argument : command.arguments) {
    arguments.push_back({std::string(argument.value_name), std::string(argument.help)});
  }
  std::string text =
      fmt::format("usage: espgatectl {}\n\n{}.\n\n{}\n", usage(command), command.summary, command.help);
  text += two_columns("Arguments", arguments);
  text += two_columns("Options", option_lines(command.options));
  text += fmt::format("\nExample:\n  espgatectl {}\n", command.example);
  const auto words = path_words(command);
  const std::vector<std::string> prefix(words.begin(), words.end());
  std::vector<Line> longer;
  for (const auto* entry : commands_under(prefix)) {
    if (entry != &command) longer.push_back({usage(*entry), std::string(entry->summary)});
  }
  return text + two_columns("See also", longer);
}

json help_json(std::span<const std::string> path) {
  json all = json::array();
  for (const auto* entry : commands_under(path)) {
    all.push_back({{"command", entry->path},
                   {"usage", usage(*entry)},
                   {"summary", entry->summary},
                   {"help", entry->help},
                   {"arguments", parameters_json(entry->arguments, "")},
                   {"options", parameters_json(entry->options, "--")},
                   {"example", entry->example},
                   {"result", json::parse(entry->result)}});
  }
  return {{"commands", std::move(all)}};
}

}  // namespace espgate::cli
