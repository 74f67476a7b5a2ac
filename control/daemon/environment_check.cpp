#include "control/daemon/environment_check.hpp"

#include "control/cli/unix_socket.hpp"
#include "control/daemon/gateway.hpp"
#include "drivers/port/eal.hpp"
#include "drivers/port/open_port.hpp"

namespace espgate::daemon {
namespace {

config::Problem problem(const config::Configuration& configuration, unsigned line, std::string path,
                        Error error) {
  return {configuration.file, line, std::move(path), std::move(error.what), std::move(error.remedy)};
}

// An espgated that has this socket holds huge pages that a start would have: a file can be checked beside it.
bool runs_already(const config::Configuration& configuration) {
  const auto connected = cli::connect_unix(configuration.socket);
  return connected || !connected.error().what.empty();  // it listens, if not to us
}

}  // namespace

std::vector<config::Problem> check_environment(const config::Configuration& configuration) {
  std::vector<config::Problem> found;
  if (auto cpus = port::check_cpus(configuration.control_cpu, configuration.worker_cpus); !cpus)
    found.push_back(problem(configuration, 0, "worker-cpus", cpus.error()));
  for (std::size_t i = 0; i < configuration.ports.size(); ++i) {
    const auto& port = configuration.ports[i];
    if (auto device = port::check_device(port.device); !device)
      found.push_back(
          problem(configuration, port.line, "ports[" + std::to_string(i) + "].device", device.error()));
  }
  if (!configuration.hugepages) return found;
  const auto which = runs_already(configuration) ? port::Hugepages::reserved : port::Hugepages::free;
  if (auto pages = port::check_hugepages(memory_needed_mb(configuration), which); !pages)
    found.push_back(problem(configuration, 0, "hugepages", pages.error()));
  return found;
}

}  // namespace espgate::daemon
