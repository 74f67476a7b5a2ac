#include "control/cli/arguments.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "control/cli/suggest.hpp"
#include "control/cli/values.hpp"
#include "datapath/net/traffic_selector.hpp"
#include "datapath/verdict/verdict.hpp"

namespace espgate::cli {
namespace {

using nlohmann::json;

constexpr std::size_t text_limit = 4096;

Error usage_error(const Command& command, std::string what) {
  return {std::move(what), "usage: espgatectl " + usage(command)};
}

// As it is typed: "--spi" or "SPI".
std::string called(const Command& command, const Parameter& parameter) {
  for (const auto& option : command.options) {
    if (option.name == parameter.name) return fmt::format("--{}", parameter.name);
  }
  return std::string(parameter.value_name);
}

std::vector<std::string_view> drop_names() {
  std::vector<std::string_view> names;
  for (const auto& row : verdict_rows()) {
    if (row.outcome == Outcome::drop) names.push_back(row.name);
  }
  return names;
}

Expected<json> check_number(const Command& command, const Parameter& parameter, const json& value) {
  std::optional<std::uint64_t> number;
  if (value.is_number_unsigned()) number = value.get<std::uint64_t>();
  if (value.is_string()) number = parse_number(value.get_ref<const std::string&>());
  if (number && *number >= parameter.least && *number <= parameter.most) return json(*number);
  return usage_error(command,
                     fmt::format("{} takes a number from {} to {}, not {}", called(command, parameter),
                                 parameter.least, parameter.most, value.dump()));
}

Expected<json> check_spi(const Command& command, const Parameter& parameter, const json& value) {
  std::optional<std::uint32_t> spi;
  if (value.is_string()) spi = parse_spi(value.get_ref<const std::string&>());
  if (value.is_number_unsigned()) spi = parse_spi(value.dump());
  if (spi) return json(*spi);
  return usage_error(command, fmt::format("{} takes an SPI such as 0x1001 or 4097, not {}",
                                          called(command, parameter), value.dump()));
}

Expected<json> check_drop(const Command& command, const Parameter& parameter, const json& value) {
  const std::string text = value.is_number_unsigned() ? value.dump()
                           : value.is_string()        ? value.get<std::string>()
                                                      : "";
  if (const auto* row = find_drop(text)) return json(std::string(row->name));
  const auto near = suggest(text, drop_names());
  return Error{
      fmt::format("{} takes a drop reason's number or name, not {}", called(command, parameter),
                  value.dump()),
      near.empty() ? "`espgatectl show drops ipsec --all` lists them" : "did you mean " + near + "?"};
}

Expected<json> check_text(const Command& command, const Parameter& parameter, const json& value) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (!text.empty() && text.size() <= text_limit && text.find('\0') == std::string::npos) return value;
  }
  const bool is_empty = value.is_string() && value.get_ref<const std::string&>().empty();
  return usage_error(command, fmt::format("{} {}", called(command, parameter),
                                          is_empty ? "is empty" : "takes a text of up to 4096 bytes"));
}

Expected<json> check_address(const Command& command, const Parameter& parameter, const json& value) {
  if (value.is_string() && net::parse_address(value.get_ref<const std::string&>())) return value;
  return usage_error(command, fmt::format("{} takes an address such as 10.1.0.7 or 2001:db8::7, not {}",
                                          called(command, parameter), value.dump()));
}

Expected<json> check_protocol(const Command& command, const Parameter& parameter, const json& value) {
  const std::string text = value.is_number_unsigned() ? value.dump()
                           : value.is_string()        ? value.get<std::string>()
                                                      : "";
  if (const auto protocol = net::parse_protocol(text)) return json(net::protocol_name(*protocol));
  return usage_error(command, fmt::format("{} takes a protocol such as tcp, icmp or 47, not {}",
                                          called(command, parameter), value.dump()));
}

