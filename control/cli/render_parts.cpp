#include "control/cli/render_parts.hpp"

#include <fmt/format.h>

#include "control/cli/text_table.hpp"

namespace espgate::cli {
namespace {

using nlohmann::json;

const json& at(const json& object, std::string_view path) {
  static const json missing;
  const json* place = &object;
  while (!path.empty()) {
    const auto dot = std::min(path.find('.'), path.size());
    const std::string key{path.substr(0, dot)};
    if (!place->is_object() || !place->contains(key)) return missing;
    place = &(*place)[key];
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return *place;
}

std::string harmless(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

std::string text_of(const json& value) {
  if (value.is_null()) return "-";
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_string()) return harmless(value.get<std::string>());
  if (!value.is_array()) return value.dump();
  std::string text;
  for (const auto& element : value) text += fmt::format("{}{}", text.empty() ? "" : ", ", text_of(element));
  return text.empty() ? "-" : text;
}

}  // namespace

std::string text_at(const json& object, std::string_view path) {
  return text_of(at(object, path));
}

std::uint64_t count_at(const json& object, std::string_view path) {
  const json& value = at(object, path);
  return value.is_number_integer() && value >= 0 ? value.get<std::uint64_t>() : 0;
}

const json& array_at(const json& object, std::string_view path) {
  static const json empty = json::array();
  const json& value = at(object, path);
  return value.is_array() ? value : empty;
}

std::string part_of(const json& object, std::string_view part, std::string_view whole) {
  return fmt::format("{} of {}", text_at(object, part), text_at(object, whole));
}

std::string detail_line(std::string_view key, const std::string& value) {
  return fmt::format("  {:<18}{}\n", key, value);
}

std::string time_at(const json& object, std::string_view path) {
  std::string text = text_at(object, path);
  if (text.size() < 20 || text[10] != 'T' || text.back() != 'Z') return text;
  text[10] = ' ';
  text.pop_back();
  return text;
}

std::string endpoint_at(const json& object, std::string_view address, std::string_view port) {
  const std::string host = text_at(object, address);
  if (at(object, port).is_null()) return host;
  const bool v6 = host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", text_at(object, port));
}

std::string short_time(const json& object, std::string_view path) {
  if (text_at(object, path) == "-") return "-";
  constexpr std::uint64_t minute = 60, hour = 60 * minute, day = 24 * hour;
  const auto s = count_at(object, path);
  if (s < 2 * minute) return fmt::format("{} s", s);
  if (s < 2 * hour) return fmt::format("{} min", s / minute);
  return s < 2 * day ? fmt::format("{} h", s / hour) : fmt::format("{} d", s / day);
}

std::string standing_of(const json& object, bool color) {
  const auto state = text_at(object, "state");
  const auto reason = text_at(object, "reason");
  const bool is_up = state == "up";
  const auto shown = is_up ? state : alarm(state, color);
  return reason == "-" ? shown : fmt::format("{}{}{}", shown, is_up ? ", but " : ": ", reason);
}

}  // namespace espgate::cli
