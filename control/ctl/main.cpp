// espgatectl: one command to espgated, its answer on standard output.
#include <cstdlib>
#include <string>
#include <vector>

#include "control/cli/parse.hpp"
#include "control/ctl/client_commands.hpp"
#include "control/ctl/daemon_commands.hpp"
#include "control/ctl/output.hpp"

namespace espgate::ctl {
namespace {

std::string socket_of(const cli::Invocation& invocation) {
  if (!invocation.socket.empty()) return invocation.socket;
  const char* from_environment = std::getenv("ESPGATE_SOCKET");
  return from_environment != nullptr && *from_environment != '\0' ? from_environment
                                                                  : std::string(cli::default_socket);
}

// The one document of --json cannot go where the capture goes.
bool both_on_stdout(const cli::Invocation& invocation) {
  return invocation.json && invocation.arguments.value("write", "") == "-";
}

int run(const std::vector<std::string>& words) {
  const auto invocation = cli::parse(words);
  if (!invocation) return Output(cli::wants_json(words), false).error(invocation.error(), wrong_usage);
  Output output(invocation->json, invocation->no_color);
  if (invocation->kind == cli::Invocation::Kind::help) return show_help(*invocation, output);
  if (invocation->kind == cli::Invocation::Kind::version) return show_version(output);
  if (both_on_stdout(*invocation)) {
    return output.error({"--json and --write - both want standard output", "write the capture to a file"},
                        wrong_usage);
  }
  const auto socket = socket_of(*invocation);
  if (invocation->command->where == cli::Where::client) return run_here(socket, *invocation, output);
  return run_on_daemon(socket, *invocation, output);
}

}  // namespace
}  // namespace espgate::ctl

int main(int argc, char** argv) {
  return espgate::ctl::run(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
