// Whether the CPUs that a configuration names can be ours, told before DPDK is asked, which panics.
#include <fmt/format.h>
#include <sched.h>

#include <cstdio>
#include <fstream>
#include <optional>
#include <set>

#include "drivers/port/eal.hpp"

namespace espgate::port {
namespace {

using Cpus = std::set<unsigned>;

// The kernel's form, "0-3,8": what it calls a CPU list.
std::optional<Cpus> parse_cpu_list(const std::string& text) {
  Cpus cpus;
  for (std::size_t at = 0; at < text.size();) {
    unsigned first = 0;
    unsigned last = 0;
    int length = 0;
    if (std::sscanf(text.c_str() + at, "%u-%u%n", &first, &last, &length) < 2) {
      if (std::sscanf(text.c_str() + at, "%u%n", &first, &length) < 1) return std::nullopt;
      last = first;
    }
    for (unsigned cpu = first; cpu <= last && cpu < CPU_SETSIZE; ++cpu) cpus.insert(cpu);
    at += static_cast<std::size_t>(length) + 1;
  }
  return cpus;
}

std::optional<Cpus> online_cpus() {
  std::ifstream file("/sys/devices/system/cpu/online");
  std::string text;
  if (!(file >> text)) return std::nullopt;
  return parse_cpu_list(text);
}

// Those that taskset, a service manager or a container leaves to this thread.
std::optional<Cpus> allowed_cpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return std::nullopt;
  Cpus cpus;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) cpus.insert(cpu);
  return cpus;
}

Cpus outside(const std::vector<unsigned>& wanted, const Cpus& cpus) {
  Cpus found;
  for (const unsigned cpu : wanted)
    if (!cpus.contains(cpu)) found.insert(cpu);
  return found;
}

// "CPU 7", "CPUs 0-3,8"
std::string named(const Cpus& cpus) {
  std::string list;
  for (auto at = cpus.begin(); at != cpus.end();) {
    const unsigned first = *at;
    unsigned last = first;
    while (++at != cpus.end() && *at == last + 1) ++last;
    if (!list.empty()) list += ',';
    list += last == first ? std::to_string(first) : fmt::format("{}-{}", first, last);
  }
  return fmt::format("{} {}", cpus.size() == 1 ? "CPU" : "CPUs", list);
}

}  // namespace

Expected<void> check_cpus(unsigned control_cpu, const std::vector<unsigned>& worker_cpus) {
  auto wanted = worker_cpus;
  wanted.push_back(control_cpu);
  const std::string remedy = "change control-cpu or worker-cpus; a CPU may be named more than once";
  if (const auto online = online_cpus())
    if (const auto absent = outside(wanted, *online); !absent.empty())
      return Error{fmt::format("this machine has {} online, and no {}", named(*online), named(absent)),
                   remedy};
  if (const auto allowed = allowed_cpus())
    if (const auto refused = outside(wanted, *allowed); !refused.empty())
      return Error{fmt::format("this process may use {}, and not {}", named(*allowed), named(refused)),
                   remedy +
                       ". What it may use is set by taskset, AllowedCPUs= of its systemd unit, or the "
                       "cpuset of its container"};
  return {};
}

}  // namespace espgate::port
