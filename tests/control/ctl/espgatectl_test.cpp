// The program itself, as a process, against the server with canned answers.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "control/cli/help.hpp"
#include "control/cli/manual.hpp"
#include "tests/control/cli/canned.hpp"
#include "tests/control/cli/running_server.hpp"
#include "tests/control/ctl/process.hpp"
#include "tests/sanitized.hpp"

using namespace espgate;
using namespace espgate::test;
using cli::CommandId;
using nlohmann::json;

namespace {

using Words = std::vector<std::string>;

Words command_line(const Words& words) {
  Words all{ESPGATECTL};
  all.insert(all.end(), words.begin(), words.end());
  return all;
}

Outcome ctl(const Words& words, const Words& environment = {}) {
  return run(command_line(words), environment);
}

Outcome ask(const RunningServer& daemon, Words words) {
  return ctl(words, {"ESPGATE_SOCKET=" + daemon.path()});
}

// Words that make a valid call of the command.
Words call_of(const cli::Command& command) {
  Words words;
  std::stringstream path{std::string(command.path)};
  for (std::string word; path >> word;) words.push_back(word);
  switch (command.id) {
    case CommandId::show_spi:
    case CommandId::export_evidence:
    case CommandId::sa_delete:
      words.push_back("0x1001");
      break;
    case CommandId::trace_add:
      words.push_back("10");
      break;
    case CommandId::diagnose:
    case CommandId::explain:
    case CommandId::initiate:
    case CommandId::rekey:
    case CommandId::terminate:
      words.push_back("branch");
      break;
    case CommandId::log_level:
      words.push_back("debug");
      break;
    case CommandId::capture:
      words.insert(words.end(), {"--port", "outside", "--count", "2"});
      break;
    case CommandId::export_wireshark:
      words.insert(words.end(), {"--write", "/nonexistent/esp_sa"});
      break;
    case CommandId::show_policy_match:
      words.insert(words.end(), {"10.1.0.7", "10.2.0.9", "tcp"});
      break;
    case CommandId::policy_add:
      words.insert(words.end(), {"bypass", "--to", "10.2.0.9"});
      break;
    case CommandId::completion:
      words.push_back("bash");
      break;
    default:
      break;
  }
  return words;
}

std::string content(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("every command prints its answer, as text and as one JSON document") {
  RunningServer daemon(canned_handlers());
  for (const auto& row : cli::commands()) {
    CAPTURE(row.path);
    if (row.id == CommandId::export_wireshark) continue;  // prints no answer: it has a test of its own
    auto words = call_of(row);
    const auto text = ask(daemon, words);
    CHECK(text.status == 0);
    CHECK(text.err.empty());
    CHECK((!text.out.empty() || row.id == CommandId::complete));
    if (row.id == CommandId::complete) continue;  // takes --json for a word to complete
    words.push_back("--json");
    const auto document = ask(daemon, words);
    CHECK(document.status == 0);
    CHECK(document.err.empty());
    if (row.id == CommandId::monitor) {  // a document a line, either way
      CHECK(document.out == text.out);
      CHECK(json::parse(text.out, nullptr, false) == canned(row.id)["events"][0]);
      continue;
    }
    const auto parsed = json::parse(document.out, nullptr, false);
    REQUIRE(parsed.is_object());
    if (row.where != cli::Where::client) CHECK(parsed == canned(row.id));
  }
}

TEST_CASE("--help explains every command without a daemon") {
  for (const auto& row : cli::commands()) {
    if (row.id == CommandId::complete) continue;
    CAPTURE(row.path);
    auto words = call_of(row);
    words.push_back("--help");
    const auto help = ctl(words);
    CHECK(help.status == 0);
    CHECK(help.out == cli::help_text(row));
    words.push_back("--json");
    CHECK(json::parse(ctl(words).out, nullptr, false)["commands"].is_array());
  }
  CHECK(ctl({"--help"}).out.starts_with("usage: espgatectl"));
  CHECK(ctl({"--version"}).out.starts_with("espgatectl "));
  CHECK(json::parse(ctl({"--version", "--json"}).out)["version"].is_string());
}

TEST_CASE("keys go into a new file that is the owner's alone, and nowhere else") {
  RunningServer daemon(canned_handlers());
  const std::string file = "/dev/shm/esp_sa-" + std::to_string(getpid());
  std::remove(file.c_str());
  const Words call{"export", "wireshark", "--write", file};
  const auto rows = canned(CommandId::export_wireshark)["sas"];
  const auto text = ask(daemon, call);
  CHECK(text.status == 0);
  CHECK(text.out.empty());
  CHECK(text.err ==
        "left out: SPI 0x00001001 of connection branch, Wireshark does not know chacha20-poly1305\n"
        "2 of 3 SAs written to " +
            file + " (1 of them ended already), keys and all: delete it when you are done\n");
  const auto line = rows[0]["line"].get<std::string>() + "\n";
  CHECK(content(file) == line + "# an IKE SA of connection branch, ended 12 s ago\n" + line);
  struct stat facts {};
  REQUIRE(stat(file.c_str(), &facts) == 0);
  CHECK((facts.st_mode & 0777) == 0600);
  const auto again = ask(daemon, call);
  CHECK(again.status == 1);
  CHECK(again.err == "error: " + file + " exists\n       remove it or choose another file\n");
  std::remove(file.c_str());
  auto words = call;
  words.push_back("--json");
  const auto document = json::parse(ask(daemon, words).out, nullptr, false);
  CHECK(document["written"] == 2);
  CHECK(document["ended"] == 1);
  CHECK(document["left_out"].size() == 1);
  CHECK(document.dump().find("IPv4") == std::string::npos);
  std::remove(file.c_str());
  CHECK(ask(daemon, {"export", "wireshark"}).status == 2);
}

TEST_CASE("wrong usage is status 2, on standard error or as a JSON document") {
  for (const Words& words :
       {Words{}, Words{"shwo"}, Words{"show"}, Words{"show", "s"}, Words{"show", "spi"},
        Words{"show", "spi", "x"}, Words{"show", "drops", "--bogus"}, Words{"show", "drops", "extra"},
        Words{"capture"}, Words{"capture", "--drop", "nonsense"}, Words{"trace", "add", "0"},
        Words{"--socket"}}) {
    const auto text = ctl(words);
    CAPTURE(text.err);
    CHECK(text.status == 2);
    CHECK(text.out.empty());
    CHECK(text.err.starts_with("error: "));
    CHECK(std::ranges::count(text.err, '\n') == 2);

    Words as_json{"--json"};
    as_json.insert(as_json.end(), words.begin(), words.end());
    const auto document = ctl(as_json);
    CHECK(document.status == 2);
    CHECK(document.err.empty());
    const auto parsed = json::parse(document.out, nullptr, false);
    REQUIRE(parsed.is_object());
    CHECK(parsed.size() == 1);
    CHECK_FALSE(parsed["error"]["message"].get<std::string>().empty());
    CHECK_FALSE(parsed["error"]["remedy"].get<std::string>().empty());
  }
  CHECK(ctl({"capture", "--port", "outside", "--json", "--write", "-"}).status == 2);
}

TEST_CASE("without a daemon every command fails with status 1 and says how to start it") {
  TemporaryFolder folder;
  const auto socket = folder.path() + "/none.sock";
  for (const auto& row : cli::commands()) {
    if (row.where == cli::Where::client) continue;
    CAPTURE(row.path);
    auto words = call_of(row);
    words.insert(words.end(), {"--socket", socket});
    const auto text = ctl(words);
    CHECK(text.status == 1);
    CHECK(text.err == "error: espgated is not running (no socket at " + socket + ")\n" +
                          "       start it with `systemctl start espgated` or `espgated --config FILE`, or "
                          "name its socket with "
                          "--socket\n");
    words.push_back("--json");
    const auto document = ctl(words);
    CHECK(document.status == 1);
    CHECK(document.err.empty());
    const auto parsed = json::parse(document.out, nullptr, false);
    REQUIRE(parsed.is_object());
    CHECK(parsed["error"]["message"] == "espgated is not running (no socket at " + socket + ")");
  }
}

TEST_CASE("the daemon's errors are status 1") {
  RunningServer daemon(canned_handlers());
  const auto text = ask(daemon, {"show", "sa", "--connection", "nobody"});
  CHECK(text.status == 1);
  CHECK(text.err == "error: no SA of that name\n       `show sa` lists them\n");
  const auto document = ask(daemon, {"show", "sa", "--spi", "0xffff", "--json"});
  CHECK(document.status == 1);
  CHECK(json::parse(document.out)["error"]["message"] == "no SA of that name");
}

TEST_CASE("output that cannot be written is status 1; a reader that goes ends it quietly") {
  RunningServer daemon(canned_handlers());
  const Words environment{"ESPGATE_SOCKET=" + daemon.path()};
  const auto full = run({"/bin/sh", "-c", std::string(ESPGATECTL) + " show drops > /dev/full"}, environment);
  CHECK(full.status == 1);
  CHECK(full.err == "error: cannot write to standard output: No space left on device\n");

  const auto count = std::to_string(testing::many(200'000));  // more than a pipe holds
  Process capture(command_line({"capture", "--port", "outside", "--count", count}), environment);
  REQUIRE(capture.prints("outside"));
  capture.close_output();
  const auto outcome = capture.finish();
  CHECK(outcome.status == 128 + SIGPIPE);
  CHECK(outcome.err.empty());
  CHECK(daemon.reaches_clients(0));
}

TEST_CASE("Ctrl-C ends a trace or capture in good order") {
  RunningServer daemon(canned_handlers());
  const Words environment{"ESPGATE_SOCKET=" + daemon.path()};
  Process trace(command_line({"trace", "show", "--follow", "--json"}), environment);
  REQUIRE(trace.prints("TTL_EXPIRED"));
  trace.signal(SIGINT);
  const auto traced = trace.finish();
  CHECK(traced.status == 0);
  const auto document = json::parse(traced.out, nullptr, false);
  REQUIRE(document.is_object());
  CHECK(document["packets"].size() == 2);
  CHECK(document["armed"].is_null());

  Process capture(command_line({"capture", "--port", "outside"}), environment);
  REQUIRE(capture.prints("outside"));
  capture.signal(SIGTERM);
  CHECK(capture.finish().status == 0);
  CHECK(daemon.reaches_clients(0));
}

TEST_CASE("monitor prints a line as soon as something happens, until Ctrl-C or until the daemon goes") {
  auto handlers = canned_handlers();
  std::vector<cli::StreamPtr> streams;
  handlers.stream(CommandId::monitor,
                  [&](const cli::Request& request, const cli::StreamPtr& stream) -> Expected<void> {
                    stream->push({{"event", request.arguments["kinds"][0]}});
                    streams.push_back(stream);
                    return {};
                  });
  RunningServer daemon(std::move(handlers));
  const Words environment{"ESPGATE_SOCKET=" + daemon.path()};
  Process first(command_line({"monitor", "reload"}), environment);
  REQUIRE(first.prints("\"reload\"}\n"));
  first.signal(SIGINT);
  const auto ended = first.finish();
  CHECK(ended.status == 0);
  CHECK(ended.out == "{\"event\":\"reload\"}\n");
  CHECK(daemon.reaches_clients(0));
}

TEST_CASE("packets of evidence become a pcap file") {
  RunningServer daemon(canned_handlers());
  const std::string file = "/dev/shm/evidence-" + std::to_string(getpid());
  const auto text = ask(daemon, {"export", "evidence", "0x1001", "--write", file});
  CHECK(text.status == 0);
  CHECK(text.err == "1 frame written to " + file + "\n");
  CHECK(content(file).size() == 24 + 16 + 15);
  CHECK(content(file).starts_with("\x4d\x3c\xb2\xa1"));
  std::remove(file.c_str());
}

TEST_CASE("a stream that breaks off half-way is still one JSON document") {
  auto handlers = canned_handlers();
  handlers.stream(CommandId::trace_show,
                  [](const cli::Request&, const cli::StreamPtr& stream) -> Expected<void> {
                    stream->push({{"number", 1}});
                    stream->fail({"the ring broke", "try again"});
                    return {};
                  });
  RunningServer daemon(std::move(handlers));
  const auto outcome = ask(daemon, {"trace", "show", "--json"});
  CHECK(outcome.status == 1);
  const auto document = json::parse(outcome.out, nullptr, false);
  REQUIRE(document.is_object());
  CHECK(document["packets"].size() == 1);
  CHECK(document["error"]["message"] == "the ring broke");
}

TEST_CASE("a capture is a pcap file with every frame, its time in nanoseconds, and nobody else reads it") {
  RunningServer daemon(canned_handlers());
  TemporaryFolder folder;
  const auto path = folder.path() + "/out.pcap";
  std::ofstream(path) << std::string(10'000, 'x');
  chmod(path.c_str(), 0600);
  const auto outcome = ask(daemon, {"capture", "--port", "outside", "--count", "3", "--write", path});
  CHECK(outcome.status == 0);
  CHECK(outcome.out.empty());
  CHECK(outcome.err == "3 frames written to " + path + "\n");
  const auto bytes = content(path);
  REQUIRE(bytes.size() == 24 + 3 * (16 + 54));
  CHECK(bytes.substr(0, 4) == "\x4d\x3c\xb2\xa1");
  CHECK(bytes.substr(24 + 16, 6) == std::string("\x02\x00\x00\x00\x00\x01", 6));

  const auto piped = ask(daemon, {"capture", "--port", "outside", "--count", "3", "--write", "-"});
  CHECK(piped.out == bytes);
  const auto document =
      ask(daemon, {"capture", "--port", "outside", "--count", "3", "--write", path, "--json"});
  CHECK(json::parse(document.out) == json{{"file", path}, {"written", 3}, {"lost", 0}});
  CHECK(content(path) == bytes);
}

TEST_CASE("a capture that does not start leaves an existing file as it is") {
  TemporaryFolder folder;
  const auto path = folder.path() + "/out.pcap";
  std::ofstream(path) << "precious";
  CHECK(ctl({"capture", "--port", "x", "--write", path, "--socket", folder.path() + "/none"}).status == 1);
  auto handlers = canned_handlers();
  handlers.stream(CommandId::capture, [](const cli::Request&, const cli::StreamPtr&) -> Expected<void> {
    return Error{"no port x", "`show ports` lists them"};
  });
  RunningServer daemon(std::move(handlers));
  CHECK(ask(daemon, {"capture", "--port", "x", "--write", path}).status == 1);
  CHECK(content(path) == "precious");
  CHECK(ask(daemon, {"capture", "--port", "x", "--write", folder.path() + "/none/out.pcap"}).status == 1);
}

TEST_CASE("completion asks the running daemon for names, and is silent without one") {
  RunningServer daemon(canned_handlers());
  CHECK(ask(daemon, {"complete", "capture", "--port", ""}).out == "inside\t\noutside\t\n");
  CHECK(ask(daemon, {"complete", "show", "sa", "--connection", "b"}).out == "branch\t\n");
  CHECK(ask(daemon, {"complete", "sa", "delete", "0x00002"}).out == "0x00002001\t\n");
  const auto silent = ctl({"complete", "--socket", "/nonexistent", "capture", "--port", ""});
  CHECK(silent.status == 0);
  CHECK(silent.out.empty());
  CHECK(silent.err.empty());
}

TEST_CASE("the bash script completes in bash") {
  RunningServer daemon(canned_handlers());
  const std::string script =
      std::string("source ") + SOURCE_ROOT + "/scripts/completion/espgatectl.bash; " + "COMP_WORDS=(" +
      ESPGATECTL + " sh sa --connection ''); COMP_CWORD=4; _espgatectl; " + "echo \"${COMPREPLY[*]}\"";
  CHECK(run({"/bin/bash", "-c", script}, {"ESPGATE_SOCKET=" + daemon.path(), "PATH=/usr/bin:/bin"}).out ==
        "branch depot yard\n");
}

TEST_CASE("espgatectl starts in milliseconds and loads no DPDK") {
  RunningServer daemon(canned_handlers());
  auto best = std::chrono::steady_clock::duration::max();
  for (int i = 0; i < 10; ++i) {
    const auto start = std::chrono::steady_clock::now();
    REQUIRE(ask(daemon, {"show", "drops"}).status == 0);
    best = std::min(best, std::chrono::steady_clock::now() - start);
  }
  CHECK((testing::sanitized || best < std::chrono::milliseconds(20)));
  CHECK(run({"/usr/bin/ldd", ESPGATECTL}, {"PATH=/usr/bin:/bin"}).out.find("librte_") == std::string::npos);
}
