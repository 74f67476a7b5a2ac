#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include "tests/datapath/worker/rig.hpp"

int main(int argc, char** argv) {
  espgate::test::start_environment();
  return Catch::Session().run(argc, argv);
}
