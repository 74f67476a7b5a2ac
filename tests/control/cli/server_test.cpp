#include "control/cli/server.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "control/cli/client.hpp"
#include "tests/control/cli/canned.hpp"
#include "tests/control/cli/running_server.hpp"

using namespace espgate;
using namespace espgate::cli;
using namespace std::chrono_literals;
using nlohmann::json;
using test::RawClient;
using test::RunningServer;

namespace {

constexpr auto patience = 5'000ms;
const std::string show_drops = request_line(command(CommandId::show_drops), json::object());

json result_of(const std::string& line) {
  const auto message = parse_message(line);
  return message && message->kind == Message::Kind::result ? message->body : json();
}

std::string error_of(const std::string& line) {
  const auto message = parse_message(line);
  return message && message->kind == Message::Kind::error ? error_from_json(message->body).what : "";
}

Handlers with_answer(Handler handler) {
  auto handlers = test::canned_handlers();
  handlers.answer(CommandId::show_drops, std::move(handler));
  return handlers;
}

Handlers with_stream(StreamHandler handler) {
  auto handlers = test::canned_handlers();
  handlers.stream(CommandId::capture, std::move(handler));
  return handlers;
}

const json outside{{"port", "outside"}};

}  // namespace

TEST_CASE("every command is answered, with what its handler returns") {
  RunningServer server(test::canned_handlers());
  for (const auto& row : commands()) {
    if (row.where == Where::client) continue;
    CAPTURE(row.path);
    json arguments = json::object();
    for (const auto& argument : row.arguments)
      if (argument.name == "spi" && argument.required) arguments["spi"] = 4097;
    if (row.id == CommandId::trace_add) arguments["count"] = 10;
    if (row.id == CommandId::capture) arguments = {{"port", "outside"}, {"count", 2}};
    if (row.id == CommandId::show_policy_match) arguments = {{"from", "10.1.0.7"}, {"to", "10.2.0.9"}};
    if (std::ranges::any_of(row.arguments, [](const Parameter& argument) {
          return argument.kind == ValueKind::connection && argument.required;
        }))
      arguments["connection"] = "branch";
    if (row.id == CommandId::log_level) arguments = {{"level", "debug"}, {"topic", "ike"}};
    if (row.id == CommandId::policy_add) arguments = {{"action", "bypass"}};
    const auto answer = ask(server.path(), row, arguments, patience);
    REQUIRE(answer);
    CHECK(*answer == test::canned(row.id));
  }
}

TEST_CASE("a handler sees canonical arguments and who asks; its error is the answer") {
  RunningServer server(with_answer([](const Request& request) -> Expected<json> {
    if (request.flag("nonzero")) return Error{"no drops", "wait for some"};
    return json{{"pid", request.peer.pid}, {"uid", request.peer.uid}};
  }));
  const auto& drops = command(CommandId::show_drops);
  const auto answer = ask(server.path(), drops, json::object(), patience);
  REQUIRE(answer);
  CHECK((*answer)["pid"] == getpid());
  CHECK((*answer)["uid"] == getuid());
  const auto refused = ask(server.path(), drops, {{"nonzero", true}}, patience);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().text() == "no drops; wait for some");
}

TEST_CASE("requests arrive in pieces, several at once, and from a half-closed client") {
  RunningServer server(test::canned_handlers());
  RawClient client(server.path());
  for (const char byte : show_drops) REQUIRE(client.send(std::string(1, byte)));
  CHECK(result_of(client.line()) == test::canned(CommandId::show_drops));

  std::string many;
  for (int i = 0; i < 100; ++i) many += show_drops;
  REQUIRE(client.send(many));
  for (int i = 0; i < 100; ++i) REQUIRE(result_of(client.line()) == test::canned(CommandId::show_drops));

  REQUIRE(client.send(show_drops + show_drops));
  client.half_close();
  CHECK(result_of(client.line()).is_object());
  CHECK(result_of(client.line()).is_object());
  CHECK(client.closed());
  CHECK(server.reaches_clients(0));
}