Expected<json> check_choice(const Command& command, const Parameter& parameter, const json& value) {
  if (value.is_string())
    for (const auto choice : parameter.choices)
      if (value.get_ref<const std::string&>() == choice) return value;
  return usage_error(command,
                     fmt::format("{} is not {}", value.dump(), fmt::join(parameter.choices, " or ")));
}

Expected<json> check_value(const Command& command, const Parameter& parameter, const json& value) {
  switch (parameter.kind) {
    case ValueKind::flag:
      if (value.is_boolean()) return value;
      return usage_error(command, called(command, parameter) + " takes no value");
    case ValueKind::number:
      return check_number(command, parameter, value);
    case ValueKind::spi:
    case ValueKind::stray_spi:
    case ValueKind::any_spi:
      return check_spi(command, parameter, value);
    case ValueKind::drop:
      return check_drop(command, parameter, value);
    case ValueKind::address:
      return check_address(command, parameter, value);
    case ValueKind::protocol:
      return check_protocol(command, parameter, value);
    case ValueKind::choice:
      return check_choice(command, parameter, value);
    case ValueKind::port:
    case ValueKind::connection:
    case ValueKind::file:
    case ValueKind::text:
      return check_text(command, parameter, value);
    case ValueKind::words:
      return value;
  }
  return usage_error(command, "unknown kind of value");
}

// Of a parameter that may be given many times: each, at most as many as there is any use for.
Expected<json> check_values(const Command& command, const Parameter& parameter, const json& values) {
  constexpr std::size_t most = 64;
  if (!values.is_array() || values.size() > most)
    return usage_error(command, fmt::format("{} takes up to {} values", called(command, parameter), most));
  json checked = json::array();
  for (const auto& value : values) {
    auto canonical = check_value(command, parameter, value);
    if (!canonical) return canonical.error();
    checked.push_back(std::move(*canonical));
  }
  return checked;
}

// Which may, may not and must be given together.
Expected<void> check_presence(const Command& command, const json& arguments) {
  for (const auto& argument : command.arguments) {
    if (argument.required && !arguments.contains(argument.name)) {
      return usage_error(command, fmt::format("`{}` needs {}", command.path, argument.value_name));
    }
  }
  std::string exclusive;
  std::string first;
  for (const auto& option : command.options) {
    if (!option.exclusive) continue;
    exclusive += (exclusive.empty() ? "--" : " or --") + std::string(option.name);
    if (!arguments.contains(option.name)) continue;
    if (!first.empty())
      return usage_error(command, fmt::format("--{} and --{} exclude each other", first, option.name));
    first = option.name;
  }
  if (command.needs_exclusive && first.empty()) {
    return usage_error(command, fmt::format("`{}` needs {}", command.path, exclusive));
  }
  return {};
}

}  // namespace

Expected<json> check_arguments(const Command& command, const json& raw) {
  if (!raw.is_object()) return usage_error(command, "arguments must be a JSON object");
  json checked = json::object();
  for (const auto& [name, value] : raw.items()) {
    const auto* parameter = find_parameter(command, name);
    if (parameter == nullptr) {
      return usage_error(command, fmt::format("`{}` knows no argument \"{}\"", command.path, name));
    }
    auto canonical =
        parameter->many ? check_values(command, *parameter, value) : check_value(command, *parameter, value);
    if (!canonical) return canonical.error();
    const bool absent = parameter->kind == ValueKind::flag && *canonical == false;
    if (!absent) checked[name] = std::move(*canonical);
  }
  if (auto complete = check_presence(command, checked); !complete) return complete.error();
  return checked;
}

json for_daemon(const Command& command, const json& arguments) {
  json sent = json::object();
  for (const auto& [name, value] : arguments.items()) {
    const auto* parameter = find_parameter(command, name);
    if (parameter != nullptr && !parameter->local) sent[name] = value;
  }
  return sent;
}

}  // namespace espgate::cli
