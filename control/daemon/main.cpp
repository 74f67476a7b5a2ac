// espgated: reads the command line and the configuration, then runs the daemon.
#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <utility>

#include "control/config/load.hpp"
#include "control/daemon/daemon.hpp"
#include "control/daemon/environment_check.hpp"
#include "datapath/base/counted.hpp"

namespace {

using namespace espgate;

constexpr int exit_runtime_error = 1;
constexpr int exit_usage_error = 2;

// One mistake in what made the file may be thousands in it.
void print(const char* severity, const std::vector<config::Problem>& problems) {
  constexpr std::size_t most = 50;
  for (std::size_t i = 0; i < std::min(problems.size(), most); ++i)
    fmt::print(stderr, "{}: {}\n", severity, problems[i].text());
  if (problems.size() > most) fmt::print(stderr, "{}: and {} more\n", severity, problems.size() - most);
}

struct CommandLine {
  std::string file = "/etc/espgate/espgate.conf";
  std::string file_to_check;
  bool no_huge = false;
};

// Whatever the file says.
void forgo_huge_pages(config::Configuration& configuration) {
  configuration.no_huge = true;
  if (std::exchange(configuration.hugepages, false))
    fmt::print(stderr, "warning: --no-huge: espgate runs without huge pages, which is for trying out only\n");
}

// The configuration, when it and the machine it asks for are right. Problems go to stderr, those of the
// machine also when the file has some of its own.
std::optional<config::Configuration> load_checked(const std::string& file, bool no_huge) {
  auto loaded = config::load(file);
  print("warning", loaded.warnings);
  print("error", loaded.errors);
  auto& read = loaded.configuration ? loaded.configuration : loaded.partial;
  if (!read) return std::nullopt;
  if (no_huge) forgo_huge_pages(*read);
  const auto environment = daemon::check_environment(*read);
  print("error", environment);
  if (!environment.empty()) return std::nullopt;
  return std::move(loaded.configuration);
}

int check(const CommandLine& line) {
  const auto configuration = load_checked(line.file_to_check, line.no_huge);
  if (!configuration) {
    fmt::print(stderr, "{}: not usable; correct the errors above\n", line.file_to_check);
    return exit_runtime_error;
  }
  fmt::print(
      "{}: good: {}, {}, {}, {}, {}\n", line.file_to_check, counted(configuration->ports.size(), "port"),
      counted(configuration->connections.size(), "connection"),
      counted(configuration->policies.size(), "policy"), counted(configuration->routes.size(), "route"),
      counted(configuration->worker_cpus.size(), "worker"));
  return 0;
}

int start(const CommandLine& line) {
  if (geteuid() != 0) {
    fmt::print(stderr,
               "error: espgated must run as root: it opens NICs, huge pages and TAP devices; start it with "
               "sudo or as a system service (`espgated --check FILE` needs no root)\n");
    return exit_runtime_error;
  }
  auto configuration = load_checked(line.file, line.no_huge);
  if (!configuration) {
    fmt::print(stderr, "error: not started; `espgated --check {}` repeats the check\n", line.file);
    return exit_runtime_error;
  }
  if (auto ran = daemon::run(std::move(*configuration)); !ran) {
    fmt::print(stderr, "error: {}\n", ran.error().text());
    return exit_runtime_error;
  }
  return 0;
}

// What no part of espgated could deal with. Unwinding has stopped the workers and taken everything down.
int report_failure(const std::exception& failure) {
  if (dynamic_cast<const std::bad_alloc*>(&failure) != nullptr)
    fmt::print(stderr,
               "error: out of memory; lower the limits of the configuration, or give the machine more\n");
  else
    fmt::print(stderr,
               "error: espgated cannot go on: {}; this is a defect unless a limit of the system says it "
               "(`ulimit -a`): report it\n",
               failure.what());
  return exit_runtime_error;
}

}  // namespace

int main(int argc, char** argv) {
  // Else malloc puts off joining what is freed, and once in a while does it for all at once: with 20,000 IKE
  // SAs that takes the control loop milliseconds.
  mallopt(M_MXFAST, 0);
  CLI::App app{
      "espgated: ESP fast-path security gateway.\n"
      "Decrypts ESP from its outside ports, encrypts what policy protects, and names every packet "
      "it drops.\nTalk to a running one with espgatectl(8); the configuration is espgate.conf(5)."};
  CommandLine line;
  auto* config_option = app.add_option("-c,--config", line.file, "Configuration file")
                            ->type_name("FILE")
                            ->capture_default_str();
  app.add_option("--check", line.file_to_check,
                 "Check a configuration file as a start would, report every error, and exit")
      ->type_name("FILE")
      ->excludes(config_option);
  app.add_flag("--no-huge", line.no_huge,
               "Do without huge pages, whatever the file says: for trying out, at a fraction of the speed");
  app.set_version_flag("--version", "espgated " ESPGATE_VERSION);
  app.footer(
      "Signals: SIGTERM and SIGINT stop it, SIGHUP reloads the configuration.\n"
      "Exit status: 0 stopped or file good, 1 cannot start or file bad, 2 wrong usage.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : exit_usage_error;
  }
  try {
    return line.file_to_check.empty() ? start(line) : check(line);
  } catch (const std::exception& failure) {
    return report_failure(failure);
  }
}
