#include "benchmarks/esp/report.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace espgate::bench {
namespace {

const char* bench_name(const Result& result) {
  if (result.load.kind == Kind::unknown_spi) return "unknown-spi";
  return result.scene.route == Route::vti ? "vti" : "esp";
}
const char* direction_name(const Result& result) {
  return result.scene.direction == Direction::inbound ? "inbound" : "outbound";
}
double mpps(const Result& result, std::uint64_t tsc_hz) {
  return static_cast<double>(tsc_hz) / result.total.median / 1e6;
}
// Of inner packets.
double gbps(const Result& result, std::uint64_t tsc_hz) {
  return mpps(result, tsc_hz) * result.inner_bytes * 8 / 1e3;
}
double rounded(double value) {
  return std::round(value * 100) / 100;
}

}  // namespace

std::string table_head() {
  return fmt::format(
      "{:<11} {:<17} {:<8} {:>5} {:>7} {:<6} | {:>6} {:>6} {:>6} | {:>6} {:>7} {:>7} {:>5} | {:>6} {:>6}\n",
      "bench", "suite", "to", "inner", "SAs", "replay", "total", "min", "max", "port", "tot-prt", "ceiling",
      "ratio", "Mpps", "Gb/s");
}

std::string table_row(const Result& result, std::uint64_t tsc_hz) {
  const double own = result.total.median - result.port.median;
  const bool disturbed = !result.total.all_undisturbed || !result.port.all_undisturbed;
  return fmt::format(
      "{:<11} {:<17} {:<8} {:>5} {:>7} {:<6} | {:>6.0f} {:>6.0f} {:>6.0f} | {:>6.0f} {:>7.0f} {:>7} {:>5} | "
      "{:>6.2f} {:>6.2f}{}\n",
      bench_name(result), crypto::suite(result.scene.suite).name, direction_name(result),
      result.load.inner_text(), result.scene.sas, result.replay ? "on" : "off", result.total.median,
      result.total.min, result.total.max, result.port.median, own,
      result.ceiling ? fmt::format("{:.0f}", result.ceiling->median) : "",
      result.ceiling ? fmt::format("{:.2f}", own / result.ceiling->median) : "", mpps(result, tsc_hz),
      gbps(result, tsc_hz), disturbed ? "  interrupted" : "");
}

std::string stages_row(const Result& result) {
  std::string text = "    stages:";
  for (std::size_t i = 0; i < worker::stage_count; ++i)
    if (result.stages[i] != 0) text += fmt::format(" {} {:.0f}", worker::stage_names[i], result.stages[i]);
  return text + "\n";
}

std::string json_rows(const std::vector<Result>& results, std::uint64_t tsc_hz) {
  std::string text;
  for (const auto& result : results) {
    nlohmann::ordered_json row{
        {"bench", bench_name(result)},
        {"suite", crypto::suite(result.scene.suite).name},
        {"direction", direction_name(result)},
        {"inner_bytes", result.load.inner_bytes == imix ? nlohmann::ordered_json("imix")
                                                        : nlohmann::ordered_json(result.load.inner_bytes)},
        {"sas", result.scene.sas},
        {"replay", result.replay ? "on" : "off"},
        {"cycles_per_packet",
         {{"median", rounded(result.total.median)},
          {"min", rounded(result.total.min)},
          {"max", rounded(result.total.max)}}},
        {"port_cycles", rounded(result.port.median)},
        {"ceiling_cycles",
         result.ceiling ? nlohmann::ordered_json(rounded(result.ceiling->median)) : nlohmann::ordered_json()},
        {"mpps", rounded(mpps(result, tsc_hz))},
        {"gbps", rounded(gbps(result, tsc_hz))}};
    text += (text.empty() ? "[\n" : ",\n") + row.dump();
  }
  return text.empty() ? "[]\n" : text + "\n]\n";
}

}  // namespace espgate::bench
