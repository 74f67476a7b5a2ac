#include "control/daemon/give_way.hpp"

#include <sched.h>
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>

#include "control/daemon/work_threads.hpp"

namespace espgate::test {
namespace {

using daemon::Cpus;

// Of the thread that runs a test, which has them back afterwards.
class Affinity {
 public:
  Affinity() { REQUIRE(sched_getaffinity(0, sizeof before_, &before_) == 0); }
  ~Affinity() { sched_setaffinity(0, sizeof before_, &before_); }

  Cpus allowed() const {
    Cpus cpus;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &before_)) cpus.push_back(cpu);
    return cpus;
  }
  static void pin_to(unsigned cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    REQUIRE(sched_setaffinity(0, sizeof set, &set) == 0);
  }

 private:
  cpu_set_t before_;
};

struct Thread {
  std::string cpus;
  int nice = 0;
};

// As the kernel tells it of the threads of that name in this process.
std::vector<Thread> threads_called(const std::string& name) {
  std::vector<Thread> found;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string comm, line;
    std::getline(std::ifstream(task.path() / "comm"), comm);
    if (comm != name) continue;
    auto& thread = found.emplace_back();
    std::ifstream status(task.path() / "status");
    const std::string key = "Cpus_allowed_list:\t";
    while (std::getline(status, line))
      if (line.starts_with(key)) thread.cpus = line.substr(key.size());
    // The name, which is in parentheses, may have blanks; the niceness is the 17th behind it (proc(5)).
    std::getline(std::ifstream(task.path() / "stat"), line);
    std::istringstream fields(line.substr(line.rfind(')') + 1));
    for (int i = 0; i < 16; ++i) fields >> line;
    fields >> thread.nice;
  }
  return found;
}

std::vector<Thread> key_threads(unsigned count, const Cpus& spare) {
  const daemon::WorkThreads pool(count, 10, [&] { daemon::give_way("test keys", spare); });
  std::vector<Thread> found;
  // They go by their name before they go to their CPU.
  for (int i = 0; i < 1'000 && found.size() < count; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    found = threads_called("test keys");
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  return threads_called("test keys");
}

TEST_CASE("spare CPUs are those that this process may use, less the control loop's and the workers'") {
  const Affinity affinity;
  const auto allowed = affinity.allowed();
  const auto control = allowed.front();
  const Cpus rest(std::next(allowed.begin()), allowed.end());
  CHECK(daemon::spare_cpus(control, {}) == rest);
  CHECK(daemon::spare_cpus(control, rest).empty());
  CHECK(daemon::spare_cpus(CPU_SETSIZE, {}) == allowed);
  CHECK(daemon::spare_cpus(CPU_SETSIZE, allowed).empty());
  Affinity::pin_to(control);
  CHECK(daemon::spare_cpus(CPU_SETSIZE, {}) == Cpus{control});
}

TEST_CASE("threads for public keys run on the spare CPUs, or where the loop does with less of a claim") {
  const Affinity affinity;
  const auto control = affinity.allowed().front(), spare = affinity.allowed().back();
  const int before = getpriority(PRIO_PROCESS, 0);
  Affinity::pin_to(control);  // as DPDK does with the thread that starts them
  SECTION("on them") {
    const auto threads = key_threads(2, {spare});
    REQUIRE(threads.size() == 2);
    for (const auto& thread : threads) {
      CHECK(thread.cpus == std::to_string(spare));
      CHECK(thread.nice == before);
    }
  }
  SECTION("there are none") {
    const auto threads = key_threads(1, {});
    REQUIRE(threads.size() == 1);
    CHECK(threads[0].cpus == std::to_string(control));
    CHECK(threads[0].nice == before + 5);
  }
  SECTION("there is no such CPU") {
    const auto threads = key_threads(1, {CPU_SETSIZE - 1});
    REQUIRE(threads.size() == 1);
    CHECK(threads[0].cpus == std::to_string(control));
    CHECK(threads[0].nice == before + 5);
  }
}

}  // namespace
}  // namespace espgate::test
