// As control/precompiled/standard.hpp, for a large folder of tests.
#include <catch2/catch.hpp>

#include "control/precompiled/standard.hpp"
