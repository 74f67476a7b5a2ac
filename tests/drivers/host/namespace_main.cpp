// Runs the tests in a network namespace of their own, which goes with the process: nothing they do
// reaches the machine's interfaces. Without the right to make one, they are skipped (exit code 77).
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "tests/catch_runner.hpp"

int main(int argc, char** argv) {
  constexpr int skipped = 77;
  if (::unshare(CLONE_NEWNET) != 0) {
    std::fprintf(stderr, "skipped: cannot make a network namespace (%s); run as root\n",
                 std::strerror(errno));
    return skipped;
  }
  if (::access("/dev/net/tun", R_OK | W_OK) != 0) {
    std::fprintf(stderr, "skipped: /dev/net/tun: %s; load the driver with `modprobe tun`\n",
                 std::strerror(errno));
    return skipped;
  }
  return espgate::test::run_catch(argc, argv);
}
