// The operator's program: as whom it runs and with what, and how it ends. Root alone can run it as another.
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>

#include "control/daemon/hook_runner.hpp"
#include "control/daemon/services.hpp"
#include "tests/control/config/sample.hpp"
#include "tests/control/daemon/looped.hpp"

using namespace espgate;
using namespace std::chrono_literals;
using daemon::HookCommand;
using daemon::HookProcess;
using daemon::HookRunner;

namespace hook_test {
namespace {

constexpr std::uint32_t nobody = 65'534;

struct Programs {
  Programs() { chmod(folder.path("").c_str(), 0755); }
  HookCommand script(const std::string& text) const {
    return {folder.write("program", "#!/bin/sh\n" + text + "\n", 0755), nobody, nobody, {}, {}};
  }
  config::test::Folder folder;
};

struct Ended {
  std::string text;
  std::string output;
};

bool is_readable(int fd, int timeout_ms) {
  pollfd waits{fd, POLLIN, 0};
  return poll(&waits, 1, timeout_ms) == 1;
}

Ended finish(HookProcess& process) {
  Ended ended;
  char buffer[4'096];
  while (is_readable(process.output(), 15'000)) {
    const auto got = read(process.output(), buffer, sizeof buffer);
    if (got <= 0) break;
    ended.output.append(buffer, static_cast<std::size_t>(got));
  }
  REQUIRE(is_readable(process.ended(), 15'000));
  ended.text = process.reap().text;
  return ended;
}

Ended run(const HookCommand& command) {
  auto process = HookProcess::start(command);
  REQUIRE(process);
  return finish(*process);
}

// One HookRunner with what it needs, and its log.
struct Rig {
  Rig() {
    looped.loop.watch("work", work.descriptor(), [this] { work.deliver(); });
  }
  // As the daemon does.
  void tick_ten_times_a_second() {
    looped.loop.every("tick", 100ms, [this] { runner.tick(daemon::now()); });
  }
  void until(const std::string& text) {
    const bool said = looped.until([&] {
      work.hand_over();
      return log.find(text) != std::string::npos;
    });
    INFO(log);
    CHECK(said);
  }
  Programs programs;
  test::Looped looped;
  std::string log;
  daemon::WorkThreads work{1, 4};
  HookRunner runner{looped.loop, work,
                    [this](sa::Severity, std::string_view line) { log += std::string(line) + "\n"; }};
};

// Not gone, nor dead and only waited for.
bool runs(pid_t pid) {
  std::string stat;
  std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/stat"), stat);
  const auto state = stat.rfind(") ");
  return state != std::string::npos && stat[state + 2] != 'Z' && stat[state + 2] != 'X';
}

// The number that it said as its first line.
pid_t said_pid(const std::string& log) {
  const std::string_view before = "it says: ";
  return static_cast<pid_t>(std::stol(log.substr(log.find(before) + before.size())));
}

}  // namespace

TEST_CASE("It runs as its user, with no other groups, no privileges and nothing of ours") {
  if (geteuid() != 0) return;
  const Programs programs;
  // Descriptors of ours that are not closed by exec, as DPDK has them.
  const int leaked = dup(STDERR_FILENO);
  auto command = programs.script(
      "id -u; id -g; id -G; pwd; env | sort; cat\n"
      "grep -E '^(CapInh|CapPrm|CapEff|CapAmb|NoNewPrivs|SigBlk)' /proc/self/status\n"
      "sed -n 's/^SigIgn.*\\(.......\\)$/\\1/p' /proc/self/status\n"
      "ls /proc/$$/fd");
  command.environment = {"ESPGATE_SPI=0x00001001", "ESPGATE_CLASS=never issued"};
  command.input = "what happened\n";
  signal(SIGPIPE, SIG_IGN);
  const auto ended = run(command);
  signal(SIGPIPE, SIG_DFL);
  close(leaked);
  CHECK(ended.text == "ended with status 0");
  std::string expected =
      "65534\n65534\n65534\n/\n"
      "ESPGATE_CLASS=never issued\nESPGATE_SPI=0x00001001\nPATH=/usr/local/bin:/usr/bin:/bin\nPWD=/\n"
      "what happened\n";
  expected +=
      "SigBlk:\t0000000000000000\nCapInh:\t0000000000000000\n"
      "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:"
      "\t1\n0000000\n";
  // 0, 1, 2, and the shell's own for the script, 10.
  CHECK(ended.output == expected + "0\n1\n10\n2\n");
}

TEST_CASE("How it ended is told, also where it cannot be run") {
  if (geteuid() != 0) return;
  const Programs programs;
  CHECK(run(programs.script("exit 3")).text == "ended with status 3");
  CHECK(run(programs.script("kill -9 $$")).text == "was ended by signal 9");
  HookCommand missing{"/nonexistent/program", nobody, nobody, {}, {}};
  const auto ended = run(missing);
  CHECK(ended.text == "ended with status 127");
  CHECK_THAT(ended.output, Catch::Contains("No such file"));
}

TEST_CASE("Whoever lets go of it ends it, and its children") {
  if (geteuid() != 0) return;
  const Programs programs;
  int output = -1;
  {
    auto process = HookProcess::start(programs.script("trap '' TERM; sleep 60 & echo begun; wait"));
    REQUIRE(process);
    REQUIRE(is_readable(process->output(), 5'000));
    output = dup(process->output());
  }
  char buffer[64];
  while (is_readable(output, 5'000) && read(output, buffer, sizeof buffer) > 0) {
  }
  CHECK(read(output, buffer, sizeof buffer) == 0);  // nobody is left who could write
  close(output);
}

TEST_CASE("What it says goes to the log, line by line and not too much of it") {
  if (geteuid() != 0) return;
  Rig rig;
  rig.tick_ten_times_a_second();
  rig.runner.start(rig.programs.script("printf 'one\\n\\033[2Jtwo\\n' >&2; yes | head -c 100000; exit 1"),
                   "SPI 7", daemon::now());
  CHECK_FALSE(rig.runner.has_room(10, daemon::now()));
  rig.until("ended with status 1");
  CHECK(rig.runner.has_room(10, daemon::now()));
  CHECK_THAT(rig.log, Catch::StartsWith("on-invalid-spi for SPI 7: the program ended with status 1\n"
                                        "on-invalid-spi for SPI 7: it says: one\n"
                                        "on-invalid-spi for SPI 7: it says: ?[2Jtwo\n"
                                        "on-invalid-spi for SPI 7: it says: y\n"));
  CHECK(static_cast<std::size_t>(std::ranges::count(rig.log, '\n')) <= HookRunner::most_output_bytes / 2);
}

TEST_CASE("It runs so often a minute and no oftener") {
  Rig rig;
  Moment now{1h, {}};
  const HookCommand command{"/bin/true", nobody, nobody, {}, {}};
  for (int i = 0; i < 2; ++i) {
    REQUIRE(rig.runner.has_room(2, now));
    rig.log.clear();
    rig.runner.start(command, "SPI 7", now);
    rig.until("on-invalid-spi for SPI 7");
  }
  CHECK_FALSE(rig.runner.has_room(2, now));
  CHECK(rig.runner.has_room(4, now));
  now.steady += 1min;
  CHECK(rig.runner.has_room(2, now));
}

TEST_CASE("One that prints without end goes on, and keeps nobody awake") {
  if (geteuid() != 0) return;
  Rig rig;
  rig.tick_ten_times_a_second();
  const auto rounds = rig.looped.loop.times().lasted().count();
  // More than a pipe holds, so it has to be read to go on; and then as much as anybody takes.
  rig.runner.start(rig.programs.script("yes | head -c 300000; timeout 2 yes; exit 3"), "SPI 7",
                   daemon::now());
  rig.until("ended with status 3");
  // Some twenty ticks, and as many as the start, the first output and the end take.
  CHECK(rig.looped.loop.times().lasted().count() - rounds < 60);
  CHECK_THAT(rig.log, Catch::Contains("it says: y\n"));
  CHECK(static_cast<std::size_t>(std::ranges::count(rig.log, '\n')) <= HookRunner::most_output_bytes / 2 + 1);
}

TEST_CASE(
    "When espgated stops, what runs is ended at once, with what it began, and nothing is run any more") {
  if (geteuid() != 0) return;
  Rig rig;
  rig.tick_ten_times_a_second();
  rig.runner.start(rig.programs.script("trap '' TERM; (trap '' TERM; exec sleep 61) & echo $!; wait"),
                   "SPI 7", daemon::now());
  // Its first word was heard, but is not yet in the log.
  const auto begun = std::chrono::steady_clock::now();
  REQUIRE(rig.looped.until([&] {
    rig.work.hand_over();
    return std::chrono::steady_clock::now() - begun > 1s;
  }));
  const auto stopped = std::chrono::steady_clock::now();
  rig.runner.stop();
  CHECK(std::chrono::steady_clock::now() - stopped < 100ms);
  rig.until("was ended by signal 9");
  CHECK(std::chrono::steady_clock::now() - stopped < 1s);
  CHECK(rig.looped.until([&] { return !runs(said_pid(rig.log)); }));
  CHECK_FALSE(rig.runner.has_room(10, daemon::now()));
}

TEST_CASE("One that is just being started when espgated stops is ended as well") {
  if (geteuid() != 0) return;
  Rig rig;
  const auto file = rig.programs.folder.path("lived");
  rig.runner.start(rig.programs.script("sleep 1; touch " + file), "SPI 7", daemon::now());
  rig.runner.stop();
  const auto begun = std::chrono::steady_clock::now();
  CHECK(rig.looped.until([&] {
    rig.work.hand_over();
    return std::chrono::steady_clock::now() - begun > 2s;
  }));
  CHECK(rig.log.empty());
  CHECK(access(file.c_str(), F_OK) != 0);
}

TEST_CASE("One that does not end in time is ended with all it began, and what it ignores does not help it") {
  if (geteuid() != 0) return;
  Rig rig;
  const auto begun = std::chrono::steady_clock::now();
  rig.runner.start(
      rig.programs.script("(trap '' TERM; exec sleep 61) & echo $!; trap '' TERM; while :; do sleep 1; done"),
      "SPI 7", daemon::now());
  rig.until("was ended after 10 s, its time");
  const auto took = std::chrono::steady_clock::now() - begun;
  CHECK(took > 9s);
  CHECK(took < 16s);
  CHECK(rig.looped.until([&] { return !runs(said_pid(rig.log)); }));
}

}  // namespace hook_test
