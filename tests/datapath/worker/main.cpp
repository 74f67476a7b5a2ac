#include "tests/catch_runner.hpp"
#include "tests/datapath/worker/rig.hpp"

int main(int argc, char** argv) {
  espgate::test::start_environment();
  return espgate::test::run_catch(argc, argv);
}
