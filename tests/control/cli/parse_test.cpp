#include "control/cli/parse.hpp"

#include <catch2/catch.hpp>

#include "control/cli/suggest.hpp"

using namespace espgate;
using namespace espgate::cli;
using Words = std::vector<std::string>;
using nlohmann::json;

namespace {

std::string path_of(const Words& words) {
  const auto invocation = parse(words);
  return invocation ? std::string(invocation->command->path) : "error: " + invocation.error().what;
}

json arguments_of(const Words& words) {
  const auto invocation = parse(words);
  return invocation ? invocation->arguments : json(invocation.error().text());
}

Error error_of(const Words& words) {
  const auto invocation = parse(words);
  return invocation ? Error{} : invocation.error();
}

}  // namespace

TEST_CASE("command words may be abbreviated as long as they are unambiguous") {
  CHECK(path_of({"show", "drops", "ipsec"}) == "show drops ipsec");
  CHECK(path_of({"sh", "dr", "ip"}) == "show drops ipsec");
  CHECK(path_of({"sh", "dr"}) == "show drops");
  CHECK(path_of({"sh", "inv"}) == "show invalid-spi");
  CHECK(path_of({"sh", "sp", "1"}) == "show spi");
  CHECK(path_of({"tr", "c"}) == "trace clear");
  CHECK(path_of({"rel"}) == "reload");
  CHECK(path_of({"sa", "d", "0x10"}) == "sa delete");
}

TEST_CASE("a complete word wins over longer ones; hidden commands are not abbreviated") {
  CHECK(path_of({"show", "sa"}) == "show sa");
  CHECK(path_of({"manual"}) == "manual");
  CHECK(error_of({"manua"}).what == "unknown command `manua`");
  CHECK(path_of({"comp", "bash"}) == "completion");
}

TEST_CASE("what is ambiguous, unknown or incomplete is said with what there is") {
  CHECK(error_of({"show", "s"}).text() == "`show s` is ambiguous; it may be sa, spi, status");
  CHECK(error_of({"c", "d"}).text() == "`c` is ambiguous; it may be capture, clear, completion");
  CHECK(error_of({"show", "drosp"}).text() == "unknown command `show drosp`; did you mean `show drops`?");
  CHECK(error_of({"shwo", "drops"}).text() == "unknown command `shwo`; did you mean `show`?");
  CHECK(error_of({"show", "xyzzy"}).text() ==
        "unknown command `show xyzzy`; `espgatectl show --help` lists what there is");
  CHECK(error_of({"show", "drops", "ispec"}).text() ==
        "`show drops` takes no argument \"ispec\"; did you mean `show drops ipsec`?");
  CHECK(error_of({"trace"}).text() == "`trace` is incomplete; it goes on with one of: add, clear, show");
  CHECK(error_of({}).what == "no command given");
}

TEST_CASE("arguments and options become canonical JSON") {
  CHECK(arguments_of({"show", "spi", "0x1001"}) == json{{"spi", 4097}});
  CHECK(arguments_of({"show", "spi", "4097"}) == json{{"spi", 4097}});
  CHECK(arguments_of({"show", "sa", "--spi=0xFFFFFFFF"}) == json{{"spi", 0xffffffffu}});
  CHECK(arguments_of({"show", "drops", "ipsec", "--nonz", "--all"}) ==
        json{{"nonzero", true}, {"all", true}});
  CHECK(arguments_of({"capture", "--drop", "62", "--count", "3", "--write", "-"}) ==
        json{{"drop", "IN_CD_SW_IPSEC_MAC_EXCEPTION"}, {"count", 3}, {"write", "-"}});
  CHECK(arguments_of({"capture", "--drop", "ttl_expired"}) == json{{"drop", "TTL_EXPIRED"}});
  CHECK(arguments_of({"trace", "add", "--port", "outside", "10"}) ==
        json{{"port", "outside"}, {"count", 10}});
  CHECK(arguments_of({"sa", "reserve"}) == json::object());
  CHECK(arguments_of({"show", "policy-match", "10.1.0.7", "10.2.0.9", "6", "40000", "443"}) ==
        json{{"from", "10.1.0.7"},
             {"to", "10.2.0.9"},
             {"protocol", "tcp"},
             {"from_port", 40000},
             {"to_port", 443}});
  CHECK(arguments_of({"show", "policies", "--to", "2001:db8::9"}) == json{{"to", "2001:db8::9"}});
  CHECK(arguments_of({"show", "sa", "--connection", "--odd"}) == json{{"connection", "--odd"}});
}

