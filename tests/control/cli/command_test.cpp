#include "control/cli/command.hpp"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "control/cli/help.hpp"
#include "control/cli/parse.hpp"
#include "control/cli/server.hpp"
#include "control/cli/shape.hpp"
#include "tests/control/cli/canned.hpp"

using namespace espgate;
using namespace espgate::cli;

namespace {

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> words;
  for (std::size_t start = 0; start < text.size();) {
    const auto end = std::min(text.find(' ', start), text.size());
    words.emplace_back(text.substr(start, end - start));
    start = end + 1;
  }
  return words;
}

}  // namespace

TEST_CASE("every CommandId has one row, in order, with a path of its own") {
  REQUIRE(commands().size() == command_count);
  std::set<std::string_view> paths;
  for (std::size_t i = 0; i < command_count; ++i) {
    const auto& row = commands()[i];
    CAPTURE(row.path);
    CHECK(static_cast<std::size_t>(row.id) == i);
    CHECK(paths.insert(row.path).second);
    CHECK(find_command(row.path) == &row);
    CHECK_FALSE(row.summary.empty());
    CHECK_FALSE(row.summary.ends_with('.'));
    CHECK_FALSE(row.help.empty());
  }
}

TEST_CASE("the example of every command parses and is of that command") {
  for (const auto& row : commands()) {
    CAPTURE(row.example);
    const auto invocation = parse(split(row.example));
    REQUIRE(invocation);
    CHECK(invocation->command == &row);
  }
}

TEST_CASE("every result in the table is a document of its own shape, streams with their items") {
  for (const auto& row : commands()) {
    CAPTURE(row.path);
    const auto result = nlohmann::json::parse(row.result, nullptr, false);
    REQUIRE(result.is_object());
    CHECK((row.where == Where::stream) == !row.items.empty());
    if (row.where == Where::stream) CHECK(result[std::string(row.items)].size() == 1);
    CHECK(shape_difference(row, result).empty());
  }
}

TEST_CASE("the canned answers have the documented shapes") {
  for (const auto& row : commands()) CHECK(shape_difference(row, test::canned(row.id)) == "");
}

TEST_CASE("parameters say what they are, and numbers have a range") {
  for (const auto& row : commands()) {
    for (const auto part : {row.arguments, row.options}) {
      for (const auto& parameter : part) {
        CAPTURE(row.path, parameter.name);
        CHECK_FALSE(parameter.help.empty());
        CHECK((parameter.kind == ValueKind::flag) == parameter.value_name.empty());
        CHECK((parameter.kind == ValueKind::number) == (parameter.most > 0));
        for (const auto& global : global_options) CHECK(global.name != parameter.name);
      }
    }
  }
}

TEST_CASE("the help of a command shows its usage, every parameter and the example") {
  for (const auto& row : commands()) {
    const auto text = help_text(row);
    CAPTURE(text);
    CHECK(text.starts_with(fmt::format("usage: espgatectl {}\n", usage(row))));
    CHECK(text.find(row.example) != std::string::npos);
    for (const auto& option : row.options)
      CHECK(text.find(fmt::format("--{}", option.name)) != std::string::npos);
    for (const auto& argument : row.arguments) CHECK(text.find(argument.help) != std::string::npos);
  }
}

TEST_CASE("the overview lists all commands but the hidden ones") {
  const auto text = help_text(std::vector<std::string>{});
  for (const auto& row : commands()) {
    CAPTURE(row.path);
    CHECK((text.find(fmt::format("\n  {} ", row.path)) == std::string::npos) == row.hidden);
  }
  CHECK(text.find("\n  diagnose [CONNECTION] ") != std::string::npos);
  CHECK(text.find("\n  explain CONNECTION ") != std::string::npos);
  const auto shown = help_json(std::vector<std::string>{"show"});
  CHECK(shown["commands"].size() == 19);
}

TEST_CASE("usage lines") {
  CHECK(usage(command(CommandId::show_sa)) == "show sa [--spi SPI | --connection NAME]");
  CHECK(usage(command(CommandId::capture)) ==
        "capture (--port PORT | --drop REASON) [--count N] [--write FILE]");
  CHECK(usage(command(CommandId::sa_reserve)) == "sa reserve [SPI]");
  CHECK(usage(command(CommandId::trace_add)) == "trace add N [--port PORT]");
}

TEST_CASE("a handler that is missing or of the wrong kind keeps the server from starting") {
  CHECK(test::canned_handlers().missing().empty());
  auto handlers = test::canned_handlers();
  handlers.answer(CommandId::show_ports, nullptr);
  handlers.stream(CommandId::capture, nullptr);
  handlers.answer(CommandId::capture, [](const Request&) -> Expected<nlohmann::json> { return Error{}; });
  CHECK(handlers.missing() == std::vector<std::string>{"show ports", "capture"});
  const auto server = Server::start({.path = "/nonexistent/never-used"}, std::move(handlers));
  REQUIRE_FALSE(server);
  CHECK(server.error().what == "no handler for the commands: show ports, capture");
}
