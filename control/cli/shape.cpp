#include "control/cli/shape.hpp"

namespace espgate::cli {
namespace {

using nlohmann::json;

std::string difference(const json& expected, const json& actual, const std::string& at);

std::string object_difference(const json& expected, const json& actual, const std::string& at) {
  for (const auto& [key, value] : expected.items()) {
    const std::string place = at + "." + key;
    if (!actual.contains(key)) return place + ": missing";
    if (auto text = difference(value, actual[key], place); !text.empty()) return text;
  }
  for (const auto& [key, value] : actual.items()) {
    if (!expected.contains(key)) return at + "." + key + ": not in the command table";
  }
  return {};
}

std::string difference(const json& expected, const json& actual, const std::string& at) {
  if (actual.is_null()) return {};
  const bool numbers = expected.is_number() && actual.is_number();
  if (numbers && expected.is_number_integer() && actual.is_number_float()) {
    return at + ": a fraction instead of an integer";
  }
  if (expected.type() != actual.type() && !numbers) {
    return at + ": " + actual.type_name() + " instead of " + expected.type_name();
  }
  if (expected.is_object()) return object_difference(expected, actual, at);
  if (!expected.is_array() || expected.empty()) return {};
  for (std::size_t i = 0; i < actual.size(); ++i) {
    auto text = difference(expected[0], actual[i], at + "[" + std::to_string(i) + "]");
    if (!text.empty()) return text;
  }
  return {};
}

}  // namespace

std::string shape_difference(const Command& command, const json& result) {
  if (!result.is_object()) return "result: not an object";
  return difference(json::parse(command.result), result, std::string(command.path));
}

}  // namespace espgate::cli
