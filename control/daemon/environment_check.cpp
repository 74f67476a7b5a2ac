#include "control/daemon/environment_check.hpp"

#include <fmt/format.h>

#include "control/cli/unix_socket.hpp"
#include "control/daemon/gateway.hpp"
#include "drivers/port/eal.hpp"
#include "drivers/port/open_port.hpp"

namespace espgate::daemon {
namespace {

// Problems of one configuration, with their places in its files.
class Problems {
 public:
  explicit Problems(const config::Configuration& configuration) : configuration_(configuration) {}

  void add(config::Place place, std::string path, Error error) {
    const auto& files = configuration_.files;
    found_.push_back({place.file < files.size() ? files[place.file] : configuration_.file, place.line,
                      std::move(path), std::move(error.what), std::move(error.remedy)});
  }
  std::vector<config::Problem> take() { return std::move(found_); }

 private:
  const config::Configuration& configuration_;
  std::vector<config::Problem> found_;
};

void check_port(const config::Port& port, std::size_t index, Problems& problems) {
  if (port.device.empty()) return;  // an error of the file, and told
  if (auto device = port::check_device(port.device); !device) {
    auto& error = device.error();
    error.what = fmt::format("\"{}\": {}", port.device, error.what);
    return problems.add({port.file, port.line}, fmt::format("ports[{}].device", index), error);
  }
  if (const auto largest = port::largest_mtu(port.device, port.vlans); largest && port.mtu > *largest)
    problems.add({port.file, port.line}, fmt::format("ports[{}].mtu", index),
                 {fmt::format("{} bytes are more than \"{}\" takes{}", port.mtu, port.device,
                              net::service_of(port.vlans) != 0 ? " beside two tags" : ""),
                  fmt::format("its driver's largest is {}", *largest)});
}

// An espgated that has this socket holds huge pages that a start would have: a file can be checked beside it.
bool runs_already(const config::Configuration& configuration) {
  const auto connected = cli::connect_unix(configuration.socket);
  return connected || !connected.error().what.empty();  // it listens, if not to us
}

}  // namespace

std::vector<config::Problem> check_environment(const config::Configuration& configuration) {
  Problems problems(configuration);
  if (auto socket = cli::check_socket_path(configuration.socket);
      !socket && configuration.socket.starts_with('/'))
    problems.add(configuration.place_of_socket, "socket", socket.error());
  if (auto cpus = port::check_cpus(configuration.control_cpu, configuration.worker_cpus); !cpus)
    problems.add(configuration.place_of_cpus, "worker-cpus", cpus.error());
  for (std::size_t i = 0; i < configuration.ports.size(); ++i)
    check_port(configuration.ports[i], i, problems);
  if (!configuration.hugepages) return problems.take();
  const auto which = runs_already(configuration) ? port::Hugepages::reserved : port::Hugepages::free;
  if (auto pages = port::check_hugepages(memory_needed_mb(configuration), which); !pages)
    problems.add(configuration.place_of_hugepages, "hugepages", pages.error());
  return problems.take();
}

}  // namespace espgate::daemon
