#include "control/cli/protocol.hpp"

#include <catch2/catch.hpp>

#include "control/cli/arguments.hpp"

using namespace espgate;
using namespace espgate::cli;
using nlohmann::json;

TEST_CASE("a request survives the line") {
  const auto& sa = command(CommandId::show_sa);
  const auto line = request_line(sa, {{"spi", 4097}});
  CHECK(line == R"({"arguments":{"spi":4097},"command":"show sa","version":1})"
                "\n");
  const auto request = parse_request(line);
  REQUIRE(request);
  CHECK(request->command == CommandId::show_sa);
  CHECK(request->spi() == 4097u);
  CHECK_FALSE(request->text("connection"));
}

TEST_CASE("the daemon checks arguments as the client does") {
  const auto parse = [](const std::string& command, const std::string& arguments) {
    return parse_request(R"({"version":1,"command":")" + command + R"(","arguments":)" + arguments + "}");
  };
  CHECK(parse("show spi", R"({"spi":"0x10"})")->spi() == 16u);
  CHECK(parse("capture", R"({"drop":62})")->text("drop") == "IN_CD_SW_IPSEC_MAC_EXCEPTION");
  CHECK_FALSE(parse("show drops", R"({"nonzero":false})")->flag("nonzero"));
  CHECK(parse("show drops", R"({"nonzero":true})")->flag("nonzero"));
  for (const auto& [command, arguments] :
       std::vector<std::pair<std::string, std::string>>{{"show spi", "{}"},
                                                        {"show spi", R"({"spi":-1})"},
                                                        {"show spi", R"({"spi":1.5})"},
                                                        {"show spi", R"({"spi":4294967296})"},
                                                        {"show spi", R"({"spi":[1]})"},
                                                        {"show spi", "[1]"},
                                                        {"show sa", R"({"spi":1,"connection":"a"})"},
                                                        {"show sa", R"({"connection":7})"},
                                                        {"show sa", R"({"connection":"a\u0000b"})"},
                                                        {"show sa", R"({"unknown":7})"},
                                                        {"trace add", R"({"count":0})"},
                                                        {"trace add", R"({"count":true})"},
                                                        {"show drops", R"({"nonzero":"yes"})"},
                                                        {"capture", "{}"}}) {
    CAPTURE(command, arguments);
    CHECK_FALSE(parse(command, arguments));
  }
}

TEST_CASE("lines that are no request are refused with a reason") {
  for (const auto* line : {"", "null", "[]", "{}", "garbage", "\xff\xfe", R"({"version":1})",
                           R"({"version":2,"command":"show drops"})", R"({"version":1,"command":7})",
                           R"({"version":1,"command":"show nothing"})", R"({"version":1,"command":"manual"})",
                           R"({"version":1,"command":"show drops")"}) {
    CAPTURE(line);
    const auto request = parse_request(line);
    REQUIRE_FALSE(request);
    CHECK_FALSE(request.error().what.empty());
    CHECK_FALSE(request.error().remedy.empty());
  }
  CHECK_FALSE(parse_request(std::string(60'000, '[')));
}

TEST_CASE("answers survive the line, and what is not UTF-8 does not break it") {
  CHECK(parse_message(item_line({{"a", 1}}))->kind == Message::Kind::item);
  CHECK(parse_message(result_line({{"a", 1}}))->body == json{{"a", 1}});
  const auto error = parse_message(error_line({"bad \xff name", "use\nanother"}));
  REQUIRE(error);
  CHECK(error->kind == Message::Kind::error);
  CHECK(error_from_json(error->body).what == "bad \xef\xbf\xbd name");
  CHECK(error_from_json(error->body).remedy == "use\nanother");
  CHECK(error_line({"a\nb", ""}).find('\n') == error_line({"a\nb", ""}).size() - 1);
  for (const auto* line : {"", "{}", "[]", R"({"result":1,"error":2})", R"({"other":1})"})
    CHECK_FALSE(parse_message(line));
}

TEST_CASE("what concerns only the client is not sent") {
  const auto& drops = command(CommandId::show_drops_ipsec);
  CHECK(for_daemon(drops, {{"explain", true}, {"all", true}}) == json{{"all", true}});
}