TEST_CASE("requests behind a stream wait for its end") {
  RunningServer server(test::canned_handlers());
  RawClient client(server.path());
  REQUIRE(client.send(request_line(command(CommandId::show_sa), json::object()) + show_drops));
  for (int i = 0; i < 3; ++i) CHECK(client.line().starts_with("{\"item\":"));
  CHECK(result_of(client.line()) == json{{"total", 3}});
  CHECK(result_of(client.line()) == test::canned(CommandId::show_drops));
}

TEST_CASE("garbage is answered with an error and the end of the connection") {
  RunningServer server(test::canned_handlers());
  for (const std::string garbage : {"\n", "GET / HTTP/1.1\r\n\r\n", "{}\n", "\xff\xfe\n"}) {
    RawClient client(server.path());
    REQUIRE(client.send(garbage));
    CHECK_FALSE(error_of(client.line()).empty());
    CHECK(client.closed());
  }
  CHECK(server.reaches_clients(0));
}

TEST_CASE("a request of the greatest length is taken, a longer one is not") {
  RunningServer server(test::canned_handlers(), {.request_bytes = 4096});
  RawClient fitting(server.path());
  std::string padded = show_drops.substr(0, show_drops.size() - 1);
  padded += std::string(4096 - padded.size() - 1, ' ') + "\n";
  REQUIRE(padded.size() == 4096);
  REQUIRE(fitting.send(padded));
  CHECK(result_of(fitting.line()).is_object());

  RawClient endless(server.path());
  endless.send(std::string(200'000, ' '));
  CHECK(error_of(endless.line()) == "the request is longer than 4096 bytes");
  CHECK(endless.closed());
}

TEST_CASE("clients that go at any moment leave nothing behind") {
  RunningServer server(test::canned_handlers());
  const auto capture = request_line(command(CommandId::capture), outside);
  for (std::size_t length = 0; length <= capture.size(); ++length) {
    RawClient client(server.path());
    REQUIRE(client.send(capture.substr(0, length)));
  }
  CHECK(server.reaches_clients(0));
  RawClient client(server.path());
  REQUIRE(client.send(show_drops));
  CHECK(result_of(client.line()).is_object());
}

TEST_CASE("one client too many is told so; a place that becomes free is given away") {
  RunningServer server(test::canned_handlers());
  std::vector<RawClient> clients;
  for (int i = 0; i < 64; ++i) clients.emplace_back(server.path());
  REQUIRE(server.reaches_clients(64));
  for (int i = 0; i < 3; ++i) {
    const auto refused = ask(server.path(), command(CommandId::show_drops), json::object(), patience);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().what == "espgated has 64 clients already");
  }
  for (auto& client : clients) REQUIRE(client.send(show_drops));
  for (auto& client : clients) CHECK(result_of(client.line()).is_object());
  clients.pop_back();
  REQUIRE(server.reaches_clients(63));
  CHECK(ask(server.path(), command(CommandId::show_drops), json::object(), patience));
}

TEST_CASE("idle clients, and those that trickle a request, are dropped; a quiet stream is not") {
  std::vector<std::string> log;
  RunningServer server(test::canned_handlers(),
                       {.idle = 100ms, .log = [&](const std::string& line) { log.push_back(line); }});
  RawClient stream(server.path());
  REQUIRE(stream.send(request_line(command(CommandId::capture), outside)));
  CHECK(stream.line().starts_with("{\"item\":"));
  RawClient idle(server.path());
  RawClient trickling(server.path());
  for (int i = 0; i < 30 && trickling.send(" "); ++i) std::this_thread::sleep_for(10ms);
  CHECK(idle.closed());
  CHECK(trickling.closed());
  CHECK(server.reaches_clients(1));
  server.on_thread([&](Server&) {
    CHECK(std::ranges::count_if(
              log, [](const auto& line) { return line.ends_with("dropped, asks nothing"); }) == 2);
  });
}

TEST_CASE("a client that does not read a long answer is dropped, and holds up nobody") {
  const json big{{"text", std::string(8 << 20, 'x')}};
  auto handlers = with_answer([&](const Request&) -> Expected<json> { return big; });
  RunningServer server(std::move(handlers), {.stall = 200ms});
  RawClient stuck(server.path());
  REQUIRE(stuck.send(show_drops));
  RawClient other(server.path());
  REQUIRE(other.send(request_line(command(CommandId::show_version), json::object())));
  CHECK(result_of(other.line()).is_object());
  CHECK(server.reaches_clients(1));
  CHECK(result_of(stuck.line()).is_null());

  const auto read = ask(server.path(), command(CommandId::show_drops), json::object(), patience);
  REQUIRE(read);
  CHECK(*read == big);
}

TEST_CASE("an answer beyond the limit becomes an error") {
  RunningServer server(with_answer([](const Request&) -> Expected<json> {
                         return json{{"a", std::string(2000, 'x')}};
                       }),
                       {.answer_bytes = 1000});
  const auto answer = ask(server.path(), command(CommandId::show_drops), json::object(), patience);
  REQUIRE_FALSE(answer);
  CHECK(answer.error().what == "the answer is 2020 bytes, more than the limit of 1000");
}

TEST_CASE("a handler that throws costs one answer, not the daemon") {
  RunningServer server(
      with_answer([](const Request& request) -> Expected<json> { return request.arguments.at("none"); }));
  const auto answer = ask(server.path(), command(CommandId::show_drops), json::object(), patience);
  REQUIRE_FALSE(answer);
  CHECK(answer.error().what.starts_with("`show drops` failed inside espgated"));
  CHECK(ask(server.path(), command(CommandId::show_version), json::object(), patience));
}

TEST_CASE("a pushed stream tells the handler of a slow client and of its going") {
  StreamPtr open;
  bool closed = false;
  RunningServer server(with_stream([&](const Request&, StreamPtr stream) -> Expected<void> {
                         open = std::move(stream);
                         open->when_closed([&] { closed = true; });
                         return {};
                       }),
                       {.queue_bytes = 64 * 1024});
  {
    RawClient client(server.path());
    REQUIRE(client.send(request_line(command(CommandId::capture), outside)));
    const json item{{"data", std::string(1000, 'x')}};
    int taken = 0;
    while (taken == 0) {
      server.on_thread([&](Server&) {
        while (open && open->push(item)) ++taken;
      });
    }
    server.on_thread([&](Server&) {
      CHECK(open->open());
      CHECK(open->lost() == 1);
      CHECK(taken > 64);
      CHECK(taken < 1000);
    });
    // What was taken arrives whole; then there is room again.
    for (int i = 0; i < taken; ++i) REQUIRE(parse_message(client.line())->body == item);
    server.on_thread([&](Server&) { CHECK(open->push(item)); });
    CHECK(parse_message(client.line())->body == item);
  }
  CHECK(server.reaches_clients(0));
  server.on_thread([&](Server&) {
    CHECK(closed);
    CHECK_FALSE(open->open());
    CHECK_FALSE(open->push(json::object()));
  });
}

TEST_CASE("a pulled stream of any length is made as the client reads, with bounded memory") {
  int made = 0;
  auto handlers = test::canned_handlers();
  handlers.stream(CommandId::show_sa, [&](const Request&, const StreamPtr& stream) -> Expected<void> {
    stream->pull(
        [&made]() -> std::optional<json> {
          if (made == 100'000) return {};
          return json{{"number", made++}, {"text", std::string(100, 'x')}};
        },
        [&made] {
          return json{{"total", made}};
        });
    return {};
  });
  RunningServer server(std::move(handlers), {.queue_bytes = 64 * 1024});
  RawClient client(server.path());
  REQUIRE(client.send(request_line(command(CommandId::show_sa), json::object())));
  CHECK(parse_message(client.line())->body["number"] == 0);
  std::this_thread::sleep_for(50ms);
  server.on_thread([&](Server&) { CHECK(made < 20'000); });
  for (int i = 1; i < 100'000; ++i)
    REQUIRE(client.line().starts_with("{\"item\":{\"number\":" + std::to_string(i) + ","));
  CHECK(result_of(client.line()) == json{{"total", 100'000}});
}

TEST_CASE("a pulled stream that looks far or works long leaves others their turn, and sends no null") {
  std::atomic<int> looks = 0;
  auto handlers = test::canned_handlers();
  handlers.stream(CommandId::show_sa, [&](const Request&, const StreamPtr& stream) -> Expected<void> {
    stream->pull(
        [&looks]() -> std::optional<json> {
          std::this_thread::sleep_for(100us);
          if (++looks % 100 != 0) return json();
          return looks == 1'000 ? std::nullopt : std::optional(json{{"looks", looks.load()}});
        },
        [] { return json::object(); });
    return {};
  });
  RunningServer server(std::move(handlers));
  RawClient client(server.path());
  REQUIRE(client.send(request_line(command(CommandId::show_sa), json::object())));
  REQUIRE(ask(server.path(), command(CommandId::show_ports), json::object(), patience));
  CHECK(looks < 1'000);  // another client was answered meanwhile
  for (int i = 100; i < 1'000; i += 100) CHECK(parse_message(client.line())->body == json{{"looks", i}});
  CHECK(result_of(client.line()) == json::object());
}

TEST_CASE("streams that end badly end with an error line") {
  RunningServer refusing(with_stream([](const Request&, const StreamPtr&) -> Expected<void> {
    return Error{"no port \"outside\"", "`show ports` lists them"};
  }));
  CHECK(ask(refusing.path(), command(CommandId::capture), outside, patience).error().what ==
        "no port \"outside\"");

  RunningServer forgetful(with_stream([](const Request&, const StreamPtr& stream) -> Expected<void> {
    stream->push({{"a", 1}});
    return {};
  }));
  CHECK(ask(forgetful.path(), command(CommandId::capture), outside, patience).error().what ==
        "espgated was stopped; the answer ends here");

  RunningServer throwing(with_stream([](const Request&, const StreamPtr& stream) -> Expected<void> {
    stream->pull([]() -> std::optional<json> { throw std::runtime_error("odd"); }, {});
    return {};
  }));
  CHECK(ask(throwing.path(), command(CommandId::capture), outside, patience).error().what ==
        "the answer broke off inside espgated: odd");
}

TEST_CASE("many streams at once each get their own items") {
  std::vector<StreamPtr> open;
  RunningServer server(with_stream([&](const Request& request, StreamPtr stream) -> Expected<void> {
    stream->push({{"port", *request.text("port")}});
    open.push_back(std::move(stream));
    return {};
  }));
  std::vector<RawClient> clients;
  for (int i = 0; i < 40; ++i) {
    clients.emplace_back(server.path());
    REQUIRE(clients.back().send(request_line(command(CommandId::capture), {{"port", std::to_string(i)}})));
  }
  for (int i = 0; i < 40; ++i) {
    CHECK(parse_message(clients[static_cast<std::size_t>(i)].line())->body["port"] == std::to_string(i));
  }
  server.on_thread([&](Server&) {
    for (auto& stream : open) stream->finish({{"lost", 0}});
    open.clear();
  });
  for (auto& client : clients) CHECK(result_of(client.line()) == json{{"lost", 0}});
}

TEST_CASE("what changes something is logged with who asked, what looks is not") {
  std::vector<std::string> log;
  RunningServer server(test::canned_handlers(),
                       {.log = [&](const std::string& line) { log.push_back(line); }});
  REQUIRE(ask(server.path(), command(CommandId::show_drops), json::object(), patience));
  REQUIRE(ask(server.path(), command(CommandId::sa_delete), {{"spi", 4097}}, patience));
  server.on_thread([&](Server&) {
    const auto who =
        "CLI client (pid " + std::to_string(getpid()) + ", uid " + std::to_string(getuid()) + "): ";
    CHECK(log == std::vector<std::string>{who + R"(sa delete {"spi":4097})"});
  });
}

TEST_CASE("a command that answers may answer later, and the client's next request waits for it") {
  auto handlers = test::canned_handlers();
  StreamPtr later;
  handlers.answer(CommandId::reload, nullptr);
  handlers.stream(CommandId::reload, [&](const Request&, StreamPtr stream) -> Expected<void> {
    later = std::move(stream);
    return {};
  });
  RunningServer server(std::move(handlers));
  RawClient client(server.path());
  CHECK(client.send(request_line(command(CommandId::reload), json::object()) + show_drops));
  CHECK(server.reaches_clients(1));
  for (bool asked = false; !asked;) server.on_thread([&](Server&) { asked = later != nullptr; });
  server.on_thread([&](Server&) { later->finish({{"configuration", "x"}}); });
  CHECK(result_of(client.line())["configuration"] == "x");
  CHECK(result_of(client.line()) == test::canned(CommandId::show_drops));
}