TEST_CASE("bad arguments are errors that say what is expected") {
  CHECK(error_of({"show", "spi"}).text() == "`show spi` needs SPI; usage: espgatectl show spi SPI");
  CHECK(error_of({"show", "spi", "0"}).what == "SPI takes an SPI such as 0x1001 or 4097, not \"0\"");
  CHECK(error_of({"show", "spi", "0x100000000"}).what.starts_with("SPI takes an SPI"));
  CHECK(error_of({"show", "spi", "12ab"}).what.starts_with("SPI takes an SPI"));
  CHECK(error_of({"show", "spi", "-5"}).what == "no option -5 of `show spi`");
  CHECK(error_of({"show", "spi", "1", "2"}).what == "`show spi` takes no argument \"2\"");
  CHECK(error_of({"trace", "add", "0"}).what == "N takes a number from 1 to 1000, not \"0\"");
  CHECK(error_of({"trace", "add", "1001"}).what == "N takes a number from 1 to 1000, not \"1001\"");
  CHECK(error_of({"trace", "add", "18446744073709551616"}).what.starts_with("N takes a number"));
  CHECK(error_of({"show", "policies", "--to", "10.2.0.0/24"}).what.starts_with("--to takes an address"));
  CHECK(error_of({"show", "policy-match", "10.1.0.7", "10.2.0.9", "tpc"}).what.starts_with("PROTOCOL takes"));
  CHECK(error_of({"show", "policy-match", "10.1.0.7"}).what == "`show policy-match` needs TO");
  CHECK(error_of({"capture"}).what == "`capture` needs --port or --drop");
  CHECK(error_of({"capture", "--port", "a", "--drop", "62"}).what == "--port and --drop exclude each other");
  CHECK(error_of({"capture", "--drop", "IN_CD_SW_IPSEC_MAC"}).remedy ==
        "did you mean IN_CD_SW_IPSEC_MAC_EXCEPTION?");
  CHECK(error_of({"capture", "--drop", "FORWARDED"}).what.starts_with("--drop takes a drop reason"));
  CHECK(error_of({"capture", "--port"}).text() == "--port needs a value; write --port PORT");
  CHECK(error_of({"capture", "--port", ""}).what == "--port is empty");
  CHECK(error_of({"show", "drops", "--nonzero=1"}).what == "--nonzero takes no value");
  CHECK(error_of({"show", "drops", "--nonzreo"}).remedy == "did you mean --nonzero?");
  CHECK(error_of({"show", "sa", "--spi", "1", "--spi", "2"}).what == "--spi given twice");
  CHECK(error_of({"completion", "fish"}).what == "\"fish\" is not bash or zsh");
}

TEST_CASE("global options stand anywhere and may be abbreviated") {
  for (const Words& words :
       {Words{"--json", "show", "drops", "--socket", "/x"}, Words{"show", "--js", "drops", "--socket=/x"},
        Words{"--sock", "/x", "show", "drops", "--json"}}) {
    const auto invocation = parse(words);
    REQUIRE(invocation);
    CHECK(invocation->json);
    CHECK(invocation->socket == "/x");
    CHECK(invocation->command->path == "show drops");
  }
  CHECK(error_of({"show", "drops", "--socket", ""}).what == "--socket needs a path");
}

TEST_CASE("help is asked for in every way people know, at any depth") {
  for (const Words& words :
       {Words{"show", "sa", "--help"}, Words{"help", "show", "sa"}, Words{"show", "sa", "-h"},
        Words{"sh", "sa", "?"}, Words{"show", "sa", "--connection", "x", "--help"}}) {
    const auto invocation = parse(words);
    REQUIRE(invocation);
    CHECK(invocation->kind == Invocation::Kind::help);
    CHECK(invocation->words == Words{"show", "sa"});
  }
  CHECK(parse(Words{"show", "?"})->words == Words{"show"});
  CHECK(parse(Words{"--help"})->words.empty());
  CHECK_FALSE(parse(Words{"help", "nonsense"}));
  CHECK(parse(Words{"--version"})->kind == Invocation::Kind::version);
}

TEST_CASE("behind -- nothing is an option") {
  CHECK(error_of({"show", "spi", "--", "--json"}).what.starts_with("SPI takes an SPI"));
  CHECK(arguments_of({"show", "spi", "--", "7"}) == json{{"spi", 7}});
  CHECK_FALSE(wants_json(Words{"show", "--", "--json"}));
  CHECK(wants_json(Words{"shwo", "--js"}));
}

TEST_CASE("suggestions stay near what was typed") {
  const std::vector<std::string_view> words{"drops", "ports", "routes"};
  CHECK(suggest("DROSP", words) == "drops");
  CHECK(suggest("prots", words) == "ports");
  CHECK(suggest("rou", words) == "routes");
  CHECK(suggest("zebra", words) == "");
  CHECK(suggest("", words) == "");
  CHECK(suggest(std::string(10'000, 'a'), words) == "");
}

TEST_CASE("an argument that may be given many times is a list, and each of its values is checked") {
  CHECK(arguments_of({"monitor"}) == json::object());
  CHECK(arguments_of({"monitor", "invalid-spi", "--since-start", "reload"}) ==
        json({{"kinds", {"invalid-spi", "reload"}}, {"since-start", true}}));
  CHECK_THAT(error_of({"monitor", "invalid-spi", "nonsense"}).what,
             Catch::Contains("\"nonsense\" is not soft-expiry or"));
  CHECK(usage(command(CommandId::monitor)) == "monitor [KIND...] [--since-start]");
}
