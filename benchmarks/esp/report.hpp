// Results as text and as JSON rows.
#pragma once

#include <string>
#include <vector>

#include "benchmarks/esp/measure.hpp"

namespace espgate::bench {

std::string table_head();
std::string table_row(const Result& result, std::uint64_t tsc_hz);
// Cycles of each stage, for the same row.
std::string stages_row(const Result& result);
// One JSON array, a row a line.
std::string json_rows(const std::vector<Result>& results, std::uint64_t tsc_hz);

}  // namespace espgate::bench
