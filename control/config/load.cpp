#include "control/config/load.hpp"

#include <fmt/format.h>

#include <cctype>
#include <libconfig.h++>
#include <string_view>

#include "control/config/checks.hpp"
#include "control/config/group_reader.hpp"
#include "control/config/read.hpp"
#include "control/config/scan.hpp"
#include "control/config/words.hpp"

namespace espgate::config {
namespace {

bool opens(std::string_view token) {
  return token == "{" || token == "(" || token == "[";
}
bool closes(std::string_view token) {
  return token == "}" || token == ")" || token == "]";
}
bool separates(std::string_view token) {
  return token == ";" || token == ",";
}
bool assigns(std::string_view token) {
  return token == "=" || token == ":";
}
bool is_text(std::string_view token) {
  return token.starts_with('"');
}
bool is_word(std::string_view token) {
  return !token.empty() && !token.starts_with("the ") &&
         std::isalpha(static_cast<unsigned char>(token[0])) != 0;
}

std::string named(std::string_view token) {
  return is_text(token) || token.starts_with("the ") ? std::string(token) : shown(token);
}

std::string likely_remedy(std::string_view before, std::string_view token) {
  if (assigns(before) && is_word(token)) return "put text in double quotes; truth values are true and false";
  if (assigns(before)) return "give a value: name = value;";
  if (before == "," && closes(token)) return "remove the comma: nothing follows the last element";
  if (separates(before) && separates(token)) return "remove one of the two";
  if (assigns(token)) return "write one name before it: name = value;";
  if (closes(before) && opens(token)) return "put a comma between the elements of a list";
  if (is_word(before) && !assigns(token)) return "put = between a name and its value: name = value;";
  if (!separates(before) && !opens(before)) return "put a comma between the elements of a list";
  return "write name = value; here, or check the brackets before it";
}

// libconfig says no more than "syntax error" and a row. A second scan that gives each token a row of its
// own finds the token.
void report_syntax(const std::string& file, Places& places, Report& report) {
  Places exact_places{{file}};
  Report ignored(exact_places);
  const auto exact = scan(file, exact_places, ignored, true);
  unsigned row = 0;
  libconfig::Config config;
  try {
    config.readString(exact.canonical);
  } catch (const libconfig::ParseException& failure) {
    row = static_cast<unsigned>(failure.getLine());
  }
  if (row >= exact.tokens.size()) row = 0;
  const auto& place = exact_places.of(row);
  const std::string_view token = row > 0 ? exact.tokens[row] : std::string_view("the file");
  const std::string_view before = row > 1 ? std::string_view(exact.tokens[row - 1]) : "";
  auto message = before.empty() ? fmt::format("{} cannot stand at the beginning", named(token))
                                : fmt::format("{} cannot follow {}", named(token), named(before));
  report.error(places.add(place.file, place.line), "", std::move(message), likely_remedy(before, token));
}

void read_tree(const libconfig::Setting& root, const ScannedText& scanned, Configuration& configuration,
               Report& report) {
  const GroupReader top(root, top_level(), Path(), scanned, report);
  Checks checks;
  read_settings(top, configuration, checks);
  read_ports(top, configuration, checks);
  read_routes(top, configuration, checks);
  read_policies(top, configuration, checks);
  read_tunnels(top, configuration, checks);
  read_connections(top, configuration, checks);
  check_tunnels(report, configuration, checks);
  read_thresholds(top, configuration);
  check_whole(top, configuration, checks);
  check_mtus(top, configuration, checks);
}

}  // namespace

LoadResult load(const std::string& file, const std::stop_token& stop) {
  Places places{{file}};
  Report report(places);
  LoadResult result;
  {
    const auto scanned = scan(file, places, report);
    if (scanned.well_formed && !stop.stop_requested()) {
      libconfig::Config config;
      Configuration configuration;
      bool parsed = true;
      try {
        config.readString(scanned.canonical);
      } catch (const libconfig::ParseException&) {
        parsed = false;
        report_syntax(file, places, report);
      }
      if (parsed && !stop.stop_requested()) {
        read_tree(config.getRoot(), scanned, configuration, report);
        configuration.file = file;
        configuration.files = places.files;
        (report.has_errors() ? result.partial : result.configuration) = std::move(configuration);
      }
    }
  }
  result.errors = report.take_errors();
  result.warnings = report.take_warnings();
  return result;
}

}  // namespace espgate::config
