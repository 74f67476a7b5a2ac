// What one load costs: the whole worker, the port alone, and the cipher alone.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "benchmarks/esp/plan.hpp"
#include "benchmarks/esp/timing.hpp"
#include "datapath/worker/stages.hpp"

namespace espgate::bench {

class Gateway;

struct Result {
  Scene scene;
  Load load;
  bool replay = false;
  double inner_bytes = 0;  // mean
  Distribution total;      // cycles a packet
  Distribution port;
  std::optional<Distribution> ceiling;
  std::array<double, worker::stage_count> stages{};  // cycles a packet that passed the stage
};

// Verifies the load's packets once, then measures it; with and without anti-replay where there is any.
// Throws Failure when a single packet of a timed run got another verdict than it should.
std::vector<Result> measure(const Scene& scene, const Load& load, Gateway& gateway, unsigned runs);

}  // namespace espgate::bench
