// docs/counters.md is printed from the verdict table. With ESPGATE_UPDATE_DOCS set, the test writes it anew.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "datapath/verdict/verdict.hpp"

using namespace espgate;

namespace {

std::string outcome_text(Outcome outcome) {
  switch (outcome) {
    case Outcome::tx:
      return "sent";
    case Outcome::host:
      return "to the host";
    case Outcome::control:
      return "to control";
    case Outcome::consumed:
      return "consumed";
    case Outcome::drop:
      return "dropped";
  }
  return "";
}

std::string reference() {
  std::ostringstream out;
  out << "# Counter reference\n\n"
         "Every packet that a worker takes in leaves it with exactly one verdict, and the verdict is its "
         "counter:\n"
         "`received + from the host = sent + to the host + to control + consumed + dropped` (`espgatectl "
         "show workers`).\n"
         "Drop reasons below 200 have the numbers and names of the drop list of Cisco's ASR QFP; those from "
         "200 are\n"
         "espgate's own, where QFP merges what should be told apart. `espgatectl show drops ipsec --explain` "
         "prints the\n"
         "same texts beside the counts, and `espgatectl capture --drop NUMBER` shows the packets.\n\n"
         "## Not drops\n\n| name | outcome | meaning |\n| --- | --- | --- |\n";
  for (const auto& row : verdict_rows())
    if (row.outcome != Outcome::drop)
      out << "| " << row.name << " | " << outcome_text(row.outcome) << " | " << row.meaning << " |\n";
  for (std::size_t group = 0; group < drop_group_count; ++group) {
    out << "\n## " << name(static_cast<DropGroup>(group))
        << "\n\n| no. | name | meaning | what to do |\n| --- | --- | --- | --- |\n";
    for (const auto& row : verdict_rows())
      if (row.outcome == Outcome::drop && static_cast<std::size_t>(row.group) == group)
        out << "| " << row.number << " | " << row.name << " | " << row.meaning << " | " << row.action
            << " |\n";
  }
  out << "\nQFP numbers for what espgate does not have (TED, GETVPN, licences) are not used.\n";
  return out.str();
}

}  // namespace

TEST_CASE("docs/counters.md is the verdict table") {
  const std::string file = ESPGATE_SOURCE_ROOT "/docs/counters.md";
  if (std::getenv("ESPGATE_UPDATE_DOCS") != nullptr) std::ofstream(file) << reference();
  std::stringstream committed;
  committed << std::ifstream(file).rdbuf();
  INFO("run this test with ESPGATE_UPDATE_DOCS=1 to write the page anew");
  CHECK(committed.str() == reference());
}
