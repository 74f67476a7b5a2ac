// End to end: a real worker between two DPDK ports at full load; cycles a packet beside the port's own and
// the cipher's own. benchmarks/README.md says how to read it.
#include <fmt/format.h>
#include <getopt.h>
#include <rte_cycles.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <optional>

#include "benchmarks/esp/gateway.hpp"
#include "benchmarks/esp/measure.hpp"
#include "benchmarks/esp/plan.hpp"
#include "benchmarks/esp/ports.hpp"
#include "benchmarks/esp/report.hpp"
#include "drivers/port/eal.hpp"

using namespace espgate;
using namespace espgate::bench;

namespace {

constexpr const char* help = R"(Usage: esp_bench [OPTION...]

Measures ESP tunnel mode through a whole worker, in TSC cycles a packet. Needs root and huge
pages (--memory-mb says how many); scripts/bench sees to both.

  --quick               fewer sizes and SAs, fewer runs
  --full                all sizes and SAs for every suite
  --cpu N               where to run (default: the last CPU)
  --direction D         inbound or outbound
  --inner BYTES         size of the inner packet, or imix; may be given again
  --sas N               number of SAs; may be given again
  --suite NAME          cipher suite; may be given again (default: aes128-gcm16 in full, the others with one SA)
  --bench NAME          esp or unknown-spi
  --route R             what brings packets to their SAs: policy (default), or vti, routes into a tunnel of
                        each SA's own, of which there can be 65,280
  --runs N              runs a median is taken of (default 21; 9 with --quick; 5 to 64)
  --stages              also where in the worker the cycles go
  --json FILE           also writes JSON rows
  --memory-mb           prints the huge pages that this selection needs, in MB, and ends
  --help
)";

struct Options {
  Selection selection;
  unsigned cpu = static_cast<unsigned>(sysconf(_SC_NPROCESSORS_ONLN)) - 1;
  unsigned runs = 0;
  bool stages = false;
  bool memory_only = false;
  std::string json_file;
};

[[noreturn]] void wrong_usage(const std::string& what) {
  fmt::print(stderr, "esp_bench: {}; see --help\n", what);
  std::exit(2);
}

std::uint32_t number(const char* option, std::string_view text, std::uint32_t least, std::uint32_t most) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most)
    wrong_usage(fmt::format("--{} takes a number from {} to {}, not \"{}\"", option, least, most, text));
  return value;
}

template <typename T>
T choice(const char* option, std::string_view text, std::string_view first, T one, std::string_view second,
         T two) {
  if (text == first) return one;
  if (text == second) return two;
  wrong_usage(fmt::format("--{} takes {} or {}, not \"{}\"", option, first, second, text));
}

Options read_options(int argc, char** argv) {
  enum Option {
    quick = 1,
    full,
    cpu,
    direction,
    inner,
    sas,
    suite,
    bench,
    route,
    runs,
    stages,
    json,
    memory,
    help_wanted
  };
  static const option table[] = {{"quick", no_argument, nullptr, quick},
                                 {"full", no_argument, nullptr, full},
                                 {"cpu", required_argument, nullptr, cpu},
                                 {"direction", required_argument, nullptr, direction},
                                 {"inner", required_argument, nullptr, inner},
                                 {"sas", required_argument, nullptr, sas},
                                 {"suite", required_argument, nullptr, suite},
                                 {"bench", required_argument, nullptr, bench},
                                 {"route", required_argument, nullptr, route},
                                 {"runs", required_argument, nullptr, runs},
                                 {"stages", no_argument, nullptr, stages},
                                 {"json", required_argument, nullptr, json},
                                 {"memory-mb", no_argument, nullptr, memory},
                                 {"help", no_argument, nullptr, help_wanted},
                                 {nullptr, 0, nullptr, 0}};
  Options result;
  auto& selection = result.selection;
  for (int found = 0; (found = getopt_long(argc, argv, "h", table, nullptr)) != -1;) {
    switch (found) {
      case quick:
        selection.quick = true;
        break;
      case full:
        selection.full = true;
        break;
      case cpu:
        result.cpu = number("cpu", optarg, 0, 1'023);
        break;
      case direction:
        selection.directions.push_back(
            choice("direction", optarg, "inbound", Direction::inbound, "outbound", Direction::outbound));
        break;
      case inner:
        selection.inner_bytes.push_back(
            std::strcmp(optarg, "imix") == 0 ? imix : number("inner", optarg, 28, largest_inner_bytes));
        break;
      case sas:
        selection.sas.push_back(number("sas", optarg, 1, 1'000'000));
        break;
      case suite:
        if (const auto* row = crypto::find_suite(optarg))
          selection.suites.push_back(row->id);
        else
          wrong_usage(fmt::format("there is no suite \"{}\"", optarg));
        break;
      case bench:
        selection.kinds.push_back(
            choice("bench", optarg, "esp", Kind::esp, "unknown-spi", Kind::unknown_spi));
        break;
      case route:
        selection.route = choice("route", optarg, "policy", Route::policy, "vti", Route::vti);
        break;
      case runs:
        result.runs = number("runs", optarg, 5, 64);
        break;
      case stages:
        result.stages = true;
        break;
      case json:
        result.json_file = optarg;
        break;
      case memory:
        result.memory_only = true;
        break;
      case help_wanted:
      case 'h':
        fmt::print("{}", help);
        std::exit(0);
      default:
        std::exit(2);
    }
  }
  if (optind != argc) wrong_usage(fmt::format("what is \"{}\"?", argv[optind]));
  if (result.runs == 0) result.runs = selection.quick ? 9 : 21;
  return result;
}

std::uint32_t memory_mb(const std::vector<Scene>& scenes) {
  std::size_t most = 0;
  for (const auto& scene : scenes)
    for (const auto& load : scene.loads)
      most = std::max(most, Gateway::memory_bytes(scene) + Ports::memory_bytes(scene, load));
  constexpr std::size_t megabyte = 1 << 20;
  return static_cast<std::uint32_t>(most / megabyte * 9 / 8 + 192);
}

void run(const Options& options, const std::vector<Scene>& scenes) {
  const auto hz = rte_get_tsc_hz();
  std::vector<Result> results;
  fmt::print("{}", table_head());
  for (const auto& scene : scenes) {
    Gateway gateway(scene);
    for (const auto& load : scene.loads) {
      for (auto& result : measure(scene, load, gateway, options.runs)) {
        fmt::print("{}{}", table_row(result, hz), options.stages ? stages_row(result) : "");
        std::fflush(stdout);
        results.push_back(std::move(result));
      }
    }
  }
  if (options.json_file.empty()) return;
  std::ofstream file(options.json_file);
  if (!(file << json_rows(results, hz) << std::flush)) throw Failure("cannot write " + options.json_file);
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = read_options(argc, argv);
  const auto scenes = plan(options.selection);
  if (scenes.empty()) wrong_usage("this selection is empty");
  if (options.memory_only) {
    fmt::print("{}\n", memory_mb(scenes));
    return 0;
  }
  port::EalOptions eal;
  eal.instance = fmt::format("esp-bench-{}", getpid());
  eal.control_cpu = options.cpu;
  eal.memory_mb = memory_mb(scenes);
  if (auto started = port::start_eal(eal); !started) {
    fmt::print(stderr, "esp_bench: {}\n", started.error().text());
    return 1;
  }
  int status = 0;
  try {
    run(options, scenes);
  } catch (const std::exception& failure) {
    fmt::print(stderr, "esp_bench: {}\n", failure.what());
    status = 1;
  }
  port::stop_eal();
  return status;
}
