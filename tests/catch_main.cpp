#include "tests/catch_runner.hpp"

int main(int argc, char** argv) {
  return espgate::test::run_catch(argc, argv);
}
