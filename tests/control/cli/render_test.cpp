// Renderers against golden files; UPDATE_GOLDEN=1 in the environment writes the files anew.
#include "control/cli/render.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "control/cli/text_table.hpp"
#include "tests/control/cli/canned.hpp"

using namespace espgate;
using namespace espgate::cli;
using nlohmann::json;

namespace {

std::string golden_path(std::string name) {
  std::ranges::replace(name, ' ', '-');
  return std::string(SOURCE_ROOT "/tests/control/cli/golden/") + name + ".txt";
}

void check_golden(const std::string& name, const std::string& text) {
  const auto path = golden_path(name);
  if (std::getenv("UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::stringstream expected;
  expected << std::ifstream(path).rdbuf();
  CAPTURE(path);
  CHECK(text == expected.str());
}

}  // namespace

TEST_CASE("every command's answer as text") {
  for (const auto& row : commands()) {
    if (row.where == Where::client) continue;
    check_golden(std::string(row.path), render(row, json::object(), test::canned(row.id), false));
  }
}

TEST_CASE("answers to options that change the text") {
  const auto& drops = command(CommandId::show_drops_ipsec);
  const auto& initiate = command(CommandId::initiate);
  check_golden("initiate what is up",
               render(initiate, json::object(),
                      {{"connection", "branch"}, {"command", "initiate"}, {"before", "up"}}, false));
  const auto& terminate = command(CommandId::terminate);
  check_golden("terminate what is down",
               render(terminate, json::object(),
                      {{"connection", "branch"}, {"command", "terminate"}, {"before", "down"}}, false));
  check_golden("show drops ipsec explain", render(drops, {{"explain", true}}, test::canned(drops.id), false));
  const auto& sas = command(CommandId::show_sa);
  check_golden("show sa connection", render(sas, {{"connection", "branch"}}, test::canned(sas.id), false));
}

TEST_CASE("no answer, however little is in it, makes a renderer fail") {
  for (const auto& row : commands()) {
    if (row.where == Where::client) continue;
    CAPTURE(row.path);
    for (const char* document : {"{}", R"({"sas": 7, "ports": [1, null], "workers": [{}], "routes": {}})",
                                 R"({"groups": [{}], "reasons": [[]], "flows": [null], "events": [{}],
                                     "packets": [{"stages": [{}]}], "frames": [{"data": "?"}], "control": 3})"}) {
      CHECK_NOTHROW(render(row, {{"explain", true}}, json::parse(document), true));
    }
    json nulls = json::parse(row.result);
    for (auto& value : nulls) value = nullptr;
    CHECK_NOTHROW(render(row, json::object(), nulls, false));
  }
}

TEST_CASE("lines have no blanks at their ends, and colors only when asked for") {
  for (const auto& row : commands()) {
    const auto plain = render(row, json::object(), test::canned(row.id), false);
    CAPTURE(row.path);
    if (row.where != Where::client) CHECK(plain.find(" \n") == std::string::npos);
    CHECK(plain.find('\033') == std::string::npos);
  }
  const auto& ports = command(CommandId::show_ports);
  CHECK(render(ports, json::object(), test::canned(ports.id), true).find("\033[31mdown\033[0m") !=
        std::string::npos);
}

TEST_CASE("values cannot command the terminal") {
  auto document = test::canned(CommandId::show_sa);
  document["sas"][0]["connection"] = "evil\033[2J\n";
  const auto text = render(command(CommandId::show_sa), json::object(), document, false);
  CHECK(text.find("evil?[2J?") != std::string::npos);
}

TEST_CASE("columns are as wide as their widest cell, in characters") {
  TextTable table({{"Name"}, {"Count", Align::right}});
  table.add({std::string("ä"), std::string("1")});
  table.add({std::string("longer"), std::string("1234567")});
  CHECK(table.text() ==
        "---------------\n"
        "Name      Count\n"
        "---------------\n"
        "ä             1\n"
        "longer  1234567\n");
}

TEST_CASE("a long text in the last column makes no long line of dashes") {
  TextTable table({{"Step"}, {"Detail"}});
  table.add({std::string("IKE_AUTH"), std::string(300, 'x')});
  CHECK_THAT(table.text(false), Catch::StartsWith(std::string(8 + 2 + 80, '-') + "\nStep"));
}

TEST_CASE("a reason that is evidence of a cause is told once") {
  const auto& row = command(CommandId::diagnose);
  auto answer = test::canned(row.id);
  const std::string why = "the peer refused it";
  auto& connection = answer["connections"][0];
  connection["reason"] = why;
  connection["causes"][0]["evidence"] = json::array({why});
  const auto text = render(row, json::object(), answer, false);
  CHECK_THAT(text, Catch::StartsWith("connection branch is down\n"));
  CHECK(text.find(why) == text.rfind(why));
}
