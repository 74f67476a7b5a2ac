// Runs the tests in a network namespace of their own and with DPDK started. Without the right to make a
// namespace they are skipped (exit code 77).
#include <sched.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "tests/catch_runner.hpp"
#include "tests/datapath/worker/rig.hpp"

int main(int argc, char** argv) {
  constexpr int skipped = 77;
  if (unshare(CLONE_NEWNET) != 0) {
    std::fprintf(stderr, "skipped: cannot make a network namespace (%s); run as root\n",
                 std::strerror(errno));
    return skipped;
  }
  espgate::test::start_environment({});
  return espgate::test::run_catch(argc, argv);
}
