// espgated: reads the command line and the configuration, then runs the daemon.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <new>

#include "control/config/load.hpp"
#include "control/daemon/daemon.hpp"
#include "control/daemon/environment_check.hpp"

namespace {

using namespace espgate;

constexpr int exit_runtime_error = 1;
constexpr int exit_usage_error = 2;

void print(const char* severity, const std::vector<config::Problem>& problems) {
  for (const auto& problem : problems) fmt::print(stderr, "{}: {}\n", severity, problem.text());
}

// The configuration, when it and the machine it asks for are right. Problems go to stderr.
std::optional<config::Configuration> load_checked(const std::string& file) {
  auto loaded = config::load(file);
  print("warning", loaded.warnings);
  print("error", loaded.errors);
  if (!loaded.configuration) return std::nullopt;
  const auto environment = daemon::check_environment(*loaded.configuration);
  print("error", environment);
  if (!environment.empty()) return std::nullopt;
  return std::move(*loaded.configuration);
}

int check(const std::string& file) {
  const auto configuration = load_checked(file);
  if (!configuration) {
    fmt::print(stderr, "{}: not usable; correct the errors above\n", file);
    return exit_runtime_error;
  }
  fmt::print("{}: good: {} ports, {} connections, {} policies, {} routes, {} workers\n", file,
             configuration->ports.size(), configuration->connections.size(), configuration->policies.size(),
             configuration->routes.size(), configuration->worker_cpus.size());
  return 0;
}

int start(const std::string& file) {
  if (geteuid() != 0) {
    fmt::print(stderr,
               "error: espgated must run as root: it opens NICs, huge pages and TAP devices; start it with "
               "sudo or as a system service (`espgated --check FILE` needs no root)\n");
    return exit_runtime_error;
  }
  auto configuration = load_checked(file);
  if (!configuration) {
    fmt::print(stderr, "error: not started; `espgated --check {}` repeats the check\n", file);
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
  CLI::App app{
      "espgated: ESP fast-path security gateway.\n"
      "Decrypts ESP from its outside ports, encrypts what policy protects, and names every packet "
      "it drops.\nTalk to a running one with espgatectl(8); the configuration is espgate.conf(5)."};
  std::string file = "/etc/espgate/espgate.conf";
  std::string file_to_check;
  auto* config_option =
      app.add_option("-c,--config", file, "Configuration file")->type_name("FILE")->capture_default_str();
  app.add_option("--check", file_to_check,
                 "Check a configuration file as a start would, report every error, and exit")
      ->type_name("FILE")
      ->excludes(config_option);
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
    return file_to_check.empty() ? start(file) : check(file_to_check);
  } catch (const std::exception& failure) {
    return report_failure(failure);
  }
}
