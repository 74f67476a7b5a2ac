// Catch2's own code, compiled once for all tests: it is by far their largest part.
#pragma once

namespace espgate::test {

// Runs the test cases of the program with Catch2's command line. Returns the exit code.
int run_catch(int argc, char** argv);

}  // namespace espgate::test
